package dockertest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// sameFields compares the answers of an engine with those of the fake, for the
// same container: each field of the fake's must be there, of the same type. What
// the engine has beyond is logged.
func sameFields(t *testing.T, d Driver) {
	got, want := sample(t, d), sample(t, New(t))
	for _, path := range slices.Sorted(maps.Keys(want)) {
		switch {
		case got[path] == "":
			t.Errorf("%s is missing, want %s", path, want[path])
		case got[path] != want[path] && got[path] != "null" && want[path] != "null":
			t.Errorf("%s is %s, want %s", path, got[path], want[path])
		}
	}
	var more []string
	for _, path := range slices.Sorted(maps.Keys(got)) {
		if want[path] == "" {
			more = append(more, path)
		}
	}
	t.Logf("%d fields in common, the fake has no %s", len(want), strings.Join(more, " "))
}

// sample asks an engine everything that a reader asks, about one container, and
// returns the JSON type of each field by its path.
func sample(t *testing.T, d Driver) map[string]string {
	s := sampler{t, d, make(map[string]string)}
	id := s.events()
	defer d.Remove(id, true)
	s.get("list", "/containers/json?all=1&filters="+url.QueryEscape(`{"id":{"`+id+`":true}}`), http.StatusOK)
	s.get("inspect", "/containers/"+id+"/json", http.StatusOK)
	s.get("version", "/version", http.StatusOK)
	s.get("not found", "/containers/nobody/json", http.StatusNotFound)
	s.get("too new", "/v1.999/containers/json", http.StatusBadRequest)
	header := s.get("ping", "/_ping", http.StatusOK)
	for _, key := range []string{"Api-Version", "Ostype", "Content-Type", "Server"} {
		if header.Get(key) != "" {
			s.fields["ping header "+key] = "string"
		}
	}
	return s.fields
}

type sampler struct {
	t      *testing.T
	engine Driver
	fields map[string]string
}

// events makes a container, follows the events of it until it is healthy, and
// returns its ID.
func (s sampler) events() (id string) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	answer := s.do(ctx, "/events?filters="+url.QueryEscape(`{"type":{"container":true,"network":true}}`))
	defer answer.Body.Close()
	id = s.engine.Add(Label("a", "b"), Published("127.0.0.1", 0, 8080), Health("healthy"),
		StopSignal("QUIT"), StopTimeout(time.Second))
	for decoder := json.NewDecoder(answer.Body); ; {
		var event struct {
			Type, Action string
			Actor        struct {
				ID         string
				Attributes map[string]string
			}
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			s.t.Fatalf("events: %v", err)
		}
		if err := json.Unmarshal(raw, &event); err != nil {
			s.t.Fatalf("events: %v", err)
		}
		if event.Actor.ID != id && event.Actor.Attributes["container"] != id {
			continue
		}
		switch action, _, _ := strings.Cut(event.Action, ":"); action {
		case "create", "start", "connect":
			s.parse("event "+action, raw)
		case "health_status":
			s.parse("event health_status", raw)
			return id
		}
	}
}

func (s sampler) get(what, path string, status int) http.Header {
	s.t.Helper()
	answer := s.do(s.t.Context(), path)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != status {
		s.t.Fatalf("GET %s: %s, %v", path, answer.Status, err)
	}
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") {
		s.parse(what, body)
	}
	return answer.Header
}

func (s sampler) do(ctx context.Context, path string) *http.Response {
	s.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: s.dial}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

func (s sampler) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if e, ok := s.engine.(*Engine); ok {
		return e.Dial(ctx, network, addr)
	}
	proto, addr, _ := strings.Cut(s.engine.Host(), "://")
	return new(net.Dialer).DialContext(ctx, proto, addr)
}

// parse notes the type of each field.
func (s sampler) parse(what string, body []byte) {
	s.t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
	s.note(what, v)
}

func (s sampler) note(path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		s.fields[path] = "object"
		for key, value := range v {
			s.note(path+"."+key, value)
		}
	case []any:
		s.fields[path] = "list"
		for _, value := range v {
			s.note(path+"[]", value)
		}
	case nil:
		s.fields[path] = "null"
	default:
		s.fields[path] = fmt.Sprintf("%T", v)
	}
}
