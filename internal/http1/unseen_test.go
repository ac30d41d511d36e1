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

// crossing is a connection on which the backend's end and a request cross: when the second request is about to be
// written, after the pool has looked, the backend hangs up first.
type crossing struct {
	*net.TCPConn
	once   sync.Once // writes come from two goroutines
	hangUp func()
}

// Write is for requests with a body: the first request has none.
func (c *crossing) Write(p []byte) (int, error) {
	c.cross()
	return c.TCPConn.Write(p)
}

func (c *crossing) cross() {
	c.once.Do(func() {
		c.hangUp()
		// The end has to be here: it is the next thing that would be read.
		var wire wire
		wire.open(c.TCPConn, nil)
		for wire.idle() {
			runtime.Gosched()
		}
	})
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
			first := &crossing{hangUp: func() { close(hangUp); <-gone }}
			options := &Options{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err != nil || !tc.crosses || first.TCPConn != nil {
					return nc, err
				}
				first.TCPConn = nc.(*net.TCPConn)
				return first, nil
			}}
			if tc.crosses {
				options.looked = first.cross // of the only connection that is used twice
			}
			pool := b.pool(t, options)
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
