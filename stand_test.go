package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// stand is a proxy in front of real servers on loopback.
type stand struct {
	t        testing.TB
	registry *Registry
	proxy    *Proxy
	front    *httptest.Server
}

func newStand(t testing.TB, hold time.Duration) *stand {
	s := &stand{t: t, registry: NewRegistry(quiet(), 30*time.Second)}
	s.proxy = NewProxy(s.registry, hold, ForwardedRules{}, quiet())
	s.front = newFront(s.proxy)
	s.front.Start()
	t.Cleanup(s.front.Close)
	return s
}

// serves makes the containers backends that have been connected to, and have
// answered.
func (s *stand) serves(entries ...Entry) {
	s.t.Helper()
	s.registry.Replace("test", entries)
	connectAll(s.registry)
	for _, m := range s.registry.List() {
		m.answered.Store(true)
	}
}

// runs is a container whose server answers with handler.
func (s *stand) runs(service, name string, handler http.HandlerFunc, options ...entryOption) Entry {
	server := httptest.NewServer(handler)
	s.t.Cleanup(server.Close)
	return backendOf(service, name, append(options, at(server.Listener.Addr().String()))...)
}

// breaks is a container whose server reads a request, counts it, and hangs up.
func (s *stand) breaks(service, name string, seen func(*http.Request), options ...entryOption) Entry {
	return s.runs(service, name, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		seen(r)
		panic(http.ErrAbortHandler)
	}, options...)
}

// closedPort is an address on which nothing listens.
func closedPort(t testing.TB) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// says is a handler that answers with a word.
func says(word string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, word) }
}

// ask sends a request and returns the response with its body read.
func (s *stand) ask(method, target, host, body string, fields ...string) (*http.Response, string) {
	s.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.front.URL+target, reader)
	if err != nil {
		s.t.Fatal(err)
	}
	if host != "" {
		request.Host = host
	}
	for i := 0; i < len(fields); i += 2 {
		request.Header.Add(fields[i], fields[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, target, err)
	}
	return response, string(text)
}

// raw sends bytes as they are and returns the response.
func (s *stand) raw(request string) *http.Response {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.front.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, request)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { response.Body.Close() })
	return response
}
