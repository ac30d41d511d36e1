package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// AccessLog writes a line for each request that the proxy has answered. Requests
// leave their line in memory; one goroutine, Run's, takes what has gathered to the
// sink. When that is slower than the requests, lines are dropped and counted: no
// request ever waits for a log.
type AccessLog struct {
	sink   io.Writer
	json   bool // else text
	log    *slog.Logger
	client func(*http.Request) netip.Addr

	mu      sync.Mutex // guards pending; held for no longer than a copy takes
	pending []byte     // whole lines, at most accessLogLimit bytes
	wake    chan struct{}
	dropped atomic.Uint64
}

const (
	accessLogOff      = "off"
	accessLogLimit    = 4 << 20  // bytes that wait for the sink, besides those that it is taking
	accessLogBatch    = 64 << 10 // so many are not kept waiting for the time to come
	accessLogInterval = time.Second
	accessLogPatience = time.Second // with the sink, at the end
)

// newAccessLog returns the log of a format, "text" or "json", to sink.
func newAccessLog(format string, sink io.Writer, forwarded *ForwardedRules, log *slog.Logger) *AccessLog {
	return &AccessLog{sink: sink, json: format == "json", log: log, client: forwarded.client, wake: make(chan struct{}, 1)}
}

// Dropped returns how many lines have been lost so far.
func (l *AccessLog) Dropped() uint64 { return l.dropped.Load() }

// write leaves an entry's line for the sink, or drops it.
func (l *AccessLog) write(e *accessEntry) {
	var buffer [1024]byte
	line := buffer[:0] // not on the heap, since no one keeps it
	if l.json {
		line = appendAccessJSON(line, e)
	} else {
		line = appendCombined(line, e)
	}
	l.mu.Lock()
	fits := len(l.pending)+len(line) <= accessLogLimit
	if fits {
		l.pending = append(l.pending, line...)
	}
	enough := len(l.pending) >= accessLogBatch
	l.mu.Unlock()
	if !fits {
		l.dropped.Add(1)
	}
	if enough {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// Run takes lines to the sink, at least each second, until ctx is done; then what
// is left, if the sink takes it in time. A sink that does not keeps a goroutine
// that ends with the process.
func (l *AccessLog) Run(ctx context.Context) error {
	flushed := make(chan struct{})
	go func() {
		defer close(flushed)
		l.flushUntil(ctx)
	}()
	tick := time.NewTicker(accessLogInterval)
	defer tick.Stop()
	told, telling := uint64(0), false
	for {
		select {
		case <-tick.C:
			told, telling = l.tell(told, telling)
		case <-ctx.Done():
			late, stop := until(time.Now().Add(accessLogPatience))
			defer stop()
			select {
			case <-flushed:
			case <-late:
				l.log.Warn("the last lines of the access log are lost, standard output does not take them")
			}
			return nil
		}
	}
}

// tell logs, once, that lines are being dropped, and that they no longer are.
func (l *AccessLog) tell(told uint64, telling bool) (now uint64, still bool) {
	now = l.Dropped()
	switch {
	case now > told && !telling:
		l.log.Warn("access log lines are dropped, standard output does not take them fast enough", "dropped", now)
	case now == told && telling:
		l.log.Info("access log lines are no longer dropped", "dropped", now)
	}
	return now, now > told
}

func (l *AccessLog) flushUntil(ctx context.Context) {
	tick := time.NewTicker(accessLogInterval)
	defer tick.Stop()
	var spare []byte
	for {
		select {
		case <-ctx.Done():
			l.flush(spare)
			return
		case <-tick.C:
		case <-l.wake:
		}
		spare = l.flush(spare)
	}
}

// flush writes what has gathered and returns it as the next spare; spare takes
// its place.
func (l *AccessLog) flush(spare []byte) []byte {
	l.mu.Lock()
	lines := l.pending
	l.pending = spare[:0]
	l.mu.Unlock()
	if len(lines) == 0 {
		return lines
	}
	if n, err := l.sink.Write(lines); err != nil {
		l.dropped.Add(uint64(bytes.Count(lines[n:], []byte{'\n'})))
	}
	return lines
}
