package lab

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// T is what the lab needs of whatever it works for. *testing.T is one. Fatalf is
// for the goroutine that the T belongs to.
type T interface {
	Helper()
	Name() string
	Context() context.Context // done shortly before the cleanups run
	Cleanup(func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
}

// Program runs f with a T that writes to log, runs its cleanups, last to first,
// and reports whether it passed. It is what `go test` is to a test, for a program
// that is none.
func Program(ctx context.Context, name string, log io.Writer, f func(T)) (passed bool) {
	ctx, cancel := context.WithCancel(ctx)
	t := &programT{ctx: ctx, name: name, log: log}
	t.runAndWait(func() { f(t) })
	cancel()
	for {
		cleanup := t.nextCleanup()
		if cleanup == nil {
			return !t.Failed()
		}
		t.runAndWait(cleanup)
	}
}

type programT struct {
	ctx  context.Context
	name string

	mu       sync.Mutex // guards the following fields
	log      io.Writer
	failed   bool
	cleanups []func()
}

// runAndWait runs f in a goroutine of its own, which Fatalf may end.
func (t *programT) runAndWait(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if problem := recover(); problem != nil {
				t.Errorf("panic: %v\n%s", problem, debug.Stack())
			}
		}()
		f()
	}()
	<-done
}

func (t *programT) nextCleanup() func() {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := len(t.cleanups) - 1
	if last < 0 {
		return nil
	}
	cleanup := t.cleanups[last]
	t.cleanups = t.cleanups[:last]
	return cleanup
}

func (t *programT) Helper()                  {}
func (t *programT) Name() string             { return t.name }
func (t *programT) Context() context.Context { return t.ctx }

func (t *programT) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

func (t *programT) Logf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.log, format+"\n", args...)
}

func (t *programT) Errorf(format string, args ...any) {
	t.Logf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = true
}

func (t *programT) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

func (t *programT) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// Await waits until a condition holds: until check returns nil. It fails t with
// the last error after Patience.
func Await(t T, what string, check func() error) {
	t.Helper()
	AwaitWithin(t, Patience, what, check)
}

// AwaitWithin is Await with another patience.
func AwaitWithin(t T, patience time.Duration, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %v in vain until %s: %v", patience, what, err)
		}
	}
}
