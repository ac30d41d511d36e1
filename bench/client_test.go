package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// answering is a server for a load of smallSize bytes.
func answering(t *testing.T, handler http.HandlerFunc) (address string) {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestClientChecksEachAnswer(t *testing.T) {
	address := answering(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/good", "/body":
			fmt.Fprint(w, len(body))
		case "/closes":
			w.Header().Set("Connection", "close")
			fmt.Fprint(w, 0)
		case "/short":
		case "/error":
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, 0)
		case "/chunked":
			w.(http.Flusher).Flush()
			fmt.Fprint(w, 0)
		case "/cut":
			w.Header().Set("Content-Length", "1")
			panic(http.ErrAbortHandler)
		}
	})
	for path, problem := range map[string]string{
		"/good": "", "/closes": "", "/body": "",
		"/short": "not 1", "/error": "502", "/chunked": "without Content-Length", "/cut": "EOF",
	} {
		w := Workload{Path: path, Want: 1}
		if path == "/body" {
			w.Post, w.Want = k64, len("65536")
		}
		c := w.client(address)
		c.end = time.Now().Add(time.Minute)
		defer c.close()
		for range 2 { // also after a failure
			err := c.do(t.Context())
			if problem == "" && err != nil || problem != "" && (err == nil || !strings.Contains(err.Error(), problem)) {
				t.Errorf("%s: %v, want %q", path, err, problem)
			}
		}
		if open := c.conn != nil; open != (path == "/good" || path == "/body") {
			t.Errorf("%s: open %v", path, open)
		}
	}
}

func TestClientOfOneRequestPerConnection(t *testing.T) {
	remotes := map[string]bool{}
	address := answering(t, func(w http.ResponseWriter, r *http.Request) {
		remotes[r.RemoteAddr] = true
		fmt.Fprint(w, 0)
	})
	c := (&Workload{Path: "/", Want: 1, Once: true}).client(address)
	c.end = time.Now().Add(time.Minute)
	for range 3 {
		if err := c.do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(remotes) != 3 {
		t.Errorf("%d connections", len(remotes))
	}
}
