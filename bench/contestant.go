package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"rollcall/e2e/lab"
)

// Contestant is a proxy in front of the backends.
type Contestant struct {
	Name    string
	Says    string // what its configuration is, for the report
	Version string
	Address string // "127.0.0.1:port"
	home    string // its directory
	process *process
}

// The names that marks refer to.
const (
	rollcall   = "rollcall"
	nginx      = "nginx"
	nginxTuned = "nginx tuned"
	haproxy    = "haproxy"
	caddy      = "caddy"
	naive      = "naive"
)

// entrant is how a contestant is started: its command and the files that it
// reads, by their names in a directory of its own.
type entrant struct {
	name, says string
	version    func() string
	files      func(g *ground) map[string]string
	command    func(g *ground) []string
}

// ground is what an entrant's configuration is made of.
type ground struct {
	dir      string // its own
	listen   string // "127.0.0.1:port"
	admin    string // another one
	backends []string
	engine   string    // endpoint of the engine that lists the backends as containers
	bin      *Binaries // what was built
}

// startContestant starts an entrant and waits until all backends answer through it.
func startContestant(t lab.T, e *entrant, g ground) *Contestant {
	t.Helper()
	g.dir = filepath.Join(g.dir, strings.ReplaceAll(e.name, " ", "-"))
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	g.listen, g.admin = freeAddress(t), freeAddress(t)
	if e.files != nil {
		for name, content := range e.files(&g) {
			if err := os.WriteFile(filepath.Join(g.dir, name), []byte(content), 0o644); err != nil {
				t.Fatalf("%v", err)
			}
		}
	}
	words := e.command(&g)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = environment(g.dir)
	c := &Contestant{Name: e.name, Says: e.says, Version: e.version(), Address: g.listen, home: g.dir}
	c.process = startProcess(t, g.dir, strings.ReplaceAll(e.name, " ", "-"), cmd)
	lab.Await(t, e.name+" sends requests to all backends", func() error {
		if err := c.process.running(); err != nil {
			t.Fatalf("%v", err)
		}
		return reaches(t.Context(), c.Address, len(g.backends))
	})
	return c
}

// environment is this process's, without what a contestant might read, and with a
// home of its own.
func environment(home string) []string {
	env := []string{"HOME=" + home, "XDG_DATA_HOME=" + home, "XDG_CONFIG_HOME=" + home}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if name == "PATH" || name == "GOGC" || name == "GOMEMLIMIT" || name == "TMPDIR" {
			env = append(env, variable)
		}
	}
	return env
}

// freeAddress is one on which nothing listens.
func freeAddress(t lab.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// reaches sends requests until n different backends have answered.
func reaches(ctx context.Context, address string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	seen := map[string]bool{}
	for range 20 * n {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			return err
		}
		res, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", res.Status)
		}
		if seen[res.Header.Get("Backend")] = true; len(seen) == n {
			return nil
		}
	}
	return fmt.Errorf("only %d backends answer", len(seen))
}

// versionOf is the first line that a command says.
func versionOf(command ...string) string {
	said, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
	return line
}

// moduleOf is the module and version that a Go program was built from.
func moduleOf(program string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "unknown"
	}
	return info.Main.Path + " " + info.Main.Version + " (" + info.GoVersion + ")"
}
