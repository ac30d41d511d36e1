package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// crossing is a connection on which the backend's end and a request cross: when the request with that number is
// written, after the pool has looked, the backend hangs up first.
type crossing struct {
	*net.TCPConn
	mu     sync.Mutex // writes come from two goroutines
	writes int
	at     int
	hangUp func()
}

func (c *crossing) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.writes++
	if c.writes == c.at {
		c.hangUp()
		// The end has to be here: it is the next thing that would be read.
		var eye eye
		eye.open(c.TCPConn)
		for eye.idle() {
			runtime.Gosched()
		}
	}
	c.mu.Unlock()
	return c.TCPConn.Write(p)
}

// What never reached a backend may be sent again, whatever it is. A backend that has read it and hangs up looks the
// same but for the acknowledgement.
func TestUnseenRequests(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells what was acknowledged")
	}
	for name, tc := range map[string]struct {
		method, body string
		crosses      bool // else the backend reads the request, and then hangs up
	}{
		"GET crosses":        {"GET", "", true},
		"POST crosses":       {"POST", "body", true},
		"large POST crosses": {"POST", strings.Repeat("x", 30<<10), true},
		"GET is read":        {"GET", "", false},
		"POST is read":       {"POST", "body", false},
		"large POST is read": {"POST", strings.Repeat("x", 30<<10), false},
	} {
		t.Run(name, func(t *testing.T) {
			hangUp, gone := make(chan struct{}), make(chan struct{})
			b := serve(t, func(p peer) {
				p.head()
				p.say(ok)
				if p.n > 1 {
					p.gone()
					return
				}
				if !tc.crosses {
					p.head()
					io.CopyN(io.Discard, p.Reader, int64(len(tc.body)))
					return // serve closes it
				}
				<-hangUp
				p.TCPConn.Close()
				close(gone)
			})
			dials := 0
			pool := b.pool(t, &Options{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				c := &crossing{TCPConn: nc.(*net.TCPConn), hangUp: func() { close(hangUp); <-gone }}
				if dials++; tc.crosses && dials == 1 {
					c.at = 2
				}
				return c, nil
			}})
			ask(t, pool)
			var body io.Reader
			if tc.body != "" {
				body = bufio.NewReader(strings.NewReader(tc.body)) // not in memory, as far as the pool can know
			}
			req := newRequest(t, tc.method, "/", body)
			req.ContentLength = int64(len(tc.body))
			resp, err := pool.RoundTrip(req)
			if err == nil {
				// Nothing of the body was taken yet, or there is none: the pool itself sends it again.
				if content(t, resp); !tc.crosses || b.conns.Load() != 2 {
					t.Errorf("answered over %d connections", b.conns.Load())
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || e.Kind != Stale || e.Wrote == tc.crosses {
				t.Errorf("%+v; want Stale, and Wrote only if it arrived", err)
			}
		})
	}
}
