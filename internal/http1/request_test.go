package http1

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"testing"
)

// written returns the request head that RoundTrip would write, its fields sorted.
func written(t *testing.T, req *http.Request) string {
	t.Helper()
	b, _, err := appendRequest(nil, req)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\r\n\r\n"), "\r\n")
	sort.Strings(lines[1:])
	return strings.Join(lines, "\n")
}

func TestRequestHead(t *testing.T) {
	body := func() io.ReadCloser { return io.NopCloser(strings.NewReader("x")) }
	for name, tc := range map[string]struct {
		req  http.Request
		want string
	}{
		"defaults":            {http.Request{Host: "a"}, "GET / HTTP/1.1\nHost: a"},
		"host of the URL":     {http.Request{URL: &url.URL{Host: "b:1"}}, "GET / HTTP/1.1\nHost: b:1"},
		"post without body":   {http.Request{Method: "POST", Host: "a"}, "POST / HTTP/1.1\nContent-Length: 0\nHost: a"},
		"delete without body": {http.Request{Method: "DELETE", Host: "a", Body: http.NoBody}, "DELETE / HTTP/1.1\nHost: a"},
		"length":              {http.Request{Method: "PUT", Host: "a", Body: body(), ContentLength: 7}, "PUT / HTTP/1.1\nContent-Length: 7\nHost: a"},
		"length not known":    {http.Request{Method: "PUT", Host: "a", Body: body()}, "PUT / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked"},
		"trailer": {http.Request{Method: "PUT", Host: "a", Body: body(), ContentLength: 7, Trailer: http.Header{"X-Sum": nil}},
			"PUT / HTTP/1.1\nHost: a\nTrailer: X-Sum\nTransfer-Encoding: chunked"},
		"close": {http.Request{Host: "a", Close: true}, "GET / HTTP/1.1\nConnection: close\nHost: a"},
		"fields": {http.Request{Host: "a", Header: http.Header{"X": {"1", "2"}, "User-Agent": {"me"}, "Te": {"trailers"}}},
			"GET / HTTP/1.1\nHost: a\nTe: trailers\nUser-Agent: me\nX: 1\nX: 2"},
		"fields that aren't the caller's": {http.Request{Host: "a", Header: http.Header{"User-Agent": {""}, "hOst": {"b"},
			"content-length": {"3"}, "Transfer-encoding": {"chunked"}, "Trailer": {"X"}}}, "GET / HTTP/1.1\nHost: a"},
	} {
		if tc.req.URL == nil {
			tc.req.URL = &url.URL{Path: "/"}
		}
		if got := written(t, &tc.req); got != tc.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, tc.want)
		}
	}
}

func TestRequestTarget(t *testing.T) {
	for want, u := range map[string]url.URL{
		"/":                       {},
		"/a%20b?c=d":              {Path: "/a b", RawQuery: "c=d"},
		"/a%2Fb":                  {Path: "/a/b", RawPath: "/a%2Fb"},
		"/a?":                     {Path: "/a", ForceQuery: true},
		"*":                       {Path: "*"},
		"//x/../y":                {Opaque: "//x/../y"},
		"/a|b\"c<>{}^`\\":         {Opaque: "/a|b\"c<>{}^`\\"},
		"/%zz?%zz;|\"":            {Opaque: "/%zz", RawQuery: "%zz;|\""},
		"/caf\xe9?\xff":           {Opaque: "/caf\xe9", RawQuery: "\xff"},
		"/opaque":                 {Opaque: "/opaque", Path: "/path", RawPath: "/raw"},
		"http://elsewhere.test/x": {Opaque: "http://elsewhere.test/x"},
	} {
		if got := string(appendTarget(nil, &u)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Nothing of these may be written, not even a connection be made.
func TestRequestRefused(t *testing.T) {
	b := serve(t, func(p peer) { p.gone() })
	pool := b.pool(t, nil)
	for name, change := range map[string]func(*http.Request){
		"CRLF in the target":       func(r *http.Request) { r.URL.Opaque = "/ HTTP/1.1\r\nX: y" },
		"space in the target":      func(r *http.Request) { r.URL.Opaque = "/a b" },
		"LF in the query":          func(r *http.Request) { r.URL.RawQuery = "a\nb" },
		"NUL in the query":         func(r *http.Request) { r.URL.RawQuery = "a\x00" },
		"DEL in the target":        func(r *http.Request) { r.URL.Opaque = "/\x7f" },
		"CRLF in the method":       func(r *http.Request) { r.Method = "GET\r\n" },
		"space in the method":      func(r *http.Request) { r.Method = "GET /" },
		"CONNECT":                  func(r *http.Request) { r.Method = "CONNECT" },
		"CRLF in Host":             func(r *http.Request) { r.Host = "a\r\nX: y" },
		"path in Host":             func(r *http.Request) { r.Host = "a/b" },
		"CR in a value":            func(r *http.Request) { r.Header["X"] = []string{"a\rb"} },
		"LF in the second value":   func(r *http.Request) { r.Header["X"] = []string{"a", "b\n"} },
		"NUL in a value":           func(r *http.Request) { r.Header["X"] = []string{"\x00"} },
		"colon in a name":          func(r *http.Request) { r.Header["X:"] = []string{"a"} },
		"space in a name":          func(r *http.Request) { r.Header["Content-Length "] = []string{"3"} },
		"CRLF in a name":           func(r *http.Request) { r.Header["X\r\nY"] = []string{"a"} },
		"empty name":               func(r *http.Request) { r.Header[""] = []string{"a"} },
		"CRLF in a trailer's name": func(r *http.Request) { r.Trailer = http.Header{"X\r\n": nil} },
		"framing field as trailer": func(r *http.Request) { r.Trailer = http.Header{"content-length": nil} },
		"no URL":                   func(r *http.Request) { r.URL = nil },
	} {
		body := &watched{Reader: strings.NewReader("x")}
		req := newRequest(t, "POST", "/", body)
		change(req)
		if e := failure(t, pool, req); e.Kind != Refused || e.Wrote || e.BodyTaken || body.reads.Load()+body.closes.Load() > 0 {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if b.conns.Load() != 0 {
		t.Error("connected")
	}
}

// A refused trailer value shows only when the body is sent: the message must not look complete.
func TestTrailerValueRefused(t *testing.T) {
	got := make(chan string, 1)
	b := serve(t, func(p peer) {
		all, _ := io.ReadAll(p.Reader)
		got <- string(all)
	})
	req := newRequest(t, "POST", "/", strings.NewReader("x"))
	req.Trailer = http.Header{"X": {"a\r\nb"}}
	if e := failure(t, b.pool(t, nil), req); e.Kind != Body {
		t.Error(e)
	}
	if s := <-got; strings.Contains(s, "0\r\n") {
		t.Errorf("complete message %q", s)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("GET", "/", "a=b", "host", "X-Name", "value")
	f.Add("POST\r\n", "/ HTTP/1.1\r\n", "\n", "a\r\nb", "X\r\nContent-Length", "1\r\n\r\n")
	f.Fuzz(func(t *testing.T, method, target, query, host, name, value string) {
		req := &http.Request{Method: method, URL: &url.URL{Opaque: "/" + target, RawQuery: query}, Host: host,
			Header: http.Header{name: {value}}}
		b, _, err := appendRequest(nil, req)
		if err != nil {
			return
		}
		head := bytes.TrimSuffix(b, []byte("\r\n\r\n"))
		lines := bytes.Split(head, []byte("\r\n"))
		if len(lines) > 4 || bytes.Count(b, []byte("\n")) != len(lines)+1 || bytes.Count(b, []byte("\r")) != len(lines)+1 {
			t.Errorf("lines: %q", b)
		}
		if bytes.Count(lines[0], []byte(" ")) != 2 {
			t.Errorf("request line: %q", lines[0])
		}
	})
}

// A head of several MiB is more than a socket takes at once.
func TestHeadLargerThanTheSocketsBuffer(t *testing.T) {
	value := strings.Repeat("x", 16<<20)
	got := make(chan int, 1)
	b := serve(t, func(p peer) {
		p.head()
		p.say(ok)
		got <- len(p.head())
		p.say(ok)
		p.gone()
	})
	pool := b.pool(t, nil)
	ask(t, pool)
	req := newRequest(t, "GET", "/", nil)
	req.Header.Set("Large", value)
	resp, err := pool.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if content(t, resp) != "ok" || b.conns.Load() != 1 {
		t.Errorf("not answered on the connection that there was")
	}
	if n := <-got; n < len(value) {
		t.Errorf("%d bytes arrived of %d", n, len(value))
	}
}
