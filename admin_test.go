package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// adminStand is the admin listener of a rollcall in memory. Every answer that it
// gives is held against openapi.json.
type adminStand struct {
	*rollcallInMemory
	t       testing.TB
	metrics *Metrics
	admin   *Admin
	guard   *Guard
	api     *apiDescription
	front   *httptest.Server
}

// newAdminStand polls once and lets a connection to each backend succeed.
func newAdminStand(t testing.TB, containers ...listed) *adminStand {
	s := &adminStand{t: t, rollcallInMemory: newRollcallInMemory(t, quiet(), newEngineInMemory(containers...)), api: newAPIDescription(t)}
	proxy := NewProxy(s.Registry, time.Second, ForwardedRules{}, quiet())
	s.metrics = NewMetrics(s.Registry, proxy, s.registrar.Roll)
	s.registrar.polled = s.metrics.Polled
	s.admin = NewAdmin(s.Registry, s.registrar, s.metrics)
	s.front = httptest.NewUnstartedServer(nil)
	s.guard = NewGuard(s.admin, newAdminNames("127.0.0.1:3001", s.front.Listener.Addr(), "machine.example.com"), "")
	s.front.Config.Handler = s.guard
	s.front.Start()
	t.Cleanup(s.front.Close)
	s.poll()
	connectAll(s.Registry)
	return s
}

func (s *adminStand) poll() { s.registrar.poll(s.t.Context()) }

// ask sends a request and returns the answer with its body read.
func (s *adminStand) ask(method, path string, fields ...string) (*http.Response, []byte) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.front.URL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		request.Header.Set(fields[i], fields[i+1])
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if path, _, _ := strings.Cut(path, "?"); strings.HasPrefix(path, "/v1/") {
		if err := s.api.check(method, path, answer, body); err != nil {
			s.t.Error(err)
		}
	}
	return answer, body
}

// get asks for an answer with status 200, and decodes it into value.
func (s *adminStand) get(path string, value any) {
	s.t.Helper()
	answer, body := s.ask("GET", path)
	if answer.StatusCode != 200 {
		s.t.Fatalf("GET %s: %d %s", path, answer.StatusCode, body)
	}
	if err := json.Unmarshal(body, value); err != nil {
		s.t.Fatalf("GET %s: %v", path, err)
	}
}

func TestUnknownPathAndMethod(t *testing.T) {
	s := newAdminStand(t)
	for _, test := range []struct {
		method, path string
		status       int
		allow, says  string
	}{
		{"GET", "/v1/", 404, "", "/v1/openapi.json describes"},
		{"GET", "/v1/service", 404, "", "the API has no /v1/service;"},
		{"POST", "/v1/nothing", 404, "", "the API has no"},
		{"GET", "/v1/services/", 404, "", "the API has no"},
		{"DELETE", "/v1/backends", 405, "GET, HEAD", "does not take DELETE, only GET, HEAD"},
		{"GET", "/v1/backends/web-1/drain", 405, "POST", "does not take GET, only POST"},
		{"POST", "/v1/watch", 405, "GET, HEAD", "does not take POST"},
		{"POST", "/livez", 405, "GET, HEAD", "does not take POST"},
		{"GET", "/nothing", 404, "", "not found"},
	} {
		answer, body := s.ask(test.method, test.path)
		if answer.StatusCode != test.status || answer.Header.Get("Allow") != test.allow || !strings.Contains(string(body), test.says) {
			t.Errorf("%s %s: %d, Allow %q: %s", test.method, test.path, answer.StatusCode, answer.Header.Get("Allow"), body)
		}
	}
}

func TestProbes(t *testing.T) {
	s := newAdminStand(t)
	if answer, body := s.ask("GET", "/livez"); answer.StatusCode != 200 {
		t.Errorf("/livez: %d %s", answer.StatusCode, body)
	}
	if answer, body := s.ask("GET", "/readyz"); answer.StatusCode != 200 {
		t.Errorf("/readyz: %d %s", answer.StatusCode, body)
	}
	s.engine.fails(errors.New("no engine"))
	s.poll()
	if answer, body := s.ask("GET", "/readyz"); answer.StatusCode != 200 {
		t.Errorf("/readyz with the engine lost later: %d %s", answer.StatusCode, body)
	}
	s.admin.Leave()
	if answer, body := s.ask("GET", "/readyz"); answer.StatusCode != 503 || !strings.Contains(string(body), "is stopping") {
		t.Errorf("/readyz at the end: %d %s", answer.StatusCode, body)
	}
}
