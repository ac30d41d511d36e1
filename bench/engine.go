package main

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"rollcall/e2e/lab"
	"rollcall/internal/docker/dockertest"
)

// startEngine starts a fake Docker engine, which ends with t.
func startEngine(t lab.T) *dockertest.Engine { return dockertest.New(engineT{t: t}) }

// addContainers makes the backends containers of an engine, the oldest first.
// They are found as rollcall finds all containers, and at the addresses that their
// ports are published on.
func addContainers(e *dockertest.Engine, backends []string) {
	for i, b := range backends {
		addr := netip.MustParseAddrPort(b)
		e.Add(dockertest.Image("hello"), dockertest.Published(addr.Addr().String(), addr.Port(), 8080),
			dockertest.CreatedAt(time.Now().Add(time.Duration(i-len(backends))*time.Second)))
	}
}

// engineT is a lab.T as the fake engine wants it. What a testing.TB has beyond
// that must not be called.
type engineT struct {
	testing.TB
	t lab.T
}

func (e engineT) Helper()                           { e.t.Helper() }
func (e engineT) Name() string                      { return e.t.Name() }
func (e engineT) Context() context.Context          { return e.t.Context() }
func (e engineT) Cleanup(f func())                  { e.t.Cleanup(f) }
func (e engineT) Logf(format string, args ...any)   { e.t.Logf(format, args...) }
func (e engineT) Errorf(format string, args ...any) { e.t.Errorf(format, args...) }
func (e engineT) Fatalf(format string, args ...any) { e.t.Fatalf(format, args...) }
func (e engineT) Failed() bool                      { return e.t.Failed() }
