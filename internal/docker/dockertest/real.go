package dockertest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
)

// RunLabel is the label that all containers, networks and images of a Real
// carry; its value is different in each run.
const RunLabel = "dockertest"

// Real works a real engine. It makes what it needs (an image of a few MB, built
// from the standard library alone, and networks) and removes all of it at the end
// of the test. An action that fails ends the test, so it is for the test's own
// goroutine.
type Real struct {
	t testing.TB
	*realRun
}

// A realRun is what the Reals of one NewReal have in common.
type realRun struct {
	host   string
	sdk    *client.Client
	run    string // value of RunLabel
	binary []byte // of idle
	base   string // reference of its image

	mu       sync.Mutex // guards the following fields
	networks []string
	images   []string
}

//go:embed idle/main.go
var idleSource []byte

// NewReal returns a Real for the engine at host. It needs the go command.
func NewReal(t testing.TB, host string) *Real {
	t.Helper()
	r := &Real{t, &realRun{host: host, run: strings.ToLower(rand.Text()[:10])}}
	var err error
	r.sdk, err = client.NewClientWithOpts(client.FromEnv, client.WithHost(host), client.WithAPIVersionNegotiation())
	r.must(err)
	t.Cleanup(r.clean)
	r.binary = buildIdle(t)
	r.base = r.importImage("dockertest-" + r.run + ":idle")
	return r
}

// For returns the same Real for use in a subtest.
func (r *Real) For(t testing.TB) *Real { return &Real{t, r.realRun} }

// buildIdle compiles the program that runs in all containers.
func buildIdle(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"main.go": idleSource,
		"go.mod":  []byte("module idle\n\ngo 1.26\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", "idle", ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("dockertest: go build: %v\n%s", err, out)
	}
	binary, err := os.ReadFile(filepath.Join(dir, "idle"))
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// importImage makes an image of this name, unlike any other.
func (r *Real) importImage(ref string) string {
	r.t.Helper()
	archive := tarOf(
		file{"idle", 0o755, r.binary},
		file{"unique", 0o644, []byte(rand.Text())},
	)
	answer, err := r.sdk.ImageImport(r.t.Context(),
		image.ImportSource{Source: archive, SourceName: "-"}, ref,
		image.ImportOptions{Changes: []string{`ENTRYPOINT ["/idle"]`, "LABEL " + RunLabel + "=" + r.run}})
	r.must(err)
	defer answer.Close()
	_, err = io.Copy(io.Discard, answer)
	r.must(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.images = append(r.images, ref)
	return ref
}

type file struct {
	name string
	mode int64
	body []byte
}

func tarOf(files ...file) io.Reader {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.body)), ModTime: time.Now()})
		w.Write(f.body)
	}
	w.Close()
	return &b
}

// clean removes what carries this run's label, also what a failed step has left.
func (r *Real) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer r.sdk.Close()
	ours := filters.NewArgs(filters.Arg("label", RunLabel+"="+r.run))
	check := func(err error) {
		if err != nil {
			r.t.Errorf("dockertest: cleaning up: %v", err)
		}
	}
	containers, err := r.sdk.ContainerList(ctx, container.ListOptions{All: true, Filters: ours})
	check(err)
	for _, c := range containers {
		check(r.sdk.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true}))
	}
	for _, name := range r.networks {
		check(r.sdk.NetworkRemove(ctx, name))
	}
	images, err := r.sdk.ImageList(ctx, image.ListOptions{Filters: ours})
	check(err)
	for _, i := range images {
		_, err := r.sdk.ImageRemove(ctx, i.ID, image.RemoveOptions{Force: true})
		check(err)
	}
}

func (r *Real) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("dockertest: %v", err)
	}
}

// Host implements Driver.
func (r *Real) Host() string { return r.host }

// Add implements Driver.
func (r *Real) Add(opts ...ContainerOption) string {
	r.t.Helper()
	ctx := r.t.Context()
	s := newSpec(opts)
	config, host := r.configOf(s)
	created, err := r.sdk.ContainerCreate(ctx, config, host, r.networking(s), nil, s.name)
	r.must(err)
	id := created.ID
	for _, a := range s.networks[min(1, len(s.networks)):] {
		r.Connect(id, a.network, a.ip)
	}
	if s.rebuilt {
		r.Rebuild(s.image)
	}
	if !s.notStarted {
		r.Start(id)
		if s.health != "" && s.health != container.Starting {
			r.SetHealth(id, s.health)
		}
	}
	return id
}

func (r *Real) configOf(s *spec) (*container.Config, *container.HostConfig) {
	s.labels[RunLabel] = r.run
	config := &container.Config{
		Image:        r.image(s.image),
		Labels:       s.labels,
		Hostname:     s.hostname,
		StopSignal:   s.stopSignal,
		StopTimeout:  s.stopTimeout,
		ExposedPorts: nat.PortSet{},
	}
	host := &container.HostConfig{NetworkMode: container.NetworkMode(s.mode), PortBindings: nat.PortMap{}}
	for _, p := range s.exposed {
		config.ExposedPorts[nat.Port(portText(p))] = struct{}{}
	}
	for _, b := range s.published {
		port := nat.Port(portText(b.port))
		binding := nat.PortBinding{HostIP: b.ip}
		if b.public != 0 {
			binding.HostPort = fmt.Sprint(b.public)
		}
		host.PortBindings[port] = append(host.PortBindings[port], binding)
	}
	if s.mode == "" && len(s.networks) > 0 {
		host.NetworkMode = container.NetworkMode(s.networks[0].network)
	}
	if s.health != "" {
		// A check that fails counts only after one has succeeded, then at once.
		config.Healthcheck = &container.HealthConfig{
			Test:     []string{"CMD", "/idle", "check"},
			Interval: 250 * time.Millisecond, Timeout: time.Minute, StartPeriod: time.Hour, Retries: 1,
		}
	}
	return config, host
}

// networking makes the network of the mode, if it is an own one.
func (r *Real) networking(s *spec) *network.NetworkingConfig {
	if len(s.networks) == 0 {
		return nil
	}
	a := s.networks[0]
	r.makeNetwork(a.network)
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{a.network: settings(a.ip)}}
}

func settings(ip string) *network.EndpointSettings {
	s := &network.EndpointSettings{}
	if ip != "" {
		s.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr(ip).String()}
	}
	return s
}

func (r *Real) makeNetwork(name string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if name == "bridge" || slices.Contains(r.networks, name) {
		return
	}
	_, err := r.sdk.NetworkCreate(r.t.Context(), name, network.CreateOptions{Labels: map[string]string{RunLabel: r.run}})
	r.must(err)
	r.networks = append(r.networks, name)
}

// image makes an image of this name, if it isn't there. Without one it is the
// one of all.
func (r *Real) image(ref string) string {
	r.t.Helper()
	if ref == newSpec(nil).image {
		return r.base
	}
	r.mu.Lock()
	known := slices.Contains(r.images, ref)
	r.mu.Unlock()
	if !known {
		r.importImage(ref)
	}
	return ref
}

// Rebuild implements Driver.
func (r *Real) Rebuild(ref string) {
	r.t.Helper()
	r.importImage(ref)
}

// Start implements Driver.
func (r *Real) Start(id string) {
	r.t.Helper()
	r.must(r.sdk.ContainerStart(r.t.Context(), id, container.StartOptions{}))
}

// Stop implements Driver.
func (r *Real) Stop(id string) {
	r.t.Helper()
	r.must(r.sdk.ContainerStop(r.t.Context(), id, container.StopOptions{}))
}

// Restart implements Driver.
func (r *Real) Restart(id string) {
	r.t.Helper()
	r.must(r.sdk.ContainerRestart(r.t.Context(), id, container.StopOptions{}))
}

// Kill implements Driver.
func (r *Real) Kill(id, signal string) {
	r.t.Helper()
	r.must(r.sdk.ContainerKill(r.t.Context(), id, signal))
}

// Pause implements Driver.
func (r *Real) Pause(id string) {
	r.t.Helper()
	r.must(r.sdk.ContainerPause(r.t.Context(), id))
}

// Unpause implements Driver.
func (r *Real) Unpause(id string) {
	r.t.Helper()
	r.must(r.sdk.ContainerUnpause(r.t.Context(), id))
}

// Remove implements Driver. It may be called from Cleanup.
func (r *Real) Remove(id string, force bool) {
	r.t.Helper()
	r.must(r.sdk.ContainerRemove(context.Background(), id, container.RemoveOptions{Force: force}))
}

// Rename implements Driver.
func (r *Real) Rename(id, name string) {
	r.t.Helper()
	r.must(r.sdk.ContainerRename(r.t.Context(), id, name))
}

// Connect implements Driver.
func (r *Real) Connect(id, network, ip string) {
	r.t.Helper()
	r.makeNetwork(network)
	r.must(r.sdk.NetworkConnect(r.t.Context(), network, id, settings(ip)))
}

// Disconnect implements Driver.
func (r *Real) Disconnect(id, network string) {
	r.t.Helper()
	r.must(r.sdk.NetworkDisconnect(r.t.Context(), network, id, false))
}

// SetHealth implements Driver. It returns when the engine has noticed.
func (r *Real) SetHealth(id, health string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	archive := tarOf(file{"health", 0o644, []byte(health)})
	r.must(r.sdk.CopyToContainer(ctx, id, "/", archive, container.CopyToContainerOptions{}))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := r.sdk.ContainerInspect(ctx, id)
		r.must(err)
		if c.State.Health != nil && c.State.Health.Status == health {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("dockertest: container %.12s didn't become %s within %s", id, health, patience)
		}
	}
}
