package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"rollcall/e2e/lab"
)

// A rollcall that is to be profiled is built with one more file, which is no part
// of it. It serves net/http/pprof on a socket beside its home.
const profiling = `package main

import (
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
)

func init() {
	listener, err := net.Listen("unix", os.Getenv("HOME")+"/pprof")
	if err == nil {
		go http.Serve(listener, nil)
	}
}
`

// profilingOverlay writes that file and what -overlay of go build reads.
func profilingOverlay(t lab.T, dir string) string {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatalf("%v", err)
	}
	source, overlay := filepath.Join(dir, "profiling.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(source, []byte(profiling), 0o644); err != nil {
		t.Fatalf("%v", err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, "profiling.go"): source}})
	if err == nil {
		err = os.WriteFile(overlay, replace, 0o644)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	return overlay
}

// profile writes a profile of what a contestant does for a while to
// DIR/WORKLOAD.pprof; go tool pprof reads it.
func profile(ctx context.Context, c *Contestant, dir, workload string, length time.Duration) {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(c.home, "pprof"))
	}}}
	defer client.CloseIdleConnections()
	seconds := max(1, int(length/time.Second))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://pprof/debug/pprof/profile?seconds=%d", seconds), nil)
	if err != nil {
		say("no profile: %v", err)
		return
	}
	res, err := client.Do(req)
	if err != nil {
		say("no profile: %v", err)
		return
	}
	defer res.Body.Close()
	file, err := os.Create(filepath.Join(dir, workload+".pprof"))
	if err != nil {
		say("no profile: %v", err)
		return
	}
	defer file.Close()
	if _, err := io.Copy(file, res.Body); err != nil {
		say("no profile: %v", err)
	}
}
