package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// outcome is all that a caller can see of a response.
type outcome struct {
	Err           error // of RoundTrip
	Status, Proto string
	Code          int
	Header        http.Header
	Length        int64
	Close         bool
	Coding        []string
	Body          string
	Cut           bool // the body ended with an error
	Trailer       http.Header
}

func observe(rt http.RoundTripper, req *http.Request) outcome {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return outcome{Err: err}
	}
	defer resp.Body.Close()
	o := outcome{Status: resp.Status, Proto: resp.Proto, Code: resp.StatusCode, Header: resp.Header,
		Length: resp.ContentLength, Close: resp.Close, Coding: resp.TransferEncoding}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		b, err := io.ReadAll(resp.Body)
		o.Body, o.Cut = string(b), err != nil
	}
	o.Trailer = resp.Trailer
	return o
}

// alike removes the differences that are meant:
//
//   - net/http deletes Connection if it says close, and with it the names of other hop-by-hop fields
//   - net/http adds Cache-Control to Pragma
//   - of a body that is cut off, how much arrives is a matter of chance
func (o outcome) alike(other outcome) bool {
	normal := func(o outcome) outcome {
		o.Header = o.Header.Clone()
		delete(o.Header, "Connection")
		if o.Header.Get("Pragma") != "" {
			delete(o.Header, "Cache-Control")
		}
		if len(o.Trailer) == 0 {
			o.Trailer = nil
		}
		if len(o.Header) == 0 {
			o.Header = nil
		}
		if o.Cut {
			o.Body, o.Trailer = "", nil
		}
		return o
	}
	return reflect.DeepEqual(normal(o), normal(other))
}

func (o outcome) String() string {
	if o.Err != nil {
		return "error: " + o.Err.Error()
	}
	return fmt.Sprintf("%s %q close=%v length=%d %v %v body=%.40q cut=%v trailer=%v",
		o.Proto, o.Status, o.Close, o.Length, o.Header, o.Coding, o.Body, o.Cut, o.Trailer)
}

// standard returns net/http's transport, set up as a proxy would.
func standard(t testing.TB, addr string) *http.Transport {
	rt := &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	t.Cleanup(rt.CloseIdleConnections)
	return rt
}

// responses are sent by a backend that then says nothing more. The outcome is that of net/http, unless the case names a Kind: then
// ours refuses what net/http takes.
var responses = []struct {
	name   string
	method string // GET
	raw    string
	ours   Kind // 0: as net/http
	reuse  bool // the connection serves another request
}{
	{"plain", "", ok, 0, true},
	{"empty body", "", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, true},
	{"no reason", "", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", 0, true},
	{"no reason, no space", "", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 0, true},
	{"odd status", "", "HTTP/1.1 799 Odd  one \r\nContent-Length: 2\r\n\r\nok", 0, true},
	{"repeated fields keep their order", "", "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: b\r\nX: \r\nSET-COOKIE:\tc \t\r\nContent-Length: 0\r\n\r\n", 0, true},
	{"obs-text in a value", "", "HTTP/1.1 200 OK\r\nX: caf\xe9\r\nContent-Length: 0\r\n\r\n", 0, true},
	{"many fields", "", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Many: "+strings.Repeat("v", 50)+"\r\n", 500) + "Content-Length: 0\r\n\r\n", 0, true},
	{"close", "", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 0, false},
	{"close among others", "", "HTTP/1.1 200 OK\r\nConnection: X-Hop, Close\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nok", 0, false},
	{"until close", "", "HTTP/1.1 200 OK\r\n\r\nall of this", 0, false},
	{"HTTP/1.0", "", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 0, false},
	{"HTTP/1.0 until close", "", "HTTP/1.0 200 OK\r\n\r\nall of this", 0, false},
	{"HTTP/1.0 keep-alive", "", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 0, true},
	{"body cut short", "", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok", 0, false},
	{"unasked bytes behind", "", ok + "HTTP/1.1 200 OK\r\n", 0, false},
	{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 0, true},
	{"HEAD without length", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", 0, true},
	{"HEAD chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0, true},
	{"HEAD with a body", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0, false},
	{"204", "", "HTTP/1.1 204 No Content\r\n\r\n", 0, true},
	{"204 with length", "", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", 0, false},
	{"304 with length", "", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\nEtag: x\r\n\r\n", 0, true},
	{"304 chunked", "", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 0, true},
	{"interim", "", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + ok, 0, true},
	{"interim, then nothing", "", "HTTP/1.1 103 Early Hints\r\n\r\n", 0, false},
	{"unasked 100", "", "HTTP/1.1 100 Continue\r\n\r\n" + ok, 0, true},

	{"chunked", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n", 0, true},
	{"Chunked", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding:  Chunked \r\n\r\n1\r\na\r\n0\r\n\r\n", 0, true},
	{"chunked, empty", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, true},
	{"chunk padded and extended", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2  \r\nde\r\n000;x\r\n\r\n", 0, true},
	{"chunked close", "", "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 0, false},
	{"trailer announced", "", "HTTP/1.1 200 OK\r\nTrailer: x-sum, X-Other\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 5 \r\nx-more: 6\r\n\r\n", 0, true},
	{"trailer not announced", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 5\r\nX-Sum: 6\r\n\r\n", 0, true},
	{"Trailer without chunks stays a field", "", "HTTP/1.1 200 OK\r\nTrailer: X\r\nContent-Length: 0\r\n\r\n", 0, true},
	{"chunk size missing", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n", 0, false},
	{"chunk size with sign", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n", 0, false},
	{"chunk size 0x3", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 0, false},
	{"chunk size too large", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n", 0, false},
	{"chunk longer than its size", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", 0, false},
	{"chunk line ends in LF", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 0, false},
	{"chunked cut in data", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", 0, false},
	{"chunked cut between chunks", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 0, false},
	{"chunked cut in the trailer", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n", 0, false},
	{"extensions without end", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("x", 3000)+"\r\na\r\n", 10) + "0\r\n\r\n", 0, false},

	{"nothing", "", "", 0, false},
	{"garbage", "", "SSH-2.0-OpenSSH_9.2\r\n\r\n", 0, false},
	{"cut in the status line", "", "HTTP/1.1 2", 0, false},
	{"cut in the head", "", "HTTP/1.1 200 OK\r\nContent-Le", 0, false},
	{"status with four digits", "", "HTTP/1.1 2000 OK\r\n\r\n", 0, false},
	{"status with sign", "", "HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n", Malformed, false},
	{"status below 100", "", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", Malformed, false},
	{"HTTP/2.0", "", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", Malformed, false},
	{"HTTP/1.2", "", "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", Malformed, false},
	{"http/1.1", "", "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, false},
	{"control in the reason", "", "HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n", Malformed, false},
	{"CR in the reason", "", "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n", Malformed, false},
	{"bare LF", "", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", Malformed, false},
	{"bare LF in one field", "", "HTTP/1.1 200 OK\r\nX: y\nContent-Length: 2\r\n\r\nok", Malformed, false},
	{"bare CR", "", "HTTP/1.1 200 OK\r\nX: y\rContent-Length: 2\r\n\r\nok", 0, false},
	{"NUL in a value", "", "HTTP/1.1 200 OK\r\nX: y\x00\r\n\r\n", 0, false},
	{"folded line", "", "HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n", Malformed, false},
	{"folded first line", "", "HTTP/1.1 200 OK\r\n X: y\r\n\r\n", 0, false},
	{"space before the colon", "", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", Malformed, false},
	{"empty name", "", "HTTP/1.1 200 OK\r\n: y\r\n\r\n", 0, false},
	{"no colon", "", "HTTP/1.1 200 OK\r\nX\r\n\r\n", 0, false},
	{"name with a slash", "", "HTTP/1.1 200 OK\r\nX/Y: 1\r\n\r\n", 0, false},
	{"Content-Length twice, conflicting", "", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", 0, false},
	{"Content-Length twice, equal", "", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", Malformed, false},
	{"Content-Length list", "", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", 0, false},
	{"Content-Length +2", "", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", 0, false},
	{"Content-Length -2", "", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", 0, false},
	{"Content-Length empty", "", "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok", 0, false},
	{"Content-Length too large", "", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nok", 0, false},
	{"Content-Length with chunks", "", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", Malformed, false},
	{"gzip, chunked", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0, false},
	{"chunked twice", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, false},
	{"identity", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", 0, false},
	{"chunked in HTTP/1.0", "", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Malformed, false},
	{"interim with length", "", "HTTP/1.1 103 Early\r\nContent-Length: 2\r\n\r\n" + ok, Malformed, false},
	{"101 that nobody asked for", "", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", Malformed, false},
	{"framing field as trailer", "", "HTTP/1.1 200 OK\r\nTrailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, false},
}

func TestResponses(t *testing.T) {
	for _, tc := range responses {
		t.Run(tc.name, func(t *testing.T) {
			method := tc.method
			if method == "" {
				method = "GET"
			}
			// The first answer is the case's. The second one shows whether the connection lives on.
			script := func(p peer) {
				if p.n > 1 {
					p.head()
					p.say(ok)
					return
				}
				p.head()
				p.say(tc.raw)
				if !tc.reuse {
					p.CloseWrite()
					p.gone()
					return
				}
				p.head()
				p.say(ok)
			}
			theirs := observe(standard(t, serve(t, script).addr), newRequest(t, method, "/", nil))
			b := serve(t, script)
			pool := b.pool(t, nil)
			ours := observe(pool, newRequest(t, method, "/", nil))
			t.Log("theirs:", theirs)
			t.Log("ours:  ", ours)
			var e *Error
			switch {
			case tc.ours != 0:
				if !errors.As(ours.Err, &e) || e.Kind != tc.ours || theirs.Err != nil {
					t.Errorf("want %v from ours and an answer from net/http", tc.ours)
				}
			case theirs.Err != nil:
				if ours.Err == nil {
					t.Error("ours takes what net/http refuses")
				}
			case !ours.alike(theirs):
				t.Error("not alike")
			}
			if got := ask(t, pool); got != "ok" {
				t.Errorf("next request got %q", got)
			}
			if reused := b.conns.Load() == 1; reused != tc.reuse {
				t.Errorf("connection reused: %v", reused)
			}
		})
	}
}

// What ours refuses only while it reads the body.
func TestTrailerWithFramingField(t *testing.T) {
	b := serve(t, func(p peer) {
		p.head()
		p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nContent-Length: 3\r\n\r\n")
		p.gone()
	})
	if o := observe(b.pool(t, nil), newRequest(t, "GET", "/", nil)); o.Err != nil || !o.Cut {
		t.Error(o)
	}
}

func TestHeadTooLarge(t *testing.T) {
	line := "X-Filler: " + strings.Repeat("x", 90) + "\r\n"
	for name, raw := range map[string]string{
		"one head":   "HTTP/1.1 200 OK\r\n" + strings.Repeat(line, 700) + "\r\n",
		"no end":     "HTTP/1.1 200 " + strings.Repeat("x", 70<<10),
		"interim":    strings.Repeat("HTTP/1.1 103 Early Hints\r\n"+line+"\r\n", 600) + ok,
		"a trailer":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat(line, 700) + "\r\n",
		"one line":   "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70<<10) + "\r\n\r\n",
		"fits twice": "HTTP/1.1 103 Early Hints\r\n" + strings.Repeat(line, 400) + "\r\nHTTP/1.1 200 OK\r\n" + strings.Repeat(line, 400) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := serve(t, func(p peer) { p.head(); p.say(raw); p.gone() })
			o := observe(b.pool(t, &Options{MaxHeadBytes: 64 << 10}), newRequest(t, "GET", "/", nil))
			var e *Error
			if !o.Cut && (!errors.As(o.Err, &e) || e.Kind != Malformed) {
				t.Error(o)
			}
		})
	}
}

// A large head below the limit, arriving in many pieces, and the body behind it.
func TestLargeHead(t *testing.T) {
	b := serve(t, func(p peer) {
		p.head()
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + strings.Repeat("X-Filler: "+strings.Repeat("x", 90)+"\r\n", 600) + "\r\nok")
		p.gone()
	})
	pool := b.pool(t, nil)
	o := observe(pool, newRequest(t, "GET", "/", nil))
	if o.Err != nil || o.Body != "ok" || len(o.Header["X-Filler"]) != 600 {
		t.Error(o)
	}
	if pool.Idle() != 1 {
		t.Error("not reused")
	}
}
