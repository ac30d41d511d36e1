package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Health follows the registry's snapshots and finds out by connecting which
// backends are ready, and at which of their candidate addresses; and by active
// checks, where labels ask for them, which of those work.
type Health struct {
	registry *Registry
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	probes   map[*Backend]*follower // running; owned by Run
	checks   map[*Backend]*follower // running; owned by Run
	ended    chan struct{}          // holds one notice that a follower has ended
}

// follower is a goroutine for one backend.
type follower struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// NewHealth returns a Health that checks the registry's backends once Run is
// called.
func NewHealth(registry *Registry) *Health {
	return &Health{registry: registry, dial: (&net.Dialer{}).DialContext, probes: map[*Backend]*follower{}, checks: map[*Backend]*follower{}, ended: make(chan struct{}, 1)}
}

// Run follows the snapshots until ctx is done, and returns when all its probes
// have ended.
func (h *Health) Run(ctx context.Context) error {
	defer h.follow(ctx, nil)
	for {
		snapshot := h.registry.Snapshot()
		h.follow(ctx, snapshot.Services())
		wait, stop := until(h.registry.NextExpiry())
		select {
		case <-ctx.Done():
			stop()
			return nil
		case <-snapshot.Superseded():
		case <-h.ended:
		case <-wait:
			h.registry.Expire()
		}
		stop()
	}
}

// until returns a channel that is ready at t, never for the zero time.
func until(t time.Time) (ready <-chan time.Time, stop func()) {
	if t.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(time.Until(t))
	return timer.C, func() { timer.Stop() }
}

// follow makes the running probes and checks those that the services' members
// need.
func (h *Health) follow(ctx context.Context, services []*Service) {
	probes, checks := map[*Backend]bool{}, map[*Backend]bool{}
	for _, s := range services {
		for i := range s.Members {
			switch m := &s.Members[i]; {
			case m.probed:
				probes[m.Backend] = true
			case m.Check.Path != "" && m.State > Paused:
				checks[m.Backend] = true
			}
		}
	}
	h.reconcile(ctx, h.probes, probes, h.probe)
	h.reconcile(ctx, h.checks, checks, h.check)
}

// reconcile starts a goroutine for each backend that is wanted and has none,
// and ends and waits for those that are no longer wanted. One that has ended by
// itself, and is wanted, is started anew: a backend may be lost again before it was
// seen that it had been reached.
func (h *Health) reconcile(ctx context.Context, running map[*Backend]*follower, wanted map[*Backend]bool, run func(context.Context, *Backend)) {
	for b, f := range running {
		if !wanted[b] || f.hasEnded() {
			f.cancel()
			<-f.done
			delete(running, b)
		}
	}
	for b := range wanted {
		if running[b] == nil {
			ctx, cancel := context.WithCancel(ctx)
			f := &follower{cancel, make(chan struct{})}
			running[b] = f
			go func() {
				run(ctx, b)
				close(f.done)
				select {
				case h.ended <- struct{}{}:
				default:
				}
			}()
		}
	}
}

func (f *follower) hasEnded() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// How often a backend is tried that no connection reaches. A connection to a
// port on which nothing listens costs some ten microseconds, so a backend that
// starts is in rotation within one beginPause of listening; one that stays away
// is tried less and less.
const (
	beginPause  = 20 * time.Millisecond
	longPause   = time.Second
	patience    = 30 * time.Second // how long beginPause is kept up
	dialTimeout = 2 * time.Second
)

// probe tries b until a connection succeeds or ctx is done.
func (h *Health) probe(ctx context.Context, b *Backend) {
	began := time.Now()
	pause := beginPause
	for {
		// One that was taken for ready too early is not so easily believed again.
		addr, err := h.connect(ctx, b.Candidates.All(), closeWatch<<(2*b.falseStarts.Load()))
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			h.registry.Connected(b, addr.String())
			return
		}
		h.registry.Unreachable(b, causeOf(err), reasonOf(err))
		sleep(ctx, pause)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > patience {
			pause = min(pause*3/2, longPause)
		}
	}
}

// connect tries the addresses and returns the first in their order that
// answers. A later one gets its turn when those before it have failed, or have
// been silent for headStart.
func (h *Health) connect(ctx context.Context, addrs []netip.AddrPort, watch time.Duration) (netip.AddrPort, error) {
	const headStart = 150 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	var tries sync.WaitGroup
	defer tries.Wait()
	defer cancel()

	if len(addrs) == 0 {
		return netip.AddrPort{}, errors.New("it has no address")
	}
	type result struct {
		place int
		err   error
	}
	results := make(chan result, len(addrs))
	tried := make(unanswered, len(addrs))
	begin := func(i int) {
		tried[i].addr = addrs[i]
		tries.Go(func() { results <- result{i, h.try(ctx, addrs[i], watch)} })
	}
	for i, failed := 0, 0; failed < len(addrs); {
		var next <-chan time.Time
		stop := func() {}
		if i < len(addrs) && failed == i { // all before it have failed
			begin(i)
			i++
		}
		if i < len(addrs) {
			next, stop = until(time.Now().Add(headStart))
		}
		select {
		case r := <-results:
			if r.err == nil {
				stop()
				return addrs[r.place], nil
			}
			tried[r.place].err = r.err
			failed++
		case <-next:
			begin(i)
			i++
		}
		stop()
	}
	return netip.AddrPort{}, tried
}

// unanswered tells what came of each address that was tried, best first. The
// best one's error is what it wraps.
type unanswered []struct {
	addr netip.AddrPort
	err  error
}

func (u unanswered) Error() string {
	if len(u) == 1 {
		return reasonOf(u[0].err)
	}
	outcomes := make([]string, len(u))
	for i, attempt := range u {
		outcomes[i] = attempt.addr.String() + ": " + reasonOf(attempt.err)
	}
	return strings.Join(outcomes, "; ")
}

func (u unanswered) Unwrap() error { return u[0].err }

// try connects once. Docker's userland proxy accepts on a published port before
// the container listens, and closes at once: a connection that ends by itself
// is no sign of life. An HTTP server waits for a request, at least as long as watch.
func (h *Health) try(ctx context.Context, addr netip.AddrPort, watch time.Duration) error {
	conn, err := h.dial(ctx, "tcp", addr.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn.SetReadDeadline(time.Now().Add(watch))
	var one [1]byte
	if _, err = conn.Read(one[:]); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return ctx.Err()
	}
	return errClosedAtOnce
}

// closeWatch is how long a connection is watched for being closed again: the
// userland proxy does so as soon as its own connection is refused, which on a busy
// machine may take longer.
const closeWatch = 10 * time.Millisecond

var errClosedAtOnce = errors.New("it accepts connections and closes them at once")

// reasonOf says in a few words why a connection failed; the address stands
// beside it in logs and tables.
func reasonOf(err error) string {
	var timeout net.Error
	var several unanswered
	switch {
	case errors.As(err, &several) && len(several) > 1:
		return several.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "no route to host"
	case errors.Is(err, syscall.ENETUNREACH):
		return "network unreachable"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return "connection reset"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err.Error()
}

// oneLine folds what a peer says into one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
