package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/http1"
)

func TestRetryGoesToAnotherBackend(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "POST"} {
		s := newStand(t, time.Second)
		s.serves(backendOf("a", "gone", at(closedPort(t)), catchAll()), s.runs("a", "there", says("there"), catchAll()))
		for range 4 {
			if response, _ := s.ask(method, "/", "", "body"); response.StatusCode != 200 {
				t.Errorf("%s: %d; a refused connection is always tried elsewhere", method, response.StatusCode)
			}
		}
		if gone := s.registry.Lookup(idOf("gone"))[0]; gone.State != Unhealthy || gone.Failures() != 1 {
			t.Errorf("%s: the closed one is %s after %d failures, want unhealthy after 1", method, gone.State, gone.Failures())
		}
	}
}

func TestRetryOfBrokenConnections(t *testing.T) {
	big := strings.Repeat("x", replayLimit+1)
	for _, c := range []struct {
		method, body string
		status       int
	}{
		{"GET", "", 200}, {"HEAD", "", 200}, {"DELETE", "", 200},
		{"PUT", "small", 200}, // kept, and sent again
		{"PUT", big, 502},     // too large to keep
		{"POST", "small", 502},
		{"POST", "", 502}, // it reached an application: never twice
		{"PATCH", "small", 502},
	} {
		s := newStand(t, time.Second)
		var seen atomic.Int32
		s.serves(
			s.breaks("a", "breaks", func(*http.Request) { seen.Add(1) }, catchAll(), created(1)),
			s.runs("a", "works", func(w http.ResponseWriter, r *http.Request) {
				if got, _ := io.ReadAll(r.Body); string(got) != c.body {
					t.Errorf("%s: %d bytes of the body arrived, want %d", c.method, len(got), len(c.body))
				}
			}, catchAll(), created(2)),
		)
		response, _ := s.ask(c.method, "/", "", c.body)
		if response.StatusCode != c.status {
			t.Errorf("%s with %d bytes: %d, want %d", c.method, len(c.body), response.StatusCode, c.status)
		}
		if seen.Load() != 1 {
			t.Errorf("%s reached the broken backend %d times, want once", c.method, seen.Load())
		}
	}
}

// Docker's userland proxy accepts connections for a container that does not
// listen yet, and may be slow to close them. Requests wait, but not for ever for a
// backend that does nothing else.
func TestRetryOfFalseStarts(t *testing.T) {
	for _, c := range []struct {
		breaks int32 // connections before it answers
		status int
	}{{1, 200}, {mostFalseStarts, 200}, {mostFalseStarts + 1, 502}} {
		s := newStand(t, time.Minute)
		var requests atomic.Int32
		s.registry.Replace("test", []Entry{s.runs("a", "a-1", func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) <= c.breaks {
				panic(http.ErrAbortHandler)
			}
		}, catchAll())})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- NewHealth(s.registry).Run(ctx) }()
		if response, _ := s.ask("GET", "/", "", ""); response.StatusCode != c.status {
			t.Errorf("%d broken connections, then %d; want %d", c.breaks, response.StatusCode, c.status)
		}
		if state := s.registry.List()[0].State; state != Healthy {
			t.Errorf("%d broken connections, and it is %s", c.breaks, state)
		}
		cancel()
		<-ended
	}
}

// Two backends that break everything get each request once, not more.
func TestRetryNeverGoesToTheSame(t *testing.T) {
	s := newStand(t, 50*time.Millisecond)
	var seen [2]atomic.Int32
	s.serves(
		s.breaks("a", "one", func(*http.Request) { seen[0].Add(1) }, catchAll()),
		s.breaks("a", "two", func(*http.Request) { seen[1].Add(1) }, catchAll()),
	)
	if response, _ := s.ask("GET", "/", "", ""); response.StatusCode != 502 {
		t.Errorf("%d, want 502", response.StatusCode)
	}
	if seen[0].Load() != 1 || seen[1].Load() != 1 {
		t.Errorf("they were tried %d and %d times", seen[0].Load(), seen[1].Load())
	}
}

// A backend that closes its idle connections is no failing backend.
func TestRetryOfStaleConnections(t *testing.T) {
	s := newStand(t, time.Second)
	server := s.runs("a", "a-1", says("ok"), catchAll())
	s.serves(server)
	s.ask("GET", "/", "", "")
	member := s.registry.List()[0]
	member.conns.closeAll() // as if it had been closed by the other side, unnoticed
	if response, _ := s.ask("GET", "/", "", ""); response.StatusCode != 200 {
		t.Errorf("%d, want 200", response.StatusCode)
	}
	if member.Failures() != 0 {
		t.Errorf("%d failures were counted", member.Failures())
	}
}

// A POST on a kept connection that was closed is sent again if it is certain that
// nobody saw it, and its body is still there.
func TestRetryOfUnseenRequests(t *testing.T) {
	for _, c := range []struct {
		failure  http1.Error
		bodyLost bool
		again    bool
	}{
		{http1.Error{Kind: http1.Stale, Wrote: false}, false, true},
		{http1.Error{Kind: http1.Stale, Wrote: false}, true, false},
		{http1.Error{Kind: http1.Stale, Wrote: true}, false, false},
		{http1.Error{Kind: http1.Broken, Wrote: true}, false, false},
	} {
		s := newStand(t, 0)
		s.serves(backendOf("a", "a-1", catchAll()))
		x := &Exchange{}
		x.start(s.registry, &s.proxy.patience, s.registry.Snapshot(), s.registry.Snapshot().Services()[0], &http.Request{Method: "POST"}, &ForwardedRules{})
		if _, err := x.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.failure.Err = io.EOF
		if again := x.Failed(&c.failure, c.bodyLost); again != c.again {
			t.Errorf("%s, wrote %t, body lost %t: again %t", c.failure.Kind, c.failure.Wrote, c.bodyLost, again)
		}
		x.finish()
	}
}

func TestRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b budget
		spent := func() (n int) {
			for b.spend() {
				n++
			}
			return n
		}
		if n := spent(); n != budgetFloor/retryCost {
			t.Errorf("a quiet service has %d retries, want %d", n, budgetFloor/retryCost)
		}
		if n := spent(); n != 0 {
			t.Errorf("%d more in the same second", n)
		}
		time.Sleep(time.Second)
		if n := spent(); n != budgetFloor/retryCost {
			t.Errorf("%d in the next second, want %d", n, budgetFloor/retryCost)
		}
		for range 100 {
			b.earn()
		}
		if n := spent(); n != 100/retryCost {
			t.Errorf("100 requests earn %d retries, want %d", n, 100/retryCost)
		}
	})
}

// Five failures in a row take a backend out; after a while one request tries it,
// and it is back.
func TestRetryEjectsAndTriesAgain(t *testing.T) {
	s := newStand(t, time.Second)
	var broken atomic.Bool
	broken.Store(true)
	s.serves(
		s.runs("a", "sick", func(w http.ResponseWriter, r *http.Request) {
			if broken.Load() {
				panic(http.ErrAbortHandler)
			}
		}, catchAll()),
		s.runs("a", "well", says("well"), catchAll()),
	)
	sick := func() Member { return s.registry.Lookup(idOf("sick"))[0] }
	for range 2 * ejectAfter {
		if response, _ := s.ask("GET", "/", "", ""); response.StatusCode != 200 {
			t.Fatalf("a request failed: %d", response.StatusCode)
		}
	}
	if sick().State != Unhealthy || sick().Failures() != ejectAfter {
		t.Fatalf("it is %s after %d failures, want unhealthy after %d", sick().State, sick().Failures(), ejectAfter)
	}
	s.registry.endEjection(idOf("sick"))
	s.ask("GET", "/", "", "") // the trial fails, and the request goes on
	if failures := sick().Failures(); failures != ejectAfter+1 || sick().trial {
		t.Errorf("after a failed trial: %d failures, another trial allowed: %v", failures, sick().trial)
	}
	broken.Store(false)
	s.registry.endEjection(idOf("sick"))
	s.ask("GET", "/", "", "")
	if sick().State != Healthy {
		t.Errorf("after a good trial it is %s: %s", sick().State, sick().Reason)
	}
}

// endEjection lets an ejection's time be over.
func (r *Registry) endEjection(containerID string) {
	r.each(containerID, func(rec *record, now time.Time) bool {
		rec.ejected.until = now
		return false
	})
	r.Expire()
}

// What only the client can have broken says nothing about a backend.
func TestRetryNotForTheClientsFaults(t *testing.T) {
	for _, kind := range []http1.Kind{http1.Body, http1.Canceled, http1.Refused} {
		s := newStand(t, 0)
		s.serves(backendOf("a", "a-1", catchAll()))
		service := s.registry.Snapshot().Services()[0]
		x := &Exchange{}
		x.start(s.registry, &s.proxy.patience, s.registry.Snapshot(), service, &http.Request{Method: "GET"}, &ForwardedRules{})
		b, err := x.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if x.Failed(&http1.Error{Kind: kind, Err: io.ErrUnexpectedEOF}, false) || b.Failures() != 0 {
			t.Errorf("%s counts as the backend's failure", kind)
		}
		x.finish()
	}
}
