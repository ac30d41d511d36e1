package dockertest

import (
	"context"
	"time"
)

// faults is what is wrong with an engine, guarded by Engine.mu.
type faults struct {
	lists    []fault // of the next calls, in order
	inspects []fault
	pings    []fault
	slow     time.Duration
	hangAll  bool
	healed   chan struct{} // closed and renewed by Heal

	dropEvents    bool
	doubleEvents  bool
	reorderEvents bool
}

// A fault is what happens to calls instead of an answer.
type fault struct {
	calls    int // < 0: all
	status   int
	hang     bool
	truncate bool
	body     string
}

// take returns the fault of this call, if it has one.
func take(queue *[]fault) (fault, bool) {
	if len(*queue) == 0 {
		return fault{}, false
	}
	f := &(*queue)[0]
	if f.calls > 0 {
		f.calls--
	}
	taken := *f
	if f.calls == 0 {
		*queue = (*queue)[1:]
	}
	return taken, true
}

func (e *Engine) fault(queue *[]fault, f fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f.calls != 0 {
		*queue = append(*queue, f)
	}
}

// FailLists lets the next n lists answer with an HTTP status. n < 0 means all,
// until Heal, here and below; faults of the same kind of call follow each other.
func (e *Engine) FailLists(n, status int) { e.fault(&e.faults.lists, fault{calls: n, status: status}) }

// HangLists lets the next n lists wait for Heal (and then succeed), for Down, or
// for the client to go.
func (e *Engine) HangLists(n int) { e.fault(&e.faults.lists, fault{calls: n, hang: true}) }

// TruncateLists lets the connections of the next n lists break in the middle of
// the answer.
func (e *Engine) TruncateLists(n int) { e.fault(&e.faults.lists, fault{calls: n, truncate: true}) }

// GarbleLists lets the next n lists answer 200 with this body.
func (e *Engine) GarbleLists(n int, body string) {
	e.fault(&e.faults.lists, fault{calls: n, body: body})
}

// SlowLists lets each list take this long, until Heal.
func (e *Engine) SlowLists(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults.slow = d
}

// FailInspects lets the next n inspects answer with an HTTP status.
func (e *Engine) FailInspects(n, status int) {
	e.fault(&e.faults.inspects, fault{calls: n, status: status})
}

// HangInspects lets the next n inspects wait like HangLists.
func (e *Engine) HangInspects(n int) { e.fault(&e.faults.inspects, fault{calls: n, hang: true}) }

// GarbleInspects lets the next n inspects answer 200 with this body.
func (e *Engine) GarbleInspects(n int, body string) {
	e.fault(&e.faults.inspects, fault{calls: n, body: body})
}

// FailPings lets the next n pings answer with an HTTP status. A client that has
// no answer to HEAD may try GET, which is another ping.
func (e *Engine) FailPings(n, status int) { e.fault(&e.faults.pings, fault{calls: n, status: status}) }

// HangAll lets every call wait like HangLists, until Heal. Open event streams
// stay open.
func (e *Engine) HangAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults.hangAll = true
}

// DropEvents loses all events that happen while it is on.
func (e *Engine) DropEvents(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults.dropEvents = on
}

// DoubleEvents sends each event twice.
func (e *Engine) DoubleEvents(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults.doubleEvents = on
}

// ReorderEvents lets every second event overtake the one before it. Turned off,
// it sends the one that still waits.
func (e *Engine) ReorderEvents(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reorder(on)
}

func (e *Engine) reorder(on bool) {
	e.faults.reorderEvents = on
	if !on && e.held != nil {
		e.send(*e.held)
		e.held = nil
	}
}

// CutEvents breaks the connections of all open event streams.
func (e *Engine) CutEvents() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.streams {
		close(s.cut)
		delete(e.streams, s)
	}
	e.changed.Broadcast()
}

// Heal ends all faults. Calls that hang are answered, an engine that is down
// comes up.
func (e *Engine) Heal() {
	e.mu.Lock()
	e.reorder(false)
	close(e.faults.healed)
	e.faults = faults{healed: make(chan struct{})}
	e.mu.Unlock()
	e.Up()
}

// hang waits until the engine is healed; false if the client has gone before.
func (e *Engine) hang(ctx context.Context) bool {
	e.mu.Lock()
	healed := e.faults.healed
	e.mu.Unlock()
	select {
	case <-healed:
		return true
	case <-ctx.Done():
		return false
	}
}

// delay waits for SlowLists; false if the client has gone before.
func (e *Engine) delay(ctx context.Context) bool {
	e.mu.Lock()
	slow, healed := e.faults.slow, e.faults.healed
	e.mu.Unlock()
	if slow <= 0 {
		return true
	}
	timer := time.NewTimer(slow)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-healed:
	case <-ctx.Done():
		return false
	}
	return true
}
