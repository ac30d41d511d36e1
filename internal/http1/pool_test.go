package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// A POST on an idle connection that the backend has closed got 502 once.
func TestClosedIdleConnection(t *testing.T) {
	for name, hangup := range map[string]func(p peer){
		"FIN": func(p peer) { p.CloseWrite() },
		"RST": func(p peer) { p.SetLinger(0) },
	} {
		t.Run(name, func(t *testing.T) {
			closed := make(chan struct{})
			b := serve(t, func(p peer) {
				p.head()
				p.say(ok)
				if p.n == 1 {
					hangup(p)
					p.TCPConn.Close()
					close(closed)
					return
				}
				p.gone()
			})
			pool := b.pool(t, nil)
			ask(t, pool)
			<-closed
			resp, err := pool.RoundTrip(newRequest(t, "POST", "/", struct{ io.Reader }{strings.NewReader("x")}))
			if err != nil {
				t.Fatal(err)
			}
			content(t, resp)
			if b.conns.Load() != 2 {
				t.Error(b.conns.Load(), "connections")
			}
		})
	}
}

// Several dead ones on top of each other, and a live one below.
func TestNextIdleConnection(t *testing.T) {
	const n = 5
	var gate sync.WaitGroup
	gate.Add(n)
	die := make(chan struct{})
	var dead sync.WaitGroup
	dead.Add(n - 1)
	b := serve(t, func(p peer) {
		p.head()
		gate.Done()
		gate.Wait()
		p.say(ok)
		if p.n > 1 {
			<-die
			p.TCPConn.Close()
			dead.Done()
			return
		}
		p.head()
		p.say(ok)
		p.gone()
	})
	pool := b.pool(t, nil)
	var all sync.WaitGroup
	for range n {
		all.Go(func() { ask(t, pool) })
	}
	all.Wait()
	close(die)
	dead.Wait()
	if got := ask(t, pool); got != "ok" || b.conns.Load() != n || pool.Idle() > n {
		t.Errorf("%q over %d connections", got, b.conns.Load())
	}
}

// Bytes that come on an idle connection are nobody's answer.
func TestUnaskedBytes(t *testing.T) {
	sent := make(chan struct{})
	b := serve(t, func(p peer) {
		p.head()
		p.say(ok)
		if p.n == 1 {
			p.say("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
			close(sent)
		}
		p.gone()
	})
	pool := b.pool(t, nil)
	ask(t, pool)
	<-sent
	if got := ask(t, pool); got != "ok" || b.conns.Load() != 2 {
		t.Errorf("%q over %d connections", got, b.conns.Load())
	}
}

// A backend that takes the request and hangs up: whether that may be tried again is for the caller to say.
func TestHangup(t *testing.T) {
	for name, tc := range map[string]struct {
		first  string
		second func(p peer)
		want   Kind
		reused bool
	}{
		"fresh":                    {"", nil, Broken, false},
		"reused":                   {ok, func(p peer) { p.head() }, Stale, true},
		"reused, head begun":       {ok, func(p peer) { p.head(); p.say("HTTP/1.1 20") }, Broken, true},
		"reused, after interim":    {ok, func(p peer) { p.head(); p.say("HTTP/1.1 103 Early\r\n\r\n") }, Broken, true},
		"reused, then reset":       {ok, func(p peer) { p.head(); p.SetLinger(0) }, Stale, true},
		"reused, answer is no RFC": {ok, func(p peer) { p.head(); p.say("Hello!\r\n\r\n") }, Malformed, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := serve(t, func(p peer) {
				p.head()
				p.say(tc.first)
				if tc.second != nil {
					tc.second(p)
				}
			})
			pool := b.pool(t, nil)
			if tc.second != nil {
				ask(t, pool)
			}
			e := failure(t, pool, newRequest(t, "GET", "/", nil))
			if e.Kind != tc.want || e.Reused != tc.reused || !e.Wrote || e.BodyTaken {
				t.Errorf("%+v", e)
			}
		})
	}
}

// brittle is a connection whose second request can't be written, as if it had broken after the look.
type brittle struct {
	net.Conn
	n      int
	broken bool
}

func (c *brittle) Write(p []byte) (int, error) {
	if c.n++; c.n > 1 && c.broken {
		return 0, errors.New("broken pipe")
	}
	return c.Conn.Write(p)
}

func TestNothingWrittenIsTriedAgain(t *testing.T) {
	b := serveHTTP(t, echo)
	dials := 0
	pool := b.pool(t, &Options{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials++
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &brittle{Conn: c, broken: dials == 1}, err
	}})
	ask(t, pool)
	ask(t, pool)
	if dials != 2 {
		t.Error(dials, "dials")
	}
	pool.CloseIdleConnections()

	dials = 0
	ask(t, pool)
	req := newRequest(t, "POST", "/", struct{ io.Reader }{strings.NewReader("x")})
	req.ContentLength = 1
	if e := failure(t, pool, req); e.Kind != Stale || e.Wrote || !e.BodyTaken {
		t.Errorf("%+v", e)
	}
}

func TestMostRecentlyUsedFirst(t *testing.T) {
	release := make(chan struct{})
	b := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-release
		}
		fmt.Fprint(w, r.RemoteAddr)
	})
	pool := b.pool(t, nil)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			resp, err := pool.RoundTrip(newRequest(t, "GET", "/wait", nil))
			if err == nil {
				content(t, resp)
			}
		})
	}
	eventually(t, func() bool { return b.conns.Load() == 3 }, "3 connections")
	close(release)
	all.Wait()
	first := ask(t, pool)
	for range 5 {
		if got := ask(t, pool); got != first {
			t.Errorf("%s after %s", got, first)
		}
	}
}

func TestMaxIdle(t *testing.T) {
	var gate sync.WaitGroup
	gate.Add(5)
	b := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { gate.Done(); gate.Wait() })
	n := new(counter)
	pool := b.pool(t, &Options{MaxIdle: 2, Dial: n.dial})
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { ask(t, pool) })
	}
	all.Wait()
	if pool.Idle() != 2 || n.open.Load() != 2 {
		t.Error(pool.Idle(), n.open.Load())
	}
}

func TestIdleTimeout(t *testing.T) {
	b := serveHTTP(t, echo)
	n := new(counter)
	pool := b.pool(t, &Options{IdleTimeout: 20 * time.Millisecond, Dial: n.dial})
	for range 2 {
		ask(t, pool)
		eventually(t, func() bool { return pool.Idle() == 0 && n.open.Load() == 0 }, "idle for ever")
	}
	if b.conns.Load() != 2 {
		t.Error(b.conns.Load(), "connections")
	}
}

// Close lets a busy connection finish; a later request is served, and nothing is kept.
func TestClose(t *testing.T) {
	release := make(chan struct{})
	b := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-release
		io.WriteString(w, "done")
	})
	n := new(counter)
	pool := b.pool(t, &Options{Dial: n.dial})
	resp, err := pool.RoundTrip(newRequest(t, "GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	pool.Close()
	close(release)
	if got := content(t, resp); got != "done" {
		t.Error(got)
	}
	if got := ask(t, pool); got != "done" || n.open.Load() != 0 || pool.Idle() != 0 {
		t.Error(got, n.open.Load(), pool.Idle())
	}
}

// A body that isn't read to its end: the connection goes with it, unless the rest is here already.
func TestUnreadBody(t *testing.T) {
	b := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Repeat("x", map[string]int{"/small": 100, "/large": 1 << 20}[r.URL.Path]))
	})
	for path, idle := range map[string]int{"/small": 1, "/large": 0} {
		pool := b.pool(t, nil)
		resp, err := pool.RoundTrip(newRequest(t, "GET", path, nil))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Read(make([]byte, 10))
		resp.Body.Close()
		if pool.Idle() != idle {
			t.Errorf("%s: %d idle", path, pool.Idle())
		}
		if _, err := resp.Body.Read(make([]byte, 10)); err != http.ErrBodyReadAfterClose {
			t.Error(err)
		}
	}
}

// A body that is used after its end must not reach the connection, which serves another request.
func TestBodyAfterItsEnd(t *testing.T) {
	b := serve(t, func(p peer) {
		p.head()
		p.say(ok)
		p.head()
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsec")
		p.Peek(1)
		p.say("ond")
		p.gone()
	})
	pool := b.pool(t, nil)
	first, err := pool.RoundTrip(newRequest(t, "GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	content(t, first)
	second, err := pool.RoundTrip(newRequest(t, "GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := first.Body.Read(make([]byte, 10)); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
	first.Body.Close()
	one := make([]byte, 3)
	if _, err := io.ReadFull(second.Body, one); string(one) != "sec" || err != nil {
		t.Error(string(one), err)
	}
	second.Body.Close()
}

func TestCloseDuringRead(t *testing.T) {
	b := serve(t, func(p peer) {
		p.head()
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nsome")
		p.gone()
	})
	resp, err := b.pool(t, nil).RoundTrip(newRequest(t, "GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	io.ReadFull(resp.Body, make([]byte, 4))
	read := make(chan error)
	go func() {
		_, err := resp.Body.Read(make([]byte, 10))
		read <- err
	}()
	resp.Body.Close()
	if err := <-read; err != http.ErrBodyReadAfterClose {
		t.Error(err)
	}
}

func TestCancel(t *testing.T) {
	stages := map[string]func(p peer){
		"before the head": func(p peer) { p.head(); p.gone() },
		"in the head":     func(p peer) { p.head(); p.say("HTTP/1.1 200 OK\r\n"); p.gone() },
		"in the body":     func(p peer) { p.head(); p.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome"); p.gone() },
		"in a chunk": func(p peer) {
			p.head()
			p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nsome")
			p.gone()
		},
		"in an interim": func(p peer) { p.head(); p.say("HTTP/1.1 103 Early\r\n\r\n"); p.gone() },
		"not reading":   func(p peer) { p.Peek(1); <-t.Context().Done() },
	}
	why := errors.New("client is gone")
	for name, script := range stages {
		for _, upload := range []bool{false, true} {
			for _, late := range []time.Duration{0, 5 * time.Millisecond, 150 * time.Millisecond} {
				if name == "not reading" && !upload {
					continue
				}
				t.Run(fmt.Sprint(name, upload, late), func(t *testing.T) {
					t.Parallel()
					gone := make(chan struct{})
					b := serve(t, func(p peer) {
						if name == "not reading" {
							p.Peek(1)
							<-gone
							return
						}
						script(p)
						close(gone)
					})
					n := new(counter)
					pool := b.pool(t, &Options{Dial: n.dial})
					ctx, cancel := context.WithCancelCause(context.Background())
					req := newRequest(t, "GET", "/", nil)
					if upload {
						req = newRequest(t, "POST", "/", readFunc(func(p []byte) (int, error) { return len(p), ctx.Err() }))
					}
					time.AfterFunc(late, func() { cancel(why) })
					resp, err := pool.RoundTrip(req.WithContext(ctx))
					if err == nil {
						_, err = io.ReadAll(resp.Body)
						resp.Body.Close()
					}
					if !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					eventually(t, func() bool { return n.open.Load() == 0 }, "connection open")
					if name == "not reading" {
						close(gone)
					}
				})
			}
		}
	}
}

func TestContextDeadline(t *testing.T) {
	b := serve(t, func(p peer) { p.head(); p.gone() })
	for _, d := range []time.Duration{time.Millisecond, 120 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		e := failure(t, b.pool(t, nil), newRequest(t, "GET", "/", nil).WithContext(ctx))
		cancel()
		if e.Kind != Canceled || !errors.Is(e, context.DeadlineExceeded) || !e.Timeout() {
			t.Errorf("%+v", e)
		}
	}
}

// The deadline of a slow exchange must not reach into the next one, nor a context that ends after its exchange.
func TestNothingIsLeftOfASlowExchange(t *testing.T) {
	slow := make(chan struct{})
	b := serve(t, func(p peer) {
		p.head()
		<-slow
		p.say(ok)
		for p.head() != "" {
			p.say(ok)
		}
	})
	pool := b.pool(t, &Options{HeadTimeout: 10 * time.Second})
	time.AfterFunc(glance+50*time.Millisecond, func() { close(slow) })
	for range 3 {
		ctx, cancel := context.WithCancel(context.Background())
		resp, err := pool.RoundTrip(newRequest(t, "GET", "/", nil).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		content(t, resp)
		cancel()
	}
	if b.conns.Load() != 1 {
		t.Error(b.conns.Load(), "connections")
	}
}

func TestUpgrade(t *testing.T) {
	b := serve(t, func(p peer) {
		p.head()
		p.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ")
		io.Copy(p.TCPConn, p.Reader)
	})
	pool := b.pool(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	req := newRequest(t, "GET", "/", nil).WithContext(ctx)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := pool.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	cancel() // the connection isn't the request's any more
	rwc := resp.Body.(io.ReadWriteCloser)
	io.WriteString(rwc, "world")
	rwc.(interface{ CloseWrite() error }).CloseWrite()
	if got, err := io.ReadAll(rwc); string(got) != "hello world" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	rwc.Close()
	if pool.Idle() != 0 {
		t.Error("kept")
	}
}

// Many requests of all kinds at the same time: each gets its own answer, and at the end there is nothing left, no goroutine, no
// connection (see backend.pool).
func TestNothingLeaks(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("load", func(t *testing.T) {
		b := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/abort":
				panic(http.ErrAbortHandler)
			case "/early":
				w.WriteHeader(400)
			case "/stream":
				for range 10 {
					io.WriteString(w, "chunk")
					w.(http.Flusher).Flush()
				}
			case "/large":
				w.Write(make([]byte, 1<<20))
			default:
				w.Header().Set("Id", r.Header.Get("Id"))
				io.Copy(w, r.Body)
			}
		})
		pool := b.pool(t, &Options{MaxIdle: 4})
		var all sync.WaitGroup
		for worker := range 8 {
			all.Go(func() {
				for i := range 200 {
					oneOfMany(t, pool, worker, i)
				}
			})
		}
		all.Wait()
	})
	eventually(t, func() bool { return runtime.NumGoroutine() <= before }, "goroutines left")
	if t.Failed() {
		buf := make([]byte, 1<<16)
		t.Logf("%s", buf[:runtime.Stack(buf, true)])
	}
}

func oneOfMany(t *testing.T, pool *Pool, worker, i int) {
	paths := []string{"/", "/", "/abort", "/early", "/stream", "/large", "/cancel", "/close"}
	path := paths[(worker+i)%len(paths)]
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	id := fmt.Sprint(worker, "-", i)
	var body io.Reader
	if i%2 == 0 {
		body = io.LimitReader(strings.NewReader(strings.Repeat(id, 1000)), int64(len(id)*(1+i*4)))
	}
	req := newRequest(t, "PUT", path, body).WithContext(ctx)
	req.Header.Set("Id", id)
	if path == "/cancel" {
		time.AfterFunc(time.Duration(i)*time.Microsecond, cancel)
	}
	resp, err := pool.RoundTrip(req)
	if err != nil {
		if path != "/abort" && path != "/cancel" {
			t.Error(path, err)
		}
		return
	}
	defer resp.Body.Close()
	if path == "/close" {
		return
	}
	b, err := io.ReadAll(bufio.NewReader(resp.Body))
	switch {
	case path == "/cancel":
	case err != nil:
		t.Error(path, err)
	case path == "/" && (resp.Header.Get("Id") != id || len(b) > 0 && !strings.HasPrefix(string(b), id)):
		t.Errorf("%s got the answer of %s: %.20q", id, resp.Header.Get("Id"), b)
	}
}
