package main

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"time"

	"rollcall/e2e/lab"
)

// App is the program that all containers run, as an archive to be imported.
type App struct {
	archive string // path
	ref     string // the name that its images get
	run     string
}

// newApp builds the program.
func newApp(t lab.T, l *lab.Lab) *App {
	t.Helper()
	program := filepath.Join(l.Dir, "chaos-app")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./e2e/chaos/app")
	build.Dir = l.Source
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	// Neither call fails on a buffer.
	_ = w.WriteHeader(&tar.Header{Name: "service", Mode: 0o755, Size: int64(len(text)), ModTime: time.Now()})
	_, _ = w.Write(text)
	_ = w.Close()
	// The run is in the name, so that no other rollcall on this engine looks at
	// these containers.
	a := &App{archive: program + ".tar", ref: "rollcall-e2e/chaos-" + l.Run, run: l.Run}
	if err := os.WriteFile(a.archive, archive.Bytes(), 0o644); err != nil {
		t.Fatalf("%v", err)
	}
	return a
}

// Image makes an image of the app on an engine, which says this version, and
// moves the app's name to it.
func (a *App) Image(t lab.T, engine *lab.Engine, version string) {
	t.Helper()
	changes := []string{`ENTRYPOINT ["/service"]`, "LABEL " + lab.Label + "=" + a.run, "USER 65532:65532", "EXPOSE 8080", "ENV CHAOS_VERSION=" + version}
	args := []string{"import"}
	for _, change := range changes {
		args = append(args, "--change", change)
	}
	engine.Docker(t, append(args, a.archive, a.ref)...)
}

// times are how long a container takes to start and to stop, and how long it goes
// on as before when it was told to stop.
type times struct{ start, stop, grace time.Duration }

// environment is the app's for these times.
func (t times) environment() []string {
	return []string{"CHAOS_START_DELAY=" + t.start.String(), "CHAOS_STOP_DELAY=" + t.stop.String(), "CHAOS_GRACE=" + t.grace.String()}
}

// grace is many times what rollcall needs to learn of a signal.
const grace = 300 * time.Millisecond

// Run starts a container of the app's image.
func (a *App) Run(t lab.T, engine *lab.Engine, witness *Witness, takes times, more ...string) *lab.Container {
	t.Helper()
	flags := []string{"--volume", witness.Dir + ":/witness"}
	for _, variable := range takes.environment() {
		flags = append(flags, "--env", variable)
	}
	return engine.Run(t, a.ref, append(flags, more...)...)
}

// Service is the name of the service that rollcall makes of such containers.
func (a *App) Service() string { return path.Base(a.ref) }
