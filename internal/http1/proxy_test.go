package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// proxy puts httputil.ReverseProxy in front of a RoundTripper.
func proxy(t testing.TB, rt http.RoundTripper) *httptest.Server {
	p := &httputil.ReverseProxy{
		Transport: rt,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.Trailer = r.In.Trailer // the clone's map isn't the one that the server fills
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "backend"
			path, query, forced := strings.Cut(r.In.RequestURI, "?")
			r.Out.URL.Opaque, r.Out.URL.RawQuery, r.Out.URL.ForceQuery = path, query, forced
		},
		BufferPool: bufferPool{},
		ErrorLog:   log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			var e *Error
			if errors.As(err, &e) {
				w.Header().Set("Kind", e.Kind.String())
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	s := httptest.NewUnstartedServer(p)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

type bufferPool struct{}

var copyBuffers = make(chan []byte, 64)

func (bufferPool) Get() []byte {
	select {
	case b := <-copyBuffers:
		return b
	default:
		return make([]byte, 32<<10)
	}
}

func (bufferPool) Put(b []byte) {
	select {
	case copyBuffers <- b:
	default:
	}
}

func TestProxy(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
	arrived, canceled := make(chan struct{}, 1), make(chan struct{}, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/uri/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) { w.Write(large) })
	mux.HandleFunc("/length", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "5") })
	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if bytes.Equal(b, large) {
			io.WriteString(w, "complete")
		}
	})
	mux.HandleFunc("/trailer", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.Copy(w, r.Body)
		w.Header().Set("X-Sum", "got "+r.Trailer.Get("X-In"))
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(103)
		io.WriteString(w, "hinted")
	})
	mux.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		http.NewResponseController(w).EnableFullDuplex()
		w.(http.Flusher).Flush()
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			<-r.Context().Done()
		}
		canceled <- struct{}{}
	})
	b := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.RequestURI, "//") {
			io.WriteString(w, r.RequestURI)
			return
		}
		mux.ServeHTTP(w, r)
	})
	front := proxy(t, b.pool(t, nil))
	client := front.Client()

	t.Run("raw target", func(t *testing.T) {
		for _, target := range []string{"/uri/a%2fb?q=%zz;\"|", "//x?", "/uri/|\"<>", "/uri/a%20b?", "/uri/caf\xe9"} {
			c, err := net.Dial("tcp", front.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := content(t, resp); got != target {
				t.Errorf("%q arrived as %q", target, got)
			}
			c.Close()
		}
	})
	t.Run("10 MiB down", func(t *testing.T) {
		resp, err := client.Get(front.URL + "/large")
		if err != nil {
			t.Fatal(err)
		}
		if got := content(t, resp); got != string(large) {
			t.Errorf("%d bytes", len(got))
		}
	})
	t.Run("10 MiB up", func(t *testing.T) {
		for _, body := range []io.Reader{bytes.NewReader(large), struct{ io.Reader }{bytes.NewReader(large)}} {
			resp, err := client.Post(front.URL+"/upload", "", body)
			if err != nil {
				t.Fatal(err)
			}
			if got := content(t, resp); got != "complete" {
				t.Errorf("%q", got)
			}
		}
	})
	t.Run("HEAD", func(t *testing.T) {
		resp, err := client.Head(front.URL + "/length")
		if err != nil || resp.ContentLength != 5 {
			t.Fatal(resp, err)
		}
	})
	t.Run("trailers both ways", func(t *testing.T) {
		req, _ := http.NewRequest("POST", front.URL+"/trailer", struct{ io.Reader }{strings.NewReader("data")})
		req.Trailer = http.Header{"X-In": {"this"}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got := content(t, resp); got != "data" || resp.Trailer.Get("X-Sum") != "got this" {
			t.Error(got, resp.Trailer)
		}
	})
	t.Run("103", func(t *testing.T) {
		var hints atomic.Int32
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == 103 && h.Get("Link") == "</style.css>" {
				hints.Add(1)
			}
			return nil
		}}
		req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "GET", front.URL+"/hints", nil)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got := content(t, resp); got != "hinted" || hints.Load() != 1 {
			t.Error(got, hints.Load())
		}
	})
	t.Run("client goes", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		req, _ := http.NewRequestWithContext(ctx, "GET", front.URL+"/hang", nil)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		<-arrived
		cancel()
		<-canceled
		resp.Body.Close()
	})
	t.Run("client goes in its body", func(t *testing.T) {
		c, err := net.Dial("tcp", front.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "POST /hang HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nsome")
		<-arrived
		c.Close()
		<-canceled
	})
	t.Run("expect", func(t *testing.T) {
		c, err := net.Dial("tcp", front.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "POST /trailer HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		r := bufio.NewReader(c)
		if line, err := r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%q %v", line, err)
		}
		r.ReadString('\n')
		io.WriteString(c, "data")
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := content(t, resp); got != "data" {
			t.Errorf("%q", got)
		}
	})
}

// moving copies a body to the ResponseWriter at its first Read, and then has nothing for httputil to copy. That is for bodies
// of known length only: httputil flushes the others from a goroutine of its own.
type moving struct {
	io.ReadCloser
	w io.Writer
}

func (m moving) Read([]byte) (int, error) {
	if _, err := m.ReadCloser.(io.WriterTo).WriteTo(m.w); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

type writerKey struct{}

// movingProxy is proxy with bodies that go from socket to socket.
func movingProxy(t testing.TB, rt http.RoundTripper) *httptest.Server {
	front := proxy(t, rt)
	p := front.Config.Handler.(*httputil.ReverseProxy)
	p.ModifyResponse = func(resp *http.Response) error {
		if body, ok := resp.Body.(io.WriterTo); ok && resp.ContentLength > uploadSize {
			resp.Body = moving{body.(io.ReadCloser), resp.Request.Context().Value(writerKey{}).(io.Writer)}
		}
		return nil
	}
	front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), writerKey{}, w)))
	})
	return front
}

func TestProxyMovesBodies(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
	b := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/length", "/cut":
			w.Header().Set("Content-Length", strconv.Itoa(len(large)))
		}
		if r.URL.Path == "/cut" {
			w.Write(large[:5<<20])
			panic(http.ErrAbortHandler)
		}
		w.Write(large)
	})
	pool := NewPool(b.addr, nil)
	t.Cleanup(func() { pool.Close() })
	front := movingProxy(t, pool)
	for range 2 {
		for _, path := range []string{"/length", "/chunked", "/cut"} {
			resp, err := front.Client().Get(front.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if path == "/cut" {
				if err == nil || len(got) > 5<<20 {
					t.Error("cut body:", len(got), err)
				}
			} else if err != nil || !bytes.Equal(got, large) {
				t.Errorf("%s: %d bytes, %v", path, len(got), err)
			}
		}
	}
	if pool.Idle() != 0 && b.conns.Load() > 3 {
		t.Error(b.conns.Load(), "connections")
	}
}

// A client that goes while its body is being moved, and a Close meanwhile.
func TestMovingIsInterrupted(t *testing.T) {
	b := serve(t, func(p peer) {
		p.head()
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nsome")
		p.gone()
	})
	for _, how := range []string{"cancel", "close"} {
		pool := NewPool(b.addr, nil)
		ctx, cancel := context.WithCancel(context.Background())
		resp, err := pool.RoundTrip(newRequest(t, "GET", "/", nil).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		r, w := net.Pipe()
		go func() {
			io.ReadFull(r, make([]byte, 4))
			if how == "cancel" {
				cancel()
			} else {
				resp.Body.Close()
			}
		}()
		_, err = io.Copy(struct {
			io.Writer
			io.ReaderFrom
		}{w, readFrom{w}}, resp.Body)
		if want := map[string]error{"cancel": context.Canceled, "close": http.ErrBodyReadAfterClose}[how]; err != want {
			t.Error(how, err)
		}
		resp.Body.Close()
		cancel()
		pool.Close()
	}
}

type readFrom struct{ io.Writer }

func (w readFrom) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{w}, r) }

// Each event arrives before the next one is made.
func TestProxyEventStream(t *testing.T) {
	next := make(chan struct{})
	b := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 5 {
			io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
			<-next
		}
	})
	front := proxy(t, b.pool(t, nil))
	resp, err := front.Client().Get(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		got := make([]byte, len("data: x\n\n"))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != "data: x\n\n" {
			t.Fatalf("%q %v", got, err)
		}
		next <- struct{}{}
	}
	if rest := content(t, resp); rest != "" {
		t.Error(rest)
	}
}

func TestProxyUpgrade(t *testing.T) {
	b := serve(t, func(p peer) {
		p.head()
		p.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ")
		io.Copy(p.TCPConn, p.Reader)
	})
	n := new(counter)
	front := proxy(t, b.pool(t, &Options{Dial: n.dial}))
	c, err := net.Dial("tcp", front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	for _, message := range []string{"one", "two", "three"} {
		io.WriteString(c, message)
		want := message
		if message == "one" {
			want = "hello one"
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
			t.Fatalf("%q %v", got, err)
		}
	}
	c.Close()
	eventually(t, func() bool { return n.open.Load() == 0 }, "connection to the backend stays")
}

func TestProxyAnswersBadGateway(t *testing.T) {
	b := serve(t, func(p peer) { p.head(); p.say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1") })
	front := proxy(t, b.pool(t, &Options{HeadTimeout: time.Minute}))
	resp, err := front.Client().Get(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	content(t, resp)
	if resp.StatusCode != 502 || resp.Header.Get("Kind") != Malformed.String() {
		t.Error(resp.StatusCode, resp.Header)
	}
}

// All of the body is in the buffer, which the head has made large: there is nothing to move.
func TestMoveWhatIsHere(t *testing.T) {
	filler := strings.Repeat("X-Filler: "+strings.Repeat("x", 90)+"\r\n", 600)
	large := strings.Repeat("y", uploadSize+100)
	b := serve(t, func(p peer) {
		for p.head() != "" {
			p.say("HTTP/1.1 200 OK\r\n" + filler + "Content-Length: " + strconv.Itoa(len(large)) + "\r\n\r\n" + large)
		}
	})
	pool := NewPool(b.addr, nil)
	defer pool.Close()
	for range 20 {
		resp, err := pool.RoundTrip(newRequest(t, "GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if n, err := io.Copy(&got, resp.Body); err != nil || n != int64(len(large)) || got.String() != large {
			t.Error(n, err)
		}
		resp.Body.Close()
	}
	if b.conns.Load() != 1 {
		t.Error(b.conns.Load(), "connections")
	}
}
