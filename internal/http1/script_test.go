package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// backend is a scripted server: each connection is handed to the script, with its number.
type backend struct {
	addr  string
	conns atomic.Int32 // accepted so far
}

// peer is the server's end of a connection.
type peer struct {
	*net.TCPConn
	*bufio.Reader
	n int // 1 is the first
}

func (p peer) Read(b []byte) (int, error) { return p.Reader.Read(b) }

// WriteTo is hidden: which one of the two is meant can't be known.
func (p peer) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{p.Reader}) }

func (p peer) say(s string) { io.WriteString(p.TCPConn, s) }

// head reads a request head and returns it.
func (p peer) head() string {
	var s strings.Builder
	for {
		line, err := p.ReadString('\n')
		s.WriteString(line)
		if err != nil || line == "\r\n" {
			return s.String()
		}
	}
}

// gone waits until the client has closed the connection.
func (p peer) gone() { io.Copy(io.Discard, p.Reader) }

// serve starts a backend. At the end of the test its connections are closed and the scripts are waited for.
func serve(t testing.TB, script func(p peer)) *backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{addr: l.Addr().String()}
	var all sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			n := int(b.conns.Add(1))
			all.Go(func() {
				defer c.Close()
				script(peer{c.(*net.TCPConn), bufio.NewReader(c), n})
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return b
}

// serveHTTP starts a real server.
func serveHTTP(t testing.TB, h http.HandlerFunc) *backend {
	t.Helper()
	b := new(backend)
	s := &http.Server{Handler: h, ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			b.conns.Add(1)
		}
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return b
}

// counter counts the connections that a pool has open.
type counter struct{ open atomic.Int32 }

type countedConn struct {
	*net.TCPConn
	once sync.Once
	n    *counter
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.n.open.Add(-1) })
	return c.TCPConn.Close()
}

func (n *counter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	n.open.Add(1)
	return &countedConn{TCPConn: c.(*net.TCPConn), n: n}, nil
}

// pool returns a Pool whose connections are all closed at the end of the test, or the test fails.
func (b *backend) pool(t testing.TB, opts *Options) *Pool {
	t.Helper()
	var o Options
	if opts != nil {
		o = *opts
	}
	n := new(counter)
	if o.Dial == nil {
		o.Dial = n.dial
	}
	p := NewPool(b.addr, &o)
	t.Cleanup(func() {
		p.Close()
		eventually(t, func() bool { return n.open.Load() == 0 }, "a connection stays open")
	})
	return p
}

// eventually waits for what another goroutine is about to do.
func eventually(t testing.TB, cond func() bool, message string) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Error(message)
			return
		}
	}
}

func newRequest(t testing.TB, method, target string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, "http://backend.test"+target, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// ask sends a GET and returns the body.
func ask(t testing.TB, rt http.RoundTripper) string {
	t.Helper()
	resp, err := rt.RoundTrip(newRequest(t, "GET", "/", nil))
	if err != nil {
		t.Error(err)
		return ""
	}
	return content(t, resp)
}

func content(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	resp.Body.Close()
	return string(b)
}

// failure sends req, which has to fail.
func failure(t testing.TB, rt http.RoundTripper, req *http.Request) *Error {
	t.Helper()
	resp, err := rt.RoundTrip(req)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, %v; want an *Error", resp, err)
	}
	return e
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
