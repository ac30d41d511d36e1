package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Rollcall is a rollcall that runs as a process on this host.
type Rollcall struct {
	URL   string // of the proxy: http://127.0.0.1:PORT
	Admin string // of the admin listener, "" if it is off
	Log   *Log

	process *os.Process
	ended   chan struct{} // closed at the end of the process
	state   *os.ProcessState
	client  *http.Client
}

// Serve starts rollcall for an engine on free ports, waits until it serves, and
// ends it with t. flags are rollcall's own and win over the lab's.
func (l *Lab) Serve(t T, e *Engine, flags ...string) *Rollcall {
	t.Helper()
	return l.ServeProgram(t, l.Command(t, l.Rollcall(t, false), e, flags...))
}

// Command makes the command that Serve starts, to be changed before it is given
// to ServeProgram.
func (l *Lab) Command(t T, program string, e *Engine, flags ...string) *exec.Cmd {
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--docker-host", e.Host, "--log-format", "json"}, flags...)
	cmd := exec.Command(program, args...)
	cmd.Env = environment()
	return cmd
}

// environment is this process's without what rollcall would read.
func environment() []string {
	var env []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "ROLLCALL_") && !strings.HasPrefix(variable, "DOCKER_") {
			env = append(env, variable)
		}
	}
	return env
}

// ServeProgram starts a rollcall and waits until it serves.
func (l *Lab) ServeProgram(t T, cmd *exec.Cmd) *Rollcall {
	t.Helper()
	r := &Rollcall{Log: &Log{}, ended: make(chan struct{}), client: newClient()}
	cmd.Stdout, cmd.Stderr = r.Log, r.Log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	go func() {
		// The signal comes at the death of the thread that started it, so that
		// thread is kept.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // ProcessState tells more
			r.state = cmd.ProcessState
			close(r.ended)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("%v", err)
	}
	r.process = cmd.Process
	t.Cleanup(func() {
		_ = r.process.Signal(syscall.SIGKILL) // it may have ended long ago
		<-r.ended
		r.client.CloseIdleConnections()
		if t.Failed() {
			t.Logf("rollcall's log:\n%s", r.Log)
		}
	})
	Await(t, "rollcall serves", func() error {
		if lines := r.Log.Lines("rollcall serves"); len(lines) > 0 {
			r.URL = "http://" + lines[0].Fields["listen"]
			if admin := lines[0].Fields["admin"]; admin != "off" {
				r.Admin = "http://" + admin
			}
			return nil
		}
		select {
		case <-r.ended:
			t.Fatalf("rollcall ended: %v\n%s", r.state, r.Log)
		default:
		}
		return errors.New("the log does not say so")
	})
	return r
}

// RollcallAt is a rollcall that someone else has started, such as compose. It has
// no log and no process.
func RollcallAt(url, admin string) *Rollcall {
	return &Rollcall{URL: url, Admin: admin, Log: &Log{}, client: newClient()}
}

// Outcome is what a command has come to.
type Outcome struct {
	Code     int
	Out, Err string
}

// Outcome runs a rollcall command to its end.
func (l *Lab) Outcome(t T, args ...string) Outcome {
	t.Helper()
	cmd := exec.Command(l.Rollcall(t, false), args...)
	cmd.Env = environment()
	return l.OutcomeOf(t, cmd)
}

// OutcomeOf runs a command to its end, which must come within Patience.
func (l *Lab) OutcomeOf(t T, cmd *exec.Cmd) Outcome {
	t.Helper()
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v", err)
	}
	late := time.AfterFunc(Patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !late.Stop() {
		t.Fatalf("%s did not end within %v; it said:\n%s%s", strings.Join(cmd.Args, " "), Patience, &out, &problems)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v", err)
	}
	return Outcome{cmd.ProcessState.ExitCode(), out.String(), problems.String()}
}

// newClient makes a client that asks no proxy and follows no redirect.
func newClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       Patience,
	}
}

// PID is the process's.
func (r *Rollcall) PID() int { return r.process.Pid }

// Signal sends the process a signal.
func (r *Rollcall) Signal(t T, signal os.Signal) {
	t.Helper()
	if err := r.process.Signal(signal); err != nil {
		t.Fatalf("%v to rollcall: %v", signal, err)
	}
}

// Ended is closed when the process has ended.
func (r *Rollcall) Ended() <-chan struct{} { return r.ended }

// AwaitEnd waits for the process's end and returns its state.
func (r *Rollcall) AwaitEnd(t T) *os.ProcessState {
	t.Helper()
	select {
	case <-r.ended:
		return r.state
	case <-time.After(Patience):
		t.Fatalf("rollcall did not end within %v", Patience)
		return nil
	}
}

// Answer is an HTTP answer, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	From   string // the container's hostname that answered, by its own word
}

func (a Answer) String() string {
	return fmt.Sprintf("%d %q from %q, Rollcall-Error %q", a.Status, strings.TrimSpace(a.Body), a.From, a.Header.Get("Rollcall-Error"))
}

// Do sends a request, whose URL may be a path of the proxy's and whose Host
// counts.
func (r *Rollcall) Do(request *http.Request) (Answer, error) {
	response, err := r.client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, err
	}
	return Answer{response.StatusCode, response.Header, string(body), response.Header.Get("X-Hello")}, nil
}

// TryGet asks the proxy for a path, with a Host unless that is "".
func (r *Rollcall) TryGet(ctx context.Context, host, path string) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL+path, nil)
	if err != nil {
		return Answer{}, err
	}
	request.Host = host
	return r.Do(request)
}

// Get asks the proxy for a path.
func (r *Rollcall) Get(t T, path string) Answer {
	t.Helper()
	return r.GetHost(t, "", path)
}

// GetHost is Get with a Host of its own.
func (r *Rollcall) GetHost(t T, host, path string) Answer {
	t.Helper()
	answer, err := r.TryGet(t.Context(), host, path)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return answer
}

// TryGetAdmin asks the admin listener for a path.
func (r *Rollcall) TryGetAdmin(ctx context.Context, path string) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Admin+path, nil)
	if err != nil {
		return Answer{}, err
	}
	return r.Do(request)
}

// GetAdmin asks the admin listener for a path.
func (r *Rollcall) GetAdmin(t T, path string) Answer {
	t.Helper()
	answer, err := r.TryGetAdmin(t.Context(), path)
	if err != nil {
		t.Fatalf("GET %s of the admin listener: %v", path, err)
	}
	return answer
}

// Backend is one entry of the admin listener's list.
type Backend struct {
	Service     string `json:"service"`
	ContainerID string `json:"container_id"`
	Container   string `json:"container"`
	Address     string `json:"address"`
	State       string `json:"state"`
	Reason      string `json:"reason"`
	InFlight    int64  `json:"in_flight"`
	Requests    uint64 `json:"requests"`
	Failures    uint64 `json:"failures"`
}

// Backends asks the admin listener for a container's backends; it does not know
// all containers, but all that rollcall uses.
func (r *Rollcall) Backends(t T, c *Container) []Backend {
	t.Helper()
	answer := r.GetAdmin(t, "/v1/backends")
	var all, found []Backend
	if err := json.Unmarshal([]byte(answer.Body), &all); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	for _, b := range all {
		if b.ContainerID == c.ID {
			found = append(found, b)
		}
	}
	return found
}

// State returns the state that the log told last of a container: "healthy",
// "stopped", "gone"; "" if it was never told of.
func (r *Rollcall) State(c *Container) string {
	state := ""
	for _, line := range r.Log.Lines("backend ") {
		if line.Fields["id"] == c.Hostname() {
			state = strings.TrimPrefix(line.Msg, "backend ")
		}
	}
	return state
}

// AwaitState waits until the log tells that a container is in a state.
func (r *Rollcall) AwaitState(t T, c *Container, state string) {
	t.Helper()
	Await(t, fmt.Sprintf("container %s is %s", c.Hostname(), state), func() error {
		if now := r.State(c); now != state {
			return fmt.Errorf("it is %q", now)
		}
		return nil
	})
}

// AwaitServedBy waits until the answers to a path come from just these
// containers: so many requests in a row that each would have been asked thrice.
// An answer that is rollcall's own, or another's, is not counted as a failure
// but waited out. host is as in GetHost.
func (r *Rollcall) AwaitServedBy(t T, host, path string, containers ...*Container) {
	t.Helper()
	want := map[string]bool{}
	for _, c := range containers {
		want[c.Hostname()] = true
	}
	Await(t, fmt.Sprintf("%s%s is served by %v", host, path, slices.Sorted(maps.Keys(want))), func() error {
		got := map[string]bool{}
		for range 3 * len(containers) {
			answer, err := r.TryGet(t.Context(), host, path)
			if err != nil {
				return err
			}
			if answer.From == "" {
				return fmt.Errorf("the answer is %s", answer)
			}
			got[answer.From] = true
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("it is served by %v", slices.Sorted(maps.Keys(got)))
		}
		return nil
	})
}
