package main

import (
	"testing"
	"testing/synctest"
	"time"
)

// eventually waits for a condition that something real (a socket, a goroutine)
// brings about, for as long as it can be expected to take on a busy machine.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("waited 20s for this: %s", what)
		}
	}
}

// pass lets time go by in a synctest bubble, and everything that is due happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
