package http1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// watched counts what is done to a body.
type watched struct {
	io.Reader
	reads, closes atomic.Int32
	closed        chan struct{} // if not nil, closed by the first Close
}

func (w *watched) Read(p []byte) (int, error) {
	w.reads.Add(1)
	return w.Reader.Read(p)
}

func (w *watched) Close() error {
	if w.closes.Add(1) == 1 && w.closed != nil {
		close(w.closed)
	}
	return nil
}

// inMem is a body that says how much of it is there.
type inMem struct{ *bytes.Reader }

func (inMem) Close() error { return nil }

func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for k := range r.Trailer {
		w.Header().Set("Echo-"+k, r.Trailer.Get(k))
	}
	w.Header().Set("Length", fmt.Sprint(r.ContentLength))
	w.Write(b)
}

func TestUpload(t *testing.T) {
	b := serveHTTP(t, echo)
	for _, size := range []int{1, 100, 4 << 10, 64 << 10, 64<<10 + 1, 68 << 10, 1 << 20, 10 << 20} {
		data := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		for name, body := range map[string]io.Reader{
			"reader":    struct{ io.Reader }{bytes.NewReader(data)},
			"in memory": inMem{bytes.NewReader(data)},
			"dribbling": struct{ io.Reader }{&dribble{data}},
		} {
			for _, length := range []int64{int64(size), -1} {
				t.Run(fmt.Sprintf("%d/%s/%d", size, name, length), func(t *testing.T) {
					if r, ok := body.(io.Seeker); ok {
						r.Seek(0, io.SeekStart)
					} else if length < 0 && name != "in memory" {
						body = struct{ io.Reader }{bytes.NewReader(data)}
					}
					pool := b.pool(t, nil)
					for range 2 {
						req := newRequest(t, "POST", "/", body)
						req.ContentLength = length
						resp, err := pool.RoundTrip(req)
						if err != nil {
							t.Fatal(err)
						}
						if got := content(t, resp); got != string(data) || resp.Header.Get("Length") != fmt.Sprint(length) {
							t.Fatalf("echo has %d bytes, announced %s", len(got), resp.Header.Get("Length"))
						}
						if pool.Idle() != 1 {
							eventually(t, func() bool { return pool.Idle() == 1 }, "not reused")
						}
						body = struct{ io.Reader }{bytes.NewReader(data)}
					}
				})
			}
		}
	}
}

// dribble gives a few bytes at a time.
type dribble struct{ data []byte }

func (d *dribble) Read(p []byte) (int, error) {
	if len(d.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 1+len(d.data)%7*len(d.data)/3)], d.data)
	d.data = d.data[n:]
	return n, nil
}

func TestRequestTrailer(t *testing.T) {
	b := serveHTTP(t, echo)
	req := newRequest(t, "POST", "/", nil)
	req.Trailer = http.Header{"X-Sum": nil}
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader("data"), callback(func() { req.Trailer.Set("X-Sum", "42") })))
	resp, err := b.pool(t, nil).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, resp); got != "data" || resp.Header.Get("Echo-X-Sum") != "42" {
		t.Error(got, resp.Header)
	}
}

// callback is an empty reader that calls.
type callback func()

func (f callback) Read([]byte) (int, error) { f(); return 0, io.EOF }

// The client keeps its body back until it has seen the answer.
func TestEarlyResponse(t *testing.T) {
	for name, length := range map[string]int64{"chunked": -1, "small": 10, "large": 1 << 20} {
		for _, first := range []string{"", "some"} {
			t.Run(name+first, func(t *testing.T) {
				b := serve(t, func(p peer) {
					p.head()
					p.say("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
					p.gone()
				})
				pool := b.pool(t, nil)
				r, w := io.Pipe()
				body := &watched{Reader: io.MultiReader(strings.NewReader(first), r), closed: make(chan struct{})}
				req := newRequest(t, "POST", "/", body)
				req.ContentLength = length
				resp, err := pool.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				if got := content(t, resp); resp.StatusCode != 413 || got != "no" {
					t.Error(resp.StatusCode, got)
				}
				<-body.closed
				if pool.Idle() != 0 {
					t.Error("a connection with half a request was kept")
				}
				w.Close()
			})
		}
	}
}

// Both directions at the same time, by turns.
func TestFullDuplex(t *testing.T) {
	b := serve(t, func(p peer) {
		p.head()
		p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			line, err := p.ReadString('\n')
			if err != nil || line == "0\r\n" {
				break
			}
			data, _ := p.ReadString('\n')
			fmt.Fprintf(p.TCPConn, "%x\r\n%s\r\n", len(data), data)
		}
		p.ReadString('\n')
		p.say("0\r\n\r\n")
		p.gone()
	})
	pool := b.pool(t, nil)
	r, w := io.Pipe()
	req := newRequest(t, "POST", "/", r)
	resp, err := pool.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		want := fmt.Sprintf("message %d\r\n", i)
		go io.WriteString(w, want[:len(want)-2])
		got := make([]byte, len(want))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
			t.Fatalf("%q %v", got, err)
		}
	}
	w.Close()
	if rest := content(t, resp); rest != "" {
		t.Errorf("rest %q", rest)
	}
	eventually(t, func() bool { return pool.Idle() == 1 }, "not reused")
}

// A client that aborts: the backend must learn it at once, and must not take the message for complete.
func TestBrokenBody(t *testing.T) {
	broken := errors.New("client is gone")
	for name, length := range map[string]int64{"chunked": -1, "small": 100, "large": 1 << 20} {
		for _, end := range []error{broken, io.EOF} {
			if length < 0 && end == io.EOF {
				continue // that is its proper end
			}
			t.Run(fmt.Sprint(name, end), func(t *testing.T) {
				got := make(chan string, 1)
				b := serve(t, func(p peer) {
					all, _ := io.ReadAll(p.Reader) // returns when the connection is closed
					got <- string(all)
				})
				body := &watched{Reader: io.MultiReader(strings.NewReader("some data"), failing{end})}
				req := newRequest(t, "POST", "/", body)
				req.ContentLength = length
				e := failure(t, b.pool(t, nil), req)
				if e.Kind != Body || !e.BodyTaken || e.BodyBusy || end == broken && !errors.Is(e, broken) {
					t.Errorf("%+v", e)
				}
				if body.closes.Load() != 0 {
					t.Error("body was closed")
				}
				if s := <-got; strings.HasSuffix(s, "0\r\n\r\n") {
					t.Errorf("looks complete: %q", s)
				}
			})
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// The same after the response head has come: its body ends with the reason.
func TestBrokenBodyAfterHead(t *testing.T) {
	b := serve(t, func(p peer) {
		p.head()
		p.say("HTTP/1.1 200 OK\r\n\r\n")
		p.gone()
	})
	r, w := io.Pipe()
	resp, err := b.pool(t, nil).RoundTrip(newRequest(t, "POST", "/", r))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("client is gone")
	w.CloseWithError(broken)
	if _, err := io.ReadAll(resp.Body); err == nil || !strings.Contains(err.Error(), broken.Error()) {
		t.Error(err)
	}
	resp.Body.Close()
}

// The backend dies while the client is silent. The caller gets its error soon, and knows that the body is lost.
func TestBodyBusy(t *testing.T) {
	r, w := io.Pipe()
	body := &watched{Reader: r}
	b := serve(t, func(p peer) {
		p.head()
		eventually(t, func() bool { return body.reads.Load() > 0 }, "the body is not read")
	})
	req := newRequest(t, "POST", "/", body)
	e := failure(t, b.pool(t, nil), req)
	if e.Kind != Broken || !e.BodyBusy || !e.BodyTaken || !e.Wrote {
		t.Errorf("%+v", e)
	}
	io.WriteString(w, "late") // ends the Read
	if body.closes.Load() != 0 || body.reads.Load() > 1 {
		t.Error("body was closed or read again")
	}
}

// After an error the body is the caller's: no Read may come later, no Close.
func TestBodyUntouchedAfterError(t *testing.T) {
	b := serve(t, func(p peer) { p.head(); p.SetLinger(0) })
	for range 50 {
		var returned atomic.Bool
		body := &watched{Reader: readFunc(func(p []byte) (int, error) {
			if returned.Load() {
				t.Error("Read after RoundTrip returned")
			}
			return len(p), nil
		})}
		req := newRequest(t, "POST", "/", body)
		req.ContentLength = 1 << 40
		e := failure(t, b.pool(t, nil), req)
		returned.Store(true)
		if e.BodyBusy || !e.BodyTaken || body.closes.Load() != 0 {
			t.Errorf("%+v", e)
		}
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// The head must not wait for a body that doesn't come.
func TestHeadGoesWithoutBody(t *testing.T) {
	arrived := make(chan string, 1)
	b := serve(t, func(p peer) {
		arrived <- p.head()
		rest := make([]byte, 10)
		io.ReadFull(p, rest)
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + string(rest))
		p.gone()
	})
	pool := b.pool(t, nil)
	r, w := io.Pipe()
	go func() {
		<-arrived
		io.WriteString(w, "01234")
		io.WriteString(w, "56789")
	}()
	req := newRequest(t, "POST", "/", r)
	req.ContentLength = 10
	resp, err := pool.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, resp); got != "0123456789" {
		t.Errorf("%q", got)
	}
	eventually(t, func() bool { return pool.Idle() == 1 }, "not reused")
}

func TestExpectContinue(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(p peer) // after the head
		status int
		sent   bool
		wait   time.Duration
	}{
		"100": {func(p peer) { p.say("HTTP/1.1 100 Continue\r\n\r\n"); p.expectBody() }, 200, true, time.Minute},
		"103 before 100": {func(p peer) {
			p.say("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
			p.expectBody()
		}, 200, true, time.Minute},
		"refused": {func(p peer) { p.say("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"); p.gone() }, 417, false, time.Minute},
		"silence": {func(p peer) { p.expectBody() }, 200, true, time.Millisecond},
	} {
		for _, length := range []int64{4, -1} {
			t.Run(fmt.Sprint(name, length), func(t *testing.T) {
				b := serve(t, func(p peer) {
					if h := p.head(); !strings.Contains(h, "Expect: 100-continue\r\n") {
						t.Errorf("head %q", h)
					}
					tc.answer(p)
				})
				pool := b.pool(t, &Options{ContinueTimeout: tc.wait})
				body := &watched{Reader: strings.NewReader("data"), closed: make(chan struct{})}
				req := newRequest(t, "POST", "/", body)
				req.ContentLength = length
				req.Header.Set("Expect", "100-continue")
				resp, err := pool.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				content(t, resp)
				<-body.closed
				if resp.StatusCode != tc.status || body.reads.Load() > 0 != tc.sent {
					t.Errorf("status %d, body read %d times", resp.StatusCode, body.reads.Load())
				}
				if !tc.sent && pool.Idle() != 0 {
					t.Error("kept a connection that waits for a body")
				}
			})
		}
	}
}

// expectBody reads "data", however it comes, and answers.
func (p peer) expectBody() {
	var got []byte
	for !bytes.Contains(got, []byte("data")) {
		c, err := p.ReadByte()
		if err != nil {
			return
		}
		got = append(got, c)
	}
	p.say(ok)
	p.gone()
}

func TestInterimTrace(t *testing.T) {
	b := serve(t, func(p peer) {
		p.head()
		p.say("HTTP/1.1 103 Early Hints\r\nLink: a\r\nLink: b\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok)
		p.gone()
	})
	var got []string
	trace := &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			got = append(got, fmt.Sprint(code, h["Link"]))
			return nil
		},
		Got100Continue: func() { got = append(got, "continue") },
	}
	req := newRequest(t, "GET", "/", nil)
	resp, err := b.pool(t, nil).RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil {
		t.Fatal(err)
	}
	content(t, resp)
	if s := strings.Join(got, " "); s != "103 [a b] continue 100 []" {
		t.Error(s)
	}
}

// A backend that answers and hangs up while the request is still being written: the answer counts.
func TestAnswerBeforeHangup(t *testing.T) {
	b := serve(t, func(p peer) {
		p.head()
		p.say("HTTP/1.1 431 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
		p.CloseWrite()
		p.gone()
	})
	req := newRequest(t, "POST", "/", readFunc(func(p []byte) (int, error) { return len(p), nil }))
	req.ContentLength = 1 << 40
	resp, err := b.pool(t, nil).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, resp); resp.StatusCode != 431 || got != "no" {
		t.Error(resp.StatusCode, got)
	}
}

// A backend that reads nothing counts against HeadTimeout; a client that sends nothing doesn't.
func TestHeadTimeout(t *testing.T) {
	b := serve(t, func(p peer) {
		p.head()
		p.gone()
	})
	stuck := serve(t, func(p peer) { p.TCPConn.SetReadBuffer(4096); p.Reader.Peek(1); <-t.Context().Done() })
	for name, body := range map[string]io.Reader{"GET": nil, "POST": strings.NewReader("x")} {
		e := failure(t, b.pool(t, &Options{HeadTimeout: 50 * time.Millisecond}), newRequest(t, "POST", "/", body))
		if e.Kind != Timeout || !e.Timeout() || !e.Wrote {
			t.Errorf("%s: %+v", name, e)
		}
	}
	req := newRequest(t, "POST", "/", readFunc(func(p []byte) (int, error) { return len(p), nil }))
	req.ContentLength = 1 << 40
	if e := failure(t, stuck.pool(t, &Options{HeadTimeout: 50 * time.Millisecond}), req); e.Kind != Timeout {
		t.Errorf("backend that doesn't read: %+v", e)
	}

	r, w := io.Pipe()
	slow := serveHTTP(t, echo)
	time.AfterFunc(150*time.Millisecond, func() { io.WriteString(w, "slow"); w.Close() })
	resp, err := slow.pool(t, &Options{HeadTimeout: 50 * time.Millisecond}).RoundTrip(newRequest(t, "POST", "/", r))
	if err != nil {
		t.Fatal("slow client:", err)
	}
	content(t, resp)
}

func TestDialErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	body := &watched{Reader: strings.NewReader("x")}
	e := failure(t, NewPool(l.Addr().String(), nil), newRequest(t, "POST", "/", body))
	if e.Kind != Dial || e.Wrote || e.BodyTaken || body.reads.Load()+body.closes.Load() > 0 {
		t.Errorf("%+v", e)
	}
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	e = failure(t, NewPool("x:1", &Options{Dial: hang, DialTimeout: time.Millisecond}), newRequest(t, "GET", "/", nil))
	if e.Kind != Dial || !e.Timeout() {
		t.Errorf("%+v", e)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("because")
	time.AfterFunc(time.Millisecond, func() { cancel(why) })
	e = failure(t, NewPool("x:1", &Options{Dial: hang}), newRequest(t, "GET", "/", nil).WithContext(ctx))
	if e.Kind != Canceled || !errors.Is(e, why) {
		t.Errorf("%+v", e)
	}
}
