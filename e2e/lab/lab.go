// Package lab is the ground that programs stand on which try rollcall against
// real engines: it builds rollcall and images, runs containers, compose projects
// and engines of its own, starts rollcall, asks it, and leaves nothing behind.
//
//	func TestMain(m *testing.M) {
//		os.Exit(lab.Main(func(l *lab.Lab) int { ground = l; return m.Run() }))
//	}
//
//	func TestStop(t *testing.T) {
//		engine := ground.Machine()                // the machine's engine
//		image := engine.Image(t, "stop", lab.App) // "rollcall-e2e/stop-RUN"
//		a, b := engine.Run(t, image), engine.Run(t, image, "--env", "HELLO_STOP_DELAY=2s")
//		rollcall := ground.Serve(t, engine, "--image", image)
//		rollcall.AwaitState(t, a, "healthy")
//		a.Stop(t)
//		answer := rollcall.Get(t, "/")            // answer.From is b.Hostname()
//	}
//
// All methods that take a T fail it when something goes wrong, and register with
// it the end of what they made. A *testing.T is a T; Program makes one for a
// program that is no test.
//
// Containers, networks and images carry the label e2e.rollcall=RUN, and RUN is
// also in their names, so that a rollcall under test can be told to look at those
// images only. RUN names this process. What it made is
// removed at its end, whatever end that is: a second process waits for it (see
// broom.go), and each start sweeps up after runs whose process is gone.
//
// The lab never touches containers that it did not make, and does nothing to the
// machine's engine but make and remove its own.
package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Label is on all that a lab makes; its value is the lab's Run. It does not begin
// with "rollcall.", which would make backends of all containers.
const Label = "e2e.rollcall"

// prefix begins the names of all that is made by labs.
const prefix = "rollcall-e2e-"

// Patience is how long the lab waits for something that should happen at once:
// the machine may be busy with other work.
const Patience = 60 * time.Second

// Lab is what one process works in.
type Lab struct {
	Run    string // names this process, see runOf
	Dir    string // for files of this run
	Source string // rollcall's repository

	machine     *Engine
	built       map[string]func() (string, error) // what go build made, by name; fixed from the beginning
	dockerfiles func() error                      // buildDockerfiles, once

	contained      sync.Once
	containedImage string // of rollcall, see ServeContained

	mu      sync.Mutex // guards the following fields
	serial  int
	tidying map[T]map[*Engine][]string // containers to remove at the end of each T
}

// Main opens the lab, runs f in it, removes all that was made and returns f's
// exit code. It is to be called first of all in main or TestMain, since the
// program is also its own broom.
func Main(f func(*Lab) int) int {
	if run := os.Getenv(broomVariable); run != "" {
		return beBroom(run)
	}
	l, err := open()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		return 1
	}
	leave, err := l.startBroom()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		return 1
	}
	code := f(l)
	if err := sweep(context.Background(), l.machine, l.Run); err != nil {
		fmt.Fprintln(os.Stderr, "lab: tidying up:", err)
		code = max(code, 1)
	}
	leave()
	return code
}

func open() (*Lab, error) {
	host, err := machineHost()
	if err != nil {
		return nil, err
	}
	source, err := repository()
	if err != nil {
		return nil, err
	}
	run, err := runOf(os.Getpid())
	if err != nil {
		return nil, err
	}
	l := &Lab{Run: run, Dir: runDir(run), Source: source, tidying: map[T]map[*Engine][]string{}}
	l.machine = &Engine{Host: host, lab: l}
	l.dockerfiles = sync.OnceValue(l.buildDockerfiles)
	l.built = map[string]func() (string, error){
		"rollcall":      l.build("rollcall", "."),
		"rollcall-race": l.build("rollcall-race", ".", "-race"),
		string(App):     l.build("app", "./e2e/app"),
		string(Hello):   l.build("hello", "./hello"),
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	if _, err := l.machine.Try(ctx, "version"); err != nil {
		return nil, fmt.Errorf("the tests need a Docker engine: %w", err)
	}
	sweepDead(ctx, l.machine)
	// Readable for all: a test runs rollcall as another user.
	if err := os.Mkdir(l.Dir, 0o755); err != nil {
		return nil, err
	}
	return l, nil
}

// Machine returns the machine's own engine.
func (l *Lab) Machine() *Engine { return l.machine }

// Rollcall returns the path of the rollcall program, built with the race detector
// or as it is released.
func (l *Lab) Rollcall(t T, race bool) string {
	t.Helper()
	if race {
		return l.binary(t, "rollcall-race")
	}
	return l.binary(t, "rollcall")
}

func (l *Lab) binary(t T, name string) string {
	t.Helper()
	path, err := l.built[name]()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return path
}

// build builds a package of the repository, once.
func (l *Lab) build(name, pkg string, flags ...string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		path := filepath.Join(l.Dir, name)
		cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-o", path}, flags...), pkg)...)
		cmd.Dir = l.Source
		cmd.Env = os.Environ()
		if len(flags) == 0 {
			cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
		}
		return path, nil
	})
}

// Name makes a name that no one else uses, from a word that tells what it is.
func (l *Lab) Name(word string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serial++
	return fmt.Sprintf("%s%s-%s-%d", prefix, l.Run, word, l.serial)
}

// tidy removes a container at the end of t. All of a T are removed with one
// command, which is much faster than one by one.
func (l *Lab) tidy(t T, e *Engine, container string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tidying[t] == nil {
		l.tidying[t] = map[*Engine][]string{}
		t.Cleanup(func() {
			l.mu.Lock()
			all := l.tidying[t]
			delete(l.tidying, t)
			l.mu.Unlock()
			for engine, containers := range all {
				engine.remove(t, containers)
			}
		})
	}
	l.tidying[t][e] = append(l.tidying[t][e], container)
}

// repository finds rollcall's source: the directory of the main module.
func repository() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	file := strings.TrimSpace(string(out))
	if err != nil || file == "" || file == os.DevNull {
		return "", fmt.Errorf("no Go module here: run this in rollcall's repository")
	}
	return filepath.Dir(file), nil
}
