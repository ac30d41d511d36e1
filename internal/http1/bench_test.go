package http1

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

// cannedServer answers from memory on raw connections, so that what is measured is the client's side.
func cannedServer(b *testing.B, size int) *backend {
	answer := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nDate: Tue, 24 Nov 2026 03:00:00 GMT\r\n"+
		"Server: bench\r\nContent-Length: "+strconv.Itoa(size)+"\r\n\r\n"), bytes.Repeat([]byte("x"), size)...)
	return serve(b, func(p peer) {
		r := bufio.NewReaderSize(p.TCPConn, 128<<10)
		for {
			length, err := skipHead(r)
			if err != nil {
				return
			}
			if _, err := r.Discard(length); err != nil {
				return
			}
			if _, err := p.TCPConn.Write(answer); err != nil {
				return
			}
		}
	})
}

// skipHead reads a head and returns its Content-Length, or 0.
func skipHead(r *bufio.Reader) (length int, err error) {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil || len(line) == 2 {
			return length, err
		}
		if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(n)))
		}
	}
}

// transports are the two that are compared. net/http's is set up for a proxy.
func transports(b *testing.B, addr string, f func(b *testing.B, rt http.RoundTripper)) {
	b.Run("http1", func(b *testing.B) {
		p := NewPool(addr, nil)
		defer p.Close()
		f(b, p)
	})
	b.Run("net_http", func(b *testing.B) {
		rt := &http.Transport{DisableCompression: true, MaxIdleConns: 0, MaxIdleConnsPerHost: 256,
			WriteBufferSize: 32 << 10, ReadBufferSize: 32 << 10,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr)
			}}
		defer rt.CloseIdleConnections()
		f(b, rt)
	})
}

// roundTrips sends requests one after the other on each of the goroutines, under a context that can be canceled, as a server's are.
func roundTrips(b *testing.B, rt http.RoundTripper, template *http.Request, body []byte, size int) {
	b.ReportAllocs()
	b.SetBytes(int64(size + len(body)))
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 64<<10)
		for pb.Next() {
			if got, err := roundTrip(rt, template, body, buf); err != io.EOF || got != size {
				b.Error(got, "bytes", err)
				return
			}
		}
	})
}

// roundTrip returns the length of the response's body, and its end.
func roundTrip(rt http.RoundTripper, template *http.Request, body, buf []byte) (got int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req := template.WithContext(ctx)
	if body != nil {
		req.Body = io.NopCloser(struct{ io.Reader }{bytes.NewReader(body)})
		req.ContentLength = int64(len(body))
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	for err == nil {
		var n int
		n, err = resp.Body.Read(buf)
		got += n
	}
	return got, err
}

func benchRequest(b *testing.B, method string) *http.Request {
	req := newRequest(b, method, "/path?query=1", nil)
	for k, v := range map[string]string{"Accept": "*/*", "Accept-Encoding": "gzip", "User-Agent": "bench", "X-Forwarded-For": "127.0.0.1",
		"X-Forwarded-Host": "backend.test", "X-Forwarded-Proto": "http"} {
		req.Header.Set(k, v)
	}
	return req
}

func BenchmarkGet(b *testing.B) {
	for _, bench := range []struct {
		name string
		size int
	}{{"100B", 100}, {"64KiB", 64 << 10}, {"10MiB", 10 << 20}} {
		b.Run(bench.name, func(b *testing.B) {
			transports(b, cannedServer(b, bench.size).addr, func(b *testing.B, rt http.RoundTripper) {
				roundTrips(b, rt, benchRequest(b, "GET"), nil, bench.size)
			})
		})
	}
}

func BenchmarkPost(b *testing.B) {
	for _, bench := range []struct {
		name string
		size int
	}{{"1KiB", 1 << 10}, {"64KiB", 64 << 10}, {"1MiB", 1 << 20}} {
		b.Run(bench.name, func(b *testing.B) {
			transports(b, cannedServer(b, 100).addr, func(b *testing.B, rt http.RoundTripper) {
				roundTrips(b, rt, benchRequest(b, "POST"), make([]byte, bench.size), 100)
			})
		})
	}
}

// BenchmarkProxy has a raw client, httputil.ReverseProxy, and the transport. With http1_moving, the response's body goes from socket
// to socket.
func BenchmarkProxy(b *testing.B) {
	for _, bench := range []struct {
		name string
		body int
		size int
	}{{"GET_100B", 0, 100}, {"GET_64KiB", 0, 64 << 10}, {"GET_10MiB", 0, 10 << 20}, {"POST_1KiB", 1 << 10, 100}, {"POST_64KiB", 64 << 10, 100}} {
		b.Run(bench.name, func(b *testing.B) {
			addr := cannedServer(b, bench.size).addr
			transports(b, addr, func(b *testing.B, rt http.RoundTripper) {
				throughProxy(b, proxy(b, rt), bench.body, bench.size)
			})
			if bench.size < 1<<20 {
				return
			}
			b.Run("http1_moving", func(b *testing.B) {
				p := NewPool(addr, nil)
				defer p.Close()
				throughProxy(b, movingProxy(b, p), bench.body, bench.size)
			})
		})
	}
}

func throughProxy(b *testing.B, front *httptest.Server, body, size int) {
	request := []byte("GET /path?query=1 HTTP/1.1\r\nHost: x\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	if body > 0 {
		request = append([]byte("POST /path HTTP/1.1\r\nHost: x\r\nUser-Agent: bench\r\nContent-Length: "+strconv.Itoa(body)+"\r\n\r\n"),
			make([]byte, body)...)
	}
	b.ReportAllocs()
	b.SetBytes(int64(body + size))
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", front.Listener.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		r := bufio.NewReaderSize(c, 64<<10)
		for pb.Next() {
			c.Write(request)
			length, err := skipHead(r)
			if err == nil {
				_, err = r.Discard(length)
			}
			if err != nil || length != size {
				b.Error(length, "bytes", err)
				return
			}
		}
	})
}

// BenchmarkWatch is what it costs to hear of a context's end, what is done instead (a deadline that stands for many exchanges),
// and the look at an idle connection.
func BenchmarkWatch(b *testing.B) {
	backend := cannedServer(b, 1)
	nc, err := net.Dial("tcp", backend.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	b.Run("AfterFunc", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ctx, cancel := context.WithCancel(context.Background())
			stop := context.AfterFunc(context.WithValue(ctx, b, b), func() { nc.Close() })
			stop()
			cancel()
		}
	})
	b.Run("context_alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ctx, cancel := context.WithCancel(context.Background())
			_ = context.WithValue(ctx, b, b)
			cancel()
		}
	})
	p := NewPool(backend.addr, nil)
	c := newConn(p, nc)
	b.Run("deadline_each", func(b *testing.B) {
		for b.Loop() {
			c.setDeadline(p.now() + glance)
		}
	})
	b.Run("begin", func(b *testing.B) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		for b.Loop() {
			c.begin(ctx, nil)
		}
	})
	b.Run("look", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !c.quiet() {
				b.Fatal("not quiet")
			}
		}
	})
}

func BenchmarkHead(b *testing.B) {
	raw := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nDate: Tue, 24 Nov 2026 03:00:00 GMT\r\n" +
		"Server: bench\r\nContent-Length: 100\r\n\r\n")
	b.Run("response", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f, err := inspect(raw)
			if err != nil {
				b.Fatal(err)
			}
			newAnswer(raw, &f)
		}
	})
	b.Run("request", func(b *testing.B) {
		b.ReportAllocs()
		req := benchRequest(b, "GET")
		var buf []byte
		for b.Loop() {
			buf, _, _ = appendRequest(buf[:0], req)
		}
	})
}
