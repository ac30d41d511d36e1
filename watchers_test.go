package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var watchFor = flag.Duration("watch-for", 600*time.Millisecond, "how long TestManyWatchers changes the registry, without watchers and with them")

// crowd is many watchers of one /v1/watch, on connections of their own.
type crowd struct {
	conns     []net.Conn
	reading   sync.WaitGroup
	snapshots atomic.Int64 // events that all have got together
}

func newCrowd(t *testing.T, address string, size int) *crowd {
	c := &crowd{}
	for range size {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c.conns = append(c.conns, conn)
		fmt.Fprint(conn, "GET /v1/watch HTTP/1.1\r\nHost: localhost\r\n\r\n")
		c.reading.Go(func() {
			lines := bufio.NewReaderSize(conn, 64<<10)
			for {
				line, err := lines.ReadSlice('\n')
				if err != nil && err != bufio.ErrBufferFull {
					return
				}
				if bytes.Equal(line, []byte("event: snapshot\n")) {
					c.snapshots.Add(1)
				}
			}
		})
	}
	return c
}

func (c *crowd) leave() {
	for _, conn := range c.conns {
		conn.Close()
	}
	c.reading.Wait()
}

// changeFor changes the registry ten times a second and returns how long each
// change took, shortest first.
func changeFor(r *Registry, d time.Duration) (took []time.Duration) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	members := r.List()
	for n := 0; n < max(6, int(d/(100*time.Millisecond))); n++ {
		<-tick.C
		id := members[n/2%len(members)].ContainerID
		began := time.Now()
		if n%2 == 0 {
			r.Drain(id, "it was drained by hand")
		} else {
			r.Undrain(id)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took
}

func percentiles(took []time.Duration) string {
	return fmt.Sprintf("median %v, 99th percentile %v, longest %v, of %d changes", took[len(took)/2], took[len(took)*99/100], took[len(took)-1], len(took))
}

// 500 watchers take nothing from the registry: it wakes one goroutine, however
// many there are. A minute of it: go test -run TestManyWatchers -v . -watch-for 1m
func TestManyWatchers(t *testing.T) {
	const watchers = 500
	before := runtime.NumGoroutine()
	registry := NewRegistry(quiet(), time.Minute)
	registry.Replace(engineA, manyBackends(10, 3))
	connectAll(registry)
	registrar := NewRegistrar(newEngineInMemory(), registry, helloRules, time.Hour, quiet())
	watch := NewWatch(registry, registrar)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { watch.Run(ctx) })
	server := httptest.NewServer(watch)

	alone := changeFor(registry, *watchFor)
	crowd := newCrowd(t, server.Listener.Addr().String(), watchers)
	eventually(t, "all watch", func() bool { return crowd.snapshots.Load() >= watchers })
	watched := changeFor(registry, *watchFor)
	eventually(t, "all have seen several versions", func() bool { return crowd.snapshots.Load() >= 5*watchers })
	t.Logf("a change of the registry without watchers: %s", percentiles(alone))
	t.Logf("with %d watchers, who got %d snapshots: %s", watchers, crowd.snapshots.Load(), percentiles(watched))
	if median := watched[len(watched)/2]; median > 5*time.Millisecond {
		t.Errorf("with watchers a change takes %v", median)
	}

	crowd.leave()
	eventually(t, "the server has let go of all", func() bool { return runtime.NumGoroutine() <= before+2 }) // Run, and the listener's
	stop()
	running.Wait()
	server.Close()
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}
