package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRouting plays the scenes of testdata/routing: containers with labels are
// judged, put on the registry's roll and routed to, and each request really goes
// through the proxy to a server. The README there describes the language.
func TestRouting(t *testing.T) {
	files, err := filepath.Glob("testdata/routing/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no scenes", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, scene := range splitScenes(string(text)) {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+scene.title, func(t *testing.T) {
				s := newScene(t)
				for _, line := range scene.lines {
					s.at = fmt.Sprintf("%s:%d: %s", file, line.number, line.text)
					s.play(line.text)
				}
			})
		}
	}
}

type sceneText struct {
	title string
	lines []sceneLine
}

type sceneLine struct {
	number int
	text   string // its indentation kept: labels have one
}

// splitScenes cuts a file at its titles, "= title".
func splitScenes(text string) (scenes []sceneText) {
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, " ")
		title, titled := strings.CutPrefix(line, "= ")
		switch {
		case titled:
			scenes = append(scenes, sceneText{title: title})
		case line == "", line[0] == '#':
		case len(scenes) == 0:
			panic("a line before the first title: " + line)
		default:
			last := &scenes[len(scenes)-1]
			last.lines = append(last.lines, sceneLine{i + 1, line})
		}
	}
	return scenes
}

// scene is one engine's containers, and a rollcall that polls them.
type scene struct {
	*stand
	at       string // the line that is played
	cast     map[string]*actor
	entered  int    // how many did so far
	last     string // the one that did last
	dirty    bool   // the cast has changed since the last poll
	verdicts map[string]Verdict
	servers  map[string]string // address by "container service"
}

// actor is a container as the scene tells of it so far.
type actor struct {
	number     int // of its address
	attributes map[string]string
	labels     map[string]string
}

func newScene(t *testing.T) *scene {
	return &scene{stand: newStand(t, 0), cast: map[string]*actor{}, servers: map[string]string{}}
}

func (s *scene) errorf(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("%s\n\t%s", s.at, fmt.Sprintf(format, args...))
}

// play does what one line says.
func (s *scene) play(line string) {
	if line[0] == ' ' {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || s.cast[s.last] == nil {
			s.t.Fatalf("%s\n\ta label is KEY=VALUE, below its container", s.at)
		}
		s.cast[s.last].labels[key] = value
		return
	}
	words := strings.Fields(line)
	verb, args := words[0], words[1:]
	switch verb {
	case "container":
		s.entered++
		s.last = args[0]
		s.cast[args[0]] = &actor{number: s.entered, attributes: attributesOf(args[1:]), labels: map[string]string{}}
		s.dirty = true
		return
	case "now":
		maps.Copy(s.cast[args[0]].attributes, attributesOf(args[1:]))
		s.dirty = true
		return
	case "remove":
		delete(s.cast, args[0])
		s.dirty = true
		return
	}
	s.poll()
	rest := strings.Join(args[1:], " ")
	switch verb {
	case "warning":
		if all := fmt.Sprint(s.verdicts[args[0]].Warnings); !strings.Contains(all, rest) {
			s.errorf("its warnings are %s", all)
		}
	case "unused":
		if v := s.verdicts[args[0]]; v.Used || !strings.Contains(v.Reason, rest) {
			s.errorf("used %t: %s", v.Used, v.Reason)
		}
	case "leads":
		if service := s.registry.Snapshot().Service(args[1]); service == nil || service.Lead.Name != args[0] {
			s.errorf("the service is %+v", service)
		}
	case "conflict": // WINNER beats LOSER at ROUTE
		want := Conflict{Winner: args[0], Loser: args[2]}
		want.Host, want.Path, _ = strings.Cut(args[4], "/")
		want.Path = "/" + want.Path
		if all := s.registry.Snapshot().Conflicts; !slices.Contains(all, want) {
			s.errorf("the conflicts are %v", all)
		}
	case "conflicts":
		if all := s.registry.Snapshot().Conflicts; strconv.Itoa(len(all)) != args[0] {
			s.errorf("the conflicts are %v", all)
		}
	default:
		s.request(line)
	}
}

// attributesOf reads KEY=VALUE words; a value may be missing.
func attributesOf(words []string) map[string]string {
	attributes := map[string]string{}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		attributes[key] = value
	}
	return attributes
}

// container is what the engine lists.
func (s *scene) container(name string, a *actor) listed {
	ip := fmt.Sprintf("172.17.%d.%d", a.number/250, a.number%250+2)
	options := []containerOption{image(name[:max(0, strings.LastIndexByte(name, '-'))]), onNetwork("bridge", ip), configured(8080)}
	for key, value := range a.attributes {
		switch key {
		case "image":
			options = append(options, image(value))
		case "born":
			born, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				s.t.Fatalf("%s\n\t%v", s.at, err)
			}
			options = append(options, bornAt(born))
		case "state":
			options = append(options, inState(value))
		case "health":
			options = append(options, health(value))
		case "away": // see poll
		default:
			s.t.Fatalf("%s\n\tno container has a %q", s.at, key)
		}
	}
	for key, value := range a.labels {
		options = append(options, label(key, value))
	}
	return container(name, options...)
}

// poll judges the containers in an order of no meaning, and connects to them.
func (s *scene) poll() {
	if !s.dirty {
		return
	}
	s.dirty = false
	var all []listed
	for name, a := range s.cast {
		all = append(all, s.container(name, a))
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	vantage := fromHost(all...)
	s.verdicts = map[string]Verdict{}
	var roll []Entry
	for _, c := range all {
		v := helloRules.judge(c.Container, c.config, vantage)
		s.verdicts[c.Name] = v
		roll = append(roll, v.Entries...)
	}
	s.registry.Replace("test", roll)
	for _, m := range s.registry.List() {
		if _, away := s.cast[m.Name].attributes["away"]; m.Candidates != "" && !away {
			s.registry.Connected(m.Backend, s.server(m.Name, m.Service))
		}
	}
}

// server returns the address of the server that plays a container's service.
func (s *scene) server(name, service string) string {
	key := name + " " + service
	if s.servers[key] == "" {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			header := w.Header()
			header.Set("By-Container", name)
			header.Set("By-Service", service)
			header.Set("Got-Target", r.RequestURI)
			header.Set("Got-Prefix", r.Header.Get("X-Forwarded-Prefix"))
			header.Set("Got-Host", r.Host)
		}))
		s.t.Cleanup(server.Close)
		s.servers[key] = server.Listener.Addr().String()
	}
	return s.servers[key]
}

// request sends METHOD HOST TARGET, and compares the answer with what follows
// the arrow.
func (s *scene) request(line string) {
	request, want, ok := strings.Cut(line, " -> ")
	words, wants := strings.Fields(request), strings.Fields(want)
	if !ok || len(words) != 3 || len(wants) == 0 {
		s.t.Fatalf("%s\n\ta request is METHOD HOST TARGET -> ANSWER", s.at)
	}
	method, host, target := words[0], strings.TrimPrefix(words[1], "-"), words[2]
	response := s.send(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", method, target, host))
	got := response.Header
	answer := fmt.Sprintf("%d %s, of service %q container %q, which got %s with prefix %q", response.StatusCode, got.Get("Rollcall-Error"),
		got.Get("By-Service"), got.Get("By-Container"), got.Get("Got-Target"), got.Get("Got-Prefix"))
	if status, err := strconv.Atoi(wants[0]); err == nil {
		code := ""
		if len(wants) > 1 {
			code = wants[1]
		}
		if response.StatusCode != status || got.Get("Rollcall-Error") != code {
			s.errorf("answered %s", answer)
		}
		return
	}
	wantTarget, wantPrefix, wantContainer := target, "", got.Get("By-Container")
	if _, rest, absolute := strings.Cut(target, "://"); absolute {
		wantTarget = rest[strings.IndexByte(rest, '/'):]
	}
	for i := 1; i+1 < len(wants); i += 2 {
		switch wants[i] {
		case "gets":
			wantTarget = wants[i+1]
		case "prefix":
			wantPrefix = wants[i+1]
		case "by":
			wantContainer = wants[i+1]
		default:
			s.t.Fatalf("%s\n\tno answer has a %q", s.at, wants[i])
		}
	}
	if response.StatusCode != 200 || got.Get("By-Service") != wants[0] || got.Get("By-Container") != wantContainer ||
		got.Get("Got-Target") != wantTarget || got.Get("Got-Prefix") != wantPrefix || got.Get("Got-Host") != cmp.Or(absoluteHost(target), host) {
		s.errorf("answered %s", answer)
	}
}

// absoluteHost is the host of a target in absolute form, "" for other targets.
func absoluteHost(target string) string {
	_, rest, absolute := strings.Cut(target, "://")
	if !absolute {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// send writes a request's bytes as they are and reads the whole answer.
func (s *scene) send(request string) *http.Response {
	conn, err := net.Dial("tcp", s.front.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(conn, request)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatalf("%s\n\t%v", s.at, err)
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	return response
}
