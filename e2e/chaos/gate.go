package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"rollcall/e2e/lab"
)

// newGate returns an endpoint in front of an engine that passes everything but
// the event stream, which it refuses.
func newGate(t lab.T, l *lab.Lab, engine *lab.Engine) *lab.Engine {
	t.Helper()
	network, address, found := strings.Cut(engine.Host, "://")
	if !found {
		t.Fatalf("%s is no endpoint that a gate can be put in front of", engine.Host)
	}
	through := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	pass := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "engine"})
	pass.Transport = through
	dir, err := os.MkdirTemp(l.Dir, "gate-")
	if err != nil {
		t.Fatalf("%v", err)
	}
	path := filepath.Join(dir, "engine.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatalf("%v", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/events") {
			http.Error(w, `{"message":"events are blocked"}`, http.StatusForbidden)
			return
		}
		pass.ServeHTTP(w, r)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with Close
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
		through.CloseIdleConnections()
	})
	return &lab.Engine{Host: "unix://" + path}
}
