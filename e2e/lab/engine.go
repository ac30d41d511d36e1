package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"
)

// Engine is a Docker engine, worked with the docker command.
type Engine struct {
	Host string // its endpoint, e.g. unix:///var/run/docker.sock
	lab  *Lab

	// Of an own engine, the addresses for its networks, a /24 each; else zero.
	block    netip.Prefix
	networks atomic.Int32 // made so far
}

// machineHost finds the engine that the docker command would use.
func machineHost() (string, error) {
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		return host, nil
	}
	out, err := exec.Command("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("the tests need the docker command, and here is none")
	}
	if host := strings.TrimSpace(string(out)); err == nil && host != "" {
		return host, nil
	}
	return "unix:///var/run/docker.sock", nil
}

// command makes a command whose docker is this engine.
func (e *Engine) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.Host, "DOCKER_CLI_HINTS=false")
	// Children of a killed command may hold its output open.
	cmd.WaitDelay = time.Second
	return cmd
}

// Try runs a docker command and returns what it printed, without the last
// newline. The error holds what it said on standard error.
func (e *Engine) Try(ctx context.Context, args ...string) (string, error) {
	return try(e.command(ctx, "docker", args...))
}

func try(cmd *exec.Cmd) (string, error) {
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return strings.TrimSpace(out.String()), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(problem.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// Docker runs a docker command and returns what it printed.
func (e *Engine) Docker(t T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*Patience)
	defer cancel()
	out, err := e.Try(ctx, args...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return out
}

// Network makes a network and returns its name. flags are those of docker network
// create.
func (e *Engine) Network(t T, word string, flags ...string) string {
	t.Helper()
	name := e.lab.Name(word)
	if e.block.IsValid() {
		subnet := e.block.Addr().As4()
		subnet[2] += byte(e.networks.Add(1)) // the first is the bridge's
		flags = append([]string{"--subnet", netip.PrefixFrom(netip.AddrFrom4(subnet), 24).String()}, flags...)
	}
	e.Docker(t, append(append([]string{"network", "create", "--label", Label + "=" + e.lab.Run}, flags...), name)...)
	t.Cleanup(func() {
		// Containers that are on it go first: they were made later, or are to be
		// removed by force here.
		e.remove(t, strings.Fields(e.forCleanup(t, "network", "inspect", "--format", "{{range $id, $c := .Containers}}{{$id}} {{end}}", name)))
		e.forCleanup(t, "network", "rm", name)
	})
	return name
}

// remove removes containers by force, gone or not.
func (e *Engine) remove(t T, containers []string) {
	if len(containers) > 0 {
		e.forCleanup(t, append([]string{"rm", "--force", "--volumes"}, containers...)...)
	}
}

// forCleanup runs a docker command after t's context is done. A failure is worth
// a remark only: the sweep at the end of the run tries again, and tells.
func (e *Engine) forCleanup(t T, args ...string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Patience)
	defer cancel()
	out, err := e.Try(ctx, args...)
	if err != nil {
		t.Logf("cleaning up: %v", err)
	}
	return out
}
