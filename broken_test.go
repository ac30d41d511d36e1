package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/docker"
)

// Each file of testdata/broken is a setup that does not work, and what the first
// line of an explanation must say of it (the root cause) and the second (what to
// change); both say more, so a part of the line is given.
//
// A compose file says so in its comments, and is read by "rollcall check FILE":
//
//	# $ rollcall check
//	# web: label rollcall.prot is not known
//	# write rollcall.port=8080
//
// A list of containers says it without, and is read by the functions below:
//
//	container web
//	  image shop
//	  exposes 8080 53/udp
//	  published 0.0.0.0:32768->8080
//	  network bridge 172.17.0.2
//	  mode host | none | container:NAME | container:ID
//	  state exited | paused | …
//	  health starting | unhealthy
//	  label rollcall.host=shop.example.com
//	rollcall in NAME                     the container that rollcall runs in; else it is on the host
//	refuses | ignores | closes ADDRESS   what becomes of connections; others are accepted
//	engine fails: REASON                 it never answered; with "lost: " before it, it did
//	engine lists nothing                 in place of containers
//	drained | stopping NAME              by hand, by the engine's signal
//	checks NAME: PROBLEM                 an active check's result
//	ejects NAME: REASON                  its requests fail
//	clients ADDRESS                      all connections come from there
//	$ rollcall why TARGET | check
func TestBrokenSetups(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*")
	if err != nil || len(files) < 40 {
		t.Fatalf("there are %d broken setups: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(file) == ".txt" {
				newBroken(t, string(text)).ask(string(text))
			} else {
				checkBrokenCompose(t, file, string(text))
			}
		})
	}
}

func checkBrokenCompose(t *testing.T, file, text string) {
	var comments strings.Builder
	for line := range strings.Lines(text) {
		if comment, found := strings.CutPrefix(line, "# "); found {
			comments.WriteString(comment)
		}
	}
	questions := questionsOf(comments.String())
	if len(questions) != 1 || questions[0].command != "check" {
		t.Fatalf("a compose file is for one rollcall check, these are %+v", questions)
	}
	var out, problems bytes.Buffer
	code := run(t.Context(), []string{"check", file}, &out, &problems)
	if code != 1 || problems.Len() > 0 {
		t.Errorf("the exit code is %d, standard error is %q", code, &problems)
	}
	questions[0].compare(t, out.String())
}

// question is a command, and parts of the first two lines that it must answer.
type question struct {
	command, target string
	first, second   string // second is "-" if there is nothing to change
}

func questionsOf(text string) (questions []question) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		command, found := strings.CutPrefix(line, "$ rollcall ")
		if !found {
			continue
		}
		q := question{first: lines[i+1], second: lines[i+2]}
		q.command, q.target, _ = strings.Cut(command, " ")
		questions = append(questions, q)
	}
	return questions
}

func (q *question) compare(t *testing.T, answer string) {
	t.Helper()
	lines := strings.SplitN(answer, "\n", 3)
	if q.second == "-" && (strings.TrimSpace(lines[1]) != lines[1] || lines[1] == "") {
		lines[1] = "-"
	}
	if len(q.first) < 10 || !strings.Contains(lines[0], q.first) {
		t.Errorf("the first line of %s %s is\n\t%s\nwant\n\t%s", q.command, q.target, lines[0], q.first)
	}
	if q.second == "" || !strings.Contains(lines[1], q.second) {
		t.Errorf("the second line of %s %s is\n\t%s\nwant\n\t%s", q.command, q.target, lines[1], q.second)
	}
}

// broken is a setup that does not work, as rollcall sees it.
type broken struct {
	t          *testing.T
	registry   *Registry
	registrar  *Registrar
	engine     *engineInMemory
	containers []listed
	outcomes   map[string]error // of connections, by address
	health     *Health
}

// newBroken builds a setup and lets rollcall find it.
func newBroken(t *testing.T, text string) *broken {
	b := &broken{t: t, registry: NewRegistry(quiet(), time.Minute), outcomes: map[string]error{}}
	b.health = &Health{dial: b.dial}
	var late [][2]string // what happens once the roll was called
	home, failure := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case word == "" || word == "#" || word == "$":
			if word == "$" {
				goto built
			}
		case word == "container":
			b.containers = append(b.containers, container(rest, image("app"), bornAt(int64(1000+len(b.containers)))))
		case strings.HasPrefix(line, "  "):
			b.attribute(&b.containers[len(b.containers)-1], word, rest)
		case word == "rollcall":
			home = strings.TrimPrefix(rest, "in ")
		case word == "engine":
			failure, _ = strings.CutPrefix(rest, "fails: ")
			failure = strings.TrimPrefix(failure, "lists nothing")
		case word == "refuses":
			b.outcomes[rest] = syscall.ECONNREFUSED
		case word == "ignores":
			b.outcomes[rest] = os.ErrDeadlineExceeded
		case word == "closes":
			b.outcomes[rest] = io.EOF
		default:
			late = append(late, [2]string{word, rest})
		}
	}
built:
	b.callRoll(home, failure)
	for _, event := range late {
		b.happens(event[0], event[1])
	}
	return b
}

// attribute sets one attribute of a container.
func (b *broken) attribute(c *listed, word, value string) {
	switch word {
	case "image":
		image(value)(c)
		c.config.Image = value
	case "exposes":
		for port := range strings.FieldsSeq(value) {
			number, proto, udp := strings.Cut(port, "/")
			n, err := strconv.ParseUint(number, 10, 16)
			if err != nil {
				b.t.Fatal(err)
			}
			p := docker.Port{Private: uint16(n), Proto: "tcp"}
			if udp {
				p.Proto = proto
			}
			c.config.Exposed = append(c.config.Exposed, p)
		}
	case "published":
		at, private, _ := strings.Cut(value, "->")
		n, err := strconv.ParseUint(private, 10, 16)
		if err != nil {
			b.t.Fatal(err)
		}
		published(at, uint16(n))(c)
	case "network":
		name, ip, _ := strings.Cut(value, " ")
		addr := netip.MustParseAddr(ip)
		bytes := addr.As4()
		bytes[3] = 1
		c.Networks = append(c.Networks, docker.Network{Name: name, IP: addr, Gateway: netip.AddrFrom4(bytes)})
	case "mode":
		c.NetworkMode = value
		if of, joined := strings.CutPrefix(value, "container:"); joined && slices.ContainsFunc(b.containers, func(c listed) bool { return c.Name == of }) {
			c.NetworkMode = "container:" + idOf(of)
		}
	case "state":
		inState(value)(c)
	case "health":
		health(value)(c)
	case "label":
		labelled(value)(c)
	default:
		b.t.Fatalf("a container has no %s", word)
	}
}

// callRoll lets a rollcall in the container home, or on the host, poll the
// engine and connect to what it found.
func (b *broken) callRoll(home, failure string) {
	b.engine = newEngineInMemory(b.containers...)
	b.registrar = NewRegistrar(b.engine, b.registry, helloRules, testInterval, quiet())
	b.registrar.window = dockerBridge
	if home != "" {
		var interfaces []hostInterface
		for _, n := range b.containers[slices.IndexFunc(b.containers, func(c listed) bool { return c.Name == home })].Networks {
			interfaces = append(interfaces, hostInterface{subnet: netip.PrefixFrom(n.IP, 24)})
		}
		b.registrar.window = func() []hostInterface { return interfaces }
	}
	after, lost := strings.CutPrefix(failure, "lost: ")
	if failure != "" && !lost {
		b.engine.fails(errors.New(failure))
	}
	if err := b.registrar.poll(b.t.Context()); err != nil && failure == "" {
		b.t.Fatal(err)
	}
	if lost {
		b.engine.fails(errors.New(after))
		b.registrar.poll(b.t.Context())
	}
	for _, m := range b.registry.List() {
		if !m.probed {
			continue
		}
		if addr, err := b.health.connect(b.t.Context(), m.Candidates.All(), closeWatch); err != nil {
			b.registry.Unreachable(m.Backend, causeOf(err), reasonOf(err))
		} else {
			b.registry.Connected(m.Backend, addr.String())
		}
	}
}

// happens is what is observed once the roll was called.
func (b *broken) happens(word, rest string) {
	name, words, _ := strings.Cut(rest, ": ")
	switch word {
	case "drained":
		b.registry.Drain(idOf(name), "it was drained by hand")
	case "stopping":
		b.registrar.on(b.t.Context(), docker.Event{Action: "kill", Signal: "SIGTERM", ID: idOf(name), Time: time.Now()})
	case "checks":
		b.registry.Checked(b.registry.Lookup(idOf(name))[0].Backend, words)
	case "ejects":
		b.registry.Eject(b.registry.Lookup(idOf(name))[0].Backend, words)
	case "clients":
		for range 2 * alikeLimit {
			b.registrar.clients.saw(netip.MustParseAddr(rest))
		}
		b.registrar.poll(b.t.Context())
	default:
		b.t.Fatalf("nothing is called %s", word)
	}
}

func (b *broken) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := b.outcomes[addr]; err != nil && err != io.EOF {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	near, far := net.Pipe()
	b.t.Cleanup(func() { far.Close() })
	if b.outcomes[addr] == io.EOF {
		far.Close()
	}
	return near, nil
}

// ask asks all questions that a text has.
func (b *broken) ask(text string) {
	questions := questionsOf(text)
	if len(questions) == 0 {
		b.t.Fatal("nothing is asked")
	}
	for _, q := range questions {
		var out bytes.Buffer
		switch q.command {
		case "why":
			explainer := Explainer{b.registry.Snapshot(), b.registrar.Roll()}
			explainer.Explain(q.target).print(&out)
		case "check":
			report := newReport(b.engine.Host(), b.registrar.Roll().Verdicts)
			report.connect(b.t.Context(), b.dial)
			report.conclude()
			report.print(&out)
		default:
			b.t.Fatalf("no command explains with %s", q.command)
		}
		q.compare(b.t, out.String())
		if b.t.Failed() {
			fmt.Fprintln(b.t.Output(), out.String())
		}
	}
}
