package main

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

// A request for a service that starts waits, and goes on the moment it is ready.
func TestHoldWaitsForTheFirstBackend(t *testing.T) {
	s := newStand(t, time.Minute)
	s.registry.Replace("test", []Entry{s.runs("a", "a-1", says("here"), catchAll())})
	answered := make(chan int, 3)
	for range cap(answered) {
		go func() {
			response, err := http.Get(s.front.URL)
			if err != nil {
				answered <- 0
				return
			}
			response.Body.Close()
			answered <- response.StatusCode
		}()
	}
	eventually(t, "all wait", func() bool { return s.proxy.patience.Waiting() == int64(cap(answered)) })
	connectAll(s.registry)
	for range cap(answered) {
		if status := <-answered; status != 200 {
			t.Errorf("%d, want 200", status)
		}
	}
	if n := s.proxy.patience.Waiting(); n != 0 {
		t.Errorf("%d still count as waiting", n)
	}
}

// One replica restarts: its requests see latency, not errors, whatever their
// method.
func TestHoldThroughARestart(t *testing.T) {
	s := newStand(t, time.Minute)
	s.serves(backendOf("a", "a-1", at(closedPort(t)), catchAll())) // it has just stopped to listen
	var clients sync.WaitGroup
	for _, method := range []string{"GET", "POST", "PUT"} {
		clients.Go(func() {
			if response, body := s.ask(method, "/", "", "body"); response.StatusCode != 200 || body != "new" {
				t.Errorf("%s: %d %q", method, response.StatusCode, body)
			}
		})
	}
	eventually(t, "all wait", func() bool { return s.proxy.patience.Waiting() == 3 })
	s.serves(s.runs("a", "a-1", says("new"), catchAll())) // the same container, another address
	clients.Wait()
}

func TestHoldEnds(t *testing.T) {
	s := newStand(t, 20*time.Millisecond)
	s.registry.Replace("test", []Entry{backendOf("a", "a-1", catchAll())})
	began := time.Now()
	response, _ := s.ask("GET", "/", "", "")
	if response.StatusCode != 503 || time.Since(began) < 20*time.Millisecond {
		t.Errorf("%d after %s", response.StatusCode, time.Since(began))
	}
}

func TestHoldIsBounded(t *testing.T) {
	s := newStand(t, time.Minute)
	s.proxy.patience.Limit = 2
	s.registry.Replace("test", []Entry{backendOf("a", "a-1", catchAll(), at(closedPort(t)))})
	var waiting sync.WaitGroup
	for range 2 {
		waiting.Go(func() {
			if response, err := http.Get(s.front.URL); err == nil {
				response.Body.Close()
			}
		})
	}
	eventually(t, "two wait", func() bool { return s.proxy.patience.Waiting() == 2 })
	if response, _ := s.ask("GET", "/", "", ""); response.StatusCode != 503 {
		t.Errorf("the third got %d, want 503 at once", response.StatusCode)
	}
	s.registry.Replace("test", nil) // the service is gone: nothing to wait for
	waiting.Wait()
}

// When all that runs is unhealthy, it is used all the same; when all has
// stopped, the service is known and has no backend.
func TestHoldNotForUnhealthyOnes(t *testing.T) {
	s := newStand(t, 0)
	entry := s.runs("a", "a-1", says("sick"), catchAll())
	s.serves(entry)
	entry.Engine = EngineUnhealthy
	s.registry.Replace("test", []Entry{entry})
	if response, body := s.ask("GET", "/", "", ""); body != "sick" {
		t.Errorf("the only backend, unhealthy, answers %d %q", response.StatusCode, body)
	}
	entry.Engine, entry.Candidates = EngineStopped, ""
	s.registry.Replace("test", []Entry{entry})
	if response, _ := s.ask("GET", "/", "", ""); response.StatusCode != 503 {
		t.Errorf("a stopped service answers %d, want 503", response.StatusCode)
	}
}
