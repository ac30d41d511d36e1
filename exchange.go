package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"rollcall/internal/http1"
)

// Exchange is one request's way to an answer: which backends it tried, whether
// it may try another one, and how long it may wait for one. It knows nothing of
// how a request is sent. Owned by the goroutine that serves the request.
type Exchange struct {
	registry *Registry
	patience *Patience
	snapshot *Snapshot
	service  *Service
	backend  *Backend // that is tried now, or that answered; counted by Begin
	tried    []attempt

	key   uint64 // what of the request decides, for the balancer
	token string // of the client's sticky cookie

	idempotent bool // sending it twice does no harm (RFC 9110, section 9.2.2)
	deadline   time.Time
	held       bool // counted in patience.waiting
	stale      int  // attempts on connections that were closed already
	retries    int  // attempts after the first
	lastErr    error
	began      time.Time // the request
	sent       time.Time // the present attempt
}

type attempt struct {
	backend *Backend
	life    uint32 // of the backend, at the attempt
}

// Patience bounds how long, and how many, requests wait for a usable backend.
type Patience struct {
	Hold    time.Duration // the longest wait
	Limit   int64         // requests that may wait at one time
	waiting atomic.Int64
}

// Waiting returns how many requests wait now.
func (p *Patience) Waiting() int64 { return p.waiting.Load() }

// grace is how long a request whose every backend failed waits for the registry
// to learn of it: the engine tells of a killed container some milliseconds after
// its connections broke.
const grace = 250 * time.Millisecond

var (
	errNoBackend = errors.New("no usable backend")
	errHoldFull  = errors.New("no usable backend, and too many requests wait for one")
)

// start makes x ready for a request to a service of snapshot.
func (x *Exchange) start(registry *Registry, patience *Patience, snapshot *Snapshot, service *Service, r *http.Request, rules *ForwardedRules) {
	*x = Exchange{registry: registry, patience: patience, snapshot: snapshot, service: service, idempotent: isIdempotent(r.Method), tried: x.tried[:0], began: time.Now()}
	x.key = service.balancer.Key(r, rules)
	if cookie := service.Lead.Sticky; cookie != "" {
		x.token = cookieValue(r, cookie)
	}
	service.budget.earn()
}

// isIdempotent follows RFC 9110, section 9.2.2.
func isIdempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// finish ends the counting that Next began.
func (x *Exchange) finish() {
	x.release()
	if x.backend != nil {
		x.backend.End()
		x.backend = nil
	}
	clear(x.tried)
	*x = Exchange{tried: x.tried[:0]} // it will be used again; no snapshot is to live on in it
}

// Tried tells whether the request has been sent to b in vain. A backend that
// became reachable again since is as good as a new one.
func (x *Exchange) Tried(b *Backend) bool {
	for _, a := range x.tried {
		if a.backend == b && a.life == b.life.Load() {
			return true
		}
	}
	return false
}

// Replayable tells whether the request may be sent again after a backend may
// have seen it.
func (x *Exchange) Replayable() bool { return x.idempotent }

// Next returns a backend that the request has not tried. When there is none it
// waits for one to become usable: at most Patience.Hold, or grace if what was
// tried still counts as usable. Then it returns errNoBackend, or the last
// attempt's error if there was one and its backend counts as usable still.
func (x *Exchange) Next(ctx context.Context) (*Backend, error) {
	for {
		if b := x.service.Pick(x); b != nil {
			return x.begin(b), nil
		}
		err := x.wait(ctx)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return nil, err
		}
		for _, b := range x.service.lastHope {
			if !x.Tried(b) {
				return x.begin(b), nil
			}
		}
		if x.lastErr != nil && len(x.service.backends) > 0 {
			return nil, x.lastErr
		}
		return nil, err
	}
}

func (x *Exchange) begin(b *Backend) *Backend {
	x.release()
	x.tried = append(x.tried, attempt{b, b.life.Load()})
	x.backend = b
	if x.sent = x.began; len(x.tried) > 1 || x.stale > 0 || !x.deadline.IsZero() {
		x.sent = time.Now() // the request's beginning is long ago
	}
	b.Begin()
	return b
}

// wait returns nil when a newer snapshot is there.
func (x *Exchange) wait(ctx context.Context) error {
	if !x.held {
		if x.patience.waiting.Add(1) > x.patience.Limit {
			x.patience.waiting.Add(-1)
			return errHoldFull
		}
		x.held = true
		if x.deadline.IsZero() {
			x.deadline = time.Now().Add(x.patience.Hold)
		}
	}
	end := time.Until(x.deadline)
	if len(x.service.backends) > 0 {
		end = min(end, grace)
	}
	if end <= 0 {
		return errNoBackend
	}
	watchClient(ctx)
	timer := time.NewTimer(end)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return errNoBackend
	case <-x.snapshot.Superseded():
	}
	x.snapshot = x.registry.Snapshot()
	service := x.snapshot.Service(x.service.Name)
	if service == nil {
		return errNoBackend // its last container was removed
	}
	x.service = service
	return nil
}

func (x *Exchange) release() {
	if x.held {
		x.held = false
		x.patience.waiting.Add(-1)
	}
}

// Answered notes that the backend sent a response head.
func (x *Exchange) Answered(status int) {
	b := x.backend
	b.answer(status, time.Since(x.sent))
	if !b.answered.Load() {
		b.answered.Store(true)
	}
	if b.streak.Load() != 0 {
		b.streak.Store(0)
	}
	if b.trying.Load() {
		x.registry.Recovered(b)
		b.trying.Store(false)
	}
}

// ejectAfter is how many failures in a row take a backend out of rotation.
const ejectAfter = 5

// Failed notes that the attempt on the backend ended without a response head,
// and tells whether the request may go to another one. bodyLost says that its
// body can't be sent from the beginning again.
func (x *Exchange) Failed(err *http1.Error, bodyLost bool) (again bool) {
	b, life := x.backend, x.tried[len(x.tried)-1].life
	b.End()
	x.backend = nil
	x.lastErr = err
	trial := b.trying.Swap(false)
	switch err.Kind {
	case http1.Refused, http1.Body, http1.Canceled:
		return false // the client's doing
	case http1.Dial:
		if isPeersFault(err) {
			b.failures.Add(1)
			x.registry.Unreachable(b, causeOf(err), reasonOf(err))
		}
	case http1.Stale:
		// It closed a connection that was idle: no failure, and the next
		// connection to the same backend is as good as any.
		x.tried = x.tried[:len(x.tried)-1]
		if x.stale++; x.stale <= maxStale && !bodyLost && (x.idempotent || !err.Wrote) {
			x.retry(err.Kind)
			return true
		}
	default:
		b.failures.Add(1)
		if err.Kind == http1.Broken && !b.answered.Load() && x.registry.Unready(b, life, "it closed a connection instead of answering") {
			break
		}
		if streak := b.streak.Add(1); trial || streak >= ejectAfter {
			x.registry.Eject(b, fmt.Sprintf("%d requests in a row failed, the last one: %s", streak, err.Kind))
		}
	}
	if bodyLost || err.Kind == http1.Timeout || err.Kind == http1.Malformed {
		return false
	}
	if err.Wrote && !x.idempotent {
		return false // it may have been acted upon
	}
	if !x.service.budget.spend() {
		return false
	}
	x.retry(err.Kind)
	return true
}

// retry counts that the request goes to another backend, or once more to one that
// it did not reach.
func (x *Exchange) retry(failure http1.Kind) {
	x.retries++
	x.service.traffic.retried(failure)
}

// maxStale bounds the attempts that are not counted as failures.
const maxStale = 3

// isPeersFault tells a backend that can't be connected to from a rollcall that
// can't connect (out of files, out of ports).
func isPeersFault(err error) bool {
	var timeout net.Error
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) ||
		errors.Is(err, syscall.ECONNRESET) || errors.As(err, &timeout) && timeout.Timeout()
}
