package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Each service has its own turn: two that are asked alternately don't halve each
// other's backends.
func TestForwardingTakesTurnsPerService(t *testing.T) {
	s := newStand(t, 0)
	s.serves(
		s.runs("a", "a-1", says("a-1")), s.runs("a", "a-2", says("a-2")),
		s.runs("b", "b-1", says("b-1")), s.runs("b", "b-2", says("b-2")),
	)
	count := map[string]int{}
	for range 20 {
		for _, service := range []string{"a", "b"} {
			_, body := s.ask("GET", "/", service+".localhost", "")
			count[body]++
		}
	}
	for _, name := range []string{"a-1", "a-2", "b-1", "b-2"} {
		if count[name] != 10 {
			t.Errorf("%s got %d of 20 requests, want 10", name, count[name])
		}
	}
}

// The target arrives byte for byte as it was sent.
func TestForwardingKeepsTheTarget(t *testing.T) {
	s := newStand(t, 0)
	s.serves(s.runs("a", "a-1", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Target", r.RequestURI) }, catchAll()))
	for sent, want := range map[string]string{
		"/":                            "/",
		"/?":                           "/?",
		"/a%2fb":                       "/a%2fb",
		"/a%2Fb/%7euser":               "/a%2Fb/%7euser",
		`/a|b"c^d{e}`:                  `/a|b"c^d{e}`,
		"/x;y=1?a;b&c=%zz&=&d":         "/x;y=1?a;b&c=%zz&=&d",
		"//double//slash":              "//double//slash",
		"/a/../b/./c":                  "/a/../b/./c",
		"/?q=a+b%20c&q=http://x/?y":    "/?q=a+b%20c&q=http://x/?y",
		"http://other.example/p?q=%41": "/p?q=%41",
		"http://other.example":         "/",
	} {
		response := s.raw("GET " + sent + " HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n")
		if got := response.Header.Get("Target"); got != want {
			t.Errorf("%s arrived as %s, want %s", sent, got, want)
		}
	}
}

func TestForwardingFields(t *testing.T) {
	s := newStand(t, 0)
	var got *http.Request
	s.serves(s.runs("a", "a-1", func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("X-End", "2")
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<html>")
	}, catchAll()))
	response, _ := s.ask("GET", "/", "shop.example.com:8080", "",
		"X-Forwarded-For", "6.6.6.6", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil", "X-Forwarded-Port", "1",
		"X-Real-IP", "6.6.6.6", "Forwarded", "for=6.6.6.6", "Connection", "X-Secret, keep-alive", "X-Secret", "1",
		"Te", "trailers", "Proxy-Authorization", "x", "X-Kept", "yes", "User-Agent", "")
	for field, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "shop.example.com:8080",
		"X-Forwarded-Port": "", "X-Real-Ip": "", "Forwarded": "", "X-Secret": "", "Proxy-Authorization": "",
		"Te": "trailers", "X-Kept": "yes", "User-Agent": "", "Accept-Encoding": "gzip",
	} {
		if value := strings.Join(got.Header.Values(field), "|"); value != want {
			t.Errorf("the backend got %s: %q, want %q", field, value, want)
		}
	}
	if got.Host != "shop.example.com:8080" {
		t.Errorf("the backend got Host %q", got.Host)
	}
	for field, want := range map[string]string{"X-Hop": "", "Keep-Alive": "", "X-End": "2", "Content-Type": ""} {
		if value := response.Header.Get(field); value != want {
			t.Errorf("the client got %s: %q, want %q", field, value, want)
		}
	}
}

func TestForwardingBelievesTrustedProxies(t *testing.T) {
	rules := ForwardedRules{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for peer, want := range map[string]string{"10.1.2.3:99": "6.6.6.6, 10.1.2.3 https front", "192.0.2.1:99": "192.0.2.1 http shop"} {
		r := httptest.NewRequest("GET", "http://shop/", nil)
		r.RemoteAddr = peer
		r.Header = http.Header{"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"front"}}
		out := http.Header{}
		rules.set(out, r)
		if got := out.Get("X-Forwarded-For") + " " + out.Get("X-Forwarded-Proto") + " " + out.Get("X-Forwarded-Host"); got != want {
			t.Errorf("from %s the backend is told %q, want %q", peer, got, want)
		}
	}
}

func TestOwnAnswers(t *testing.T) {
	s := newStand(t, 0)
	check := func(what string, response *http.Response, body string, status int, code string) {
		t.Helper()
		if response.StatusCode != status || response.Header.Get("Rollcall-Error") != code {
			t.Errorf("%s: %d %q, want %d %q", what, response.StatusCode, response.Header.Get("Rollcall-Error"), status, code)
		}
		if (status == 503) != (response.Header.Get("Retry-After") != "") {
			t.Errorf("%s: Retry-After is %q", what, response.Header.Get("Retry-After"))
		}
		for _, secret := range []string{"secret-name", "127.0.0.1", idOf("secret-name")[:12]} {
			if strings.Contains(body, secret) {
				t.Errorf("%s: the answer tells %q: %s", what, secret, body)
			}
		}
	}
	response, body := s.ask("GET", "/", "a.localhost", "")
	check("empty registry", response, body, 503, "no-backend")
	if !strings.Contains(body, "No backend entry in the service registry") {
		t.Errorf("the empty registry answers %q", body)
	}
	s.registry.Replace("test", []Entry{backendOf("a", "secret-name", at(closedPort(t)))})
	response, body = s.ask("GET", "/", "b.localhost", "")
	check("no route", response, body, 404, "no-route")
	response, body = s.ask("GET", "/", "a.localhost", "")
	check("no usable backend", response, body, 503, "no-backend")
	response, body = s.ask("HEAD", "/", "a.localhost", "")
	if check("HEAD", response, body, 503, "no-backend"); body != "" {
		t.Errorf("HEAD got a body: %q", body)
	}
	response, body = s.ask("GET", "/", "b.localhost", "", "Accept", "text/html,*/*")
	if check("a browser", response, body, 404, "no-route"); !strings.Contains(body, "<h1>404") {
		t.Errorf("a browser gets %q", body)
	}
	s.serves(s.breaks("a", "secret-name", func(*http.Request) {}))
	response, body = s.ask("POST", "/", "a.localhost", "x")
	check("broken", response, body, 502, "backend-failed")
	hang := make(chan struct{})
	defer close(hang)
	s.serves(s.runs("a", "secret-name", func(http.ResponseWriter, *http.Request) { <-hang }, answersWithin(30*time.Millisecond)))
	response, body = s.ask("GET", "/", "a.localhost", "")
	check("too slow", response, body, 504, "backend-timeout")
}

// A stream's head arrives before its first event, and each event at once.
func TestForwardingStreamsAreNotBuffered(t *testing.T) {
	s := newStand(t, 0)
	next := make(chan string)
	defer close(next)
	s.serves(s.runs("a", "a-1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for word := range next {
			fmt.Fprintf(w, "data: %s\n\n", word)
			w.(http.Flusher).Flush()
		}
	}, catchAll()))
	response, err := http.Get(s.front.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for _, word := range []string{"zero", "one", "two"} {
		next <- word
		line, err := lines.ReadString('\n')
		if err != nil || line != "data: "+word+"\n" {
			t.Fatalf("got %q, %v; want %s at once", line, err, word)
		}
		lines.ReadString('\n')
	}
}

func TestForwardingWebSocket(t *testing.T) {
	s := newStand(t, 0)
	s.serves(s.runs("a", "a-1", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			conn.Write(r.Context(), kind, bytes.ToUpper(message))
		}
	}, catchAll()))
	conn, _, err := websocket.Dial(t.Context(), s.front.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	for _, word := range []string{"hello", "again"} {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(word)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.Read(t.Context()); err != nil || string(got) != strings.ToUpper(word) {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	// A draining backend keeps its streams until they have had their time.
	member := s.registry.List()[0]
	s.registry.Drain(member.ContainerID, "by hand")
	conn.Write(t.Context(), websocket.MessageText, []byte("still"))
	if _, got, err := conn.Read(t.Context()); err != nil || string(got) != "STILL" {
		t.Fatalf("a draining backend's stream got %q, %v", got, err)
	}
	member.cut()
	if _, _, err := conn.Read(t.Context()); err == nil {
		t.Fatal("the stream outlives the end of the drain")
	}
}

func TestForwardingTrailersAndInterimAnswers(t *testing.T) {
	s := newStand(t, 0)
	s.serves(s.runs("a", "a-1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "body")
		w.Header().Set("X-Sum", "of "+r.Trailer.Get("X-Digest"))
	}, catchAll()))
	hints := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
		if code == http.StatusEarlyHints {
			hints++
		}
		return nil
	}})
	request, _ := http.NewRequestWithContext(ctx, "POST", s.front.URL, io.MultiReader(strings.NewReader("chunked")))
	request.Trailer = http.Header{"X-Digest": {"request"}}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	if hints != 1 || response.Trailer.Get("X-Sum") != "of request" {
		t.Errorf("%d early hints, trailer %q", hints, response.Trailer.Get("X-Sum"))
	}
}

func TestForwardingBigBodies(t *testing.T) {
	s := newStand(t, 0)
	s.serves(s.runs("a", "a-1", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }, catchAll()))
	big := strings.Repeat("0123456789abcdef", 1<<16)
	for _, method := range []string{"POST", "PUT"} {
		if _, body := s.ask(method, "/", "", big); body != big {
			t.Errorf("%s: %d of %d bytes came back", method, len(body), len(big))
		}
	}
}

// A client that leaves ends its request at the backend, whatever that waits for.
func TestForwardingEndsWithItsClient(t *testing.T) {
	for _, protocol := range protocols {
		for _, test := range []struct {
			name, request string
			answers       bool // the backend has begun to
		}{
			{"GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", false},
			{"POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", false},
			{"chunked POST", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false},
			{"unfinished POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel", false},
			{"stream", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
			{"stream in answer to a POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", true},
		} {
			t.Run(protocol+" "+test.name, func(t *testing.T) {
				t.Parallel()
				s := newStand(t, 0)
				arrived, ended := make(chan struct{}), make(chan struct{})
				s.serves(s.speaks(protocol, "a", "a-1", func(w http.ResponseWriter, r *http.Request) {
					if !test.answers {
						close(arrived)
					}
					defer close(ended)
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						return // the body's end is the request's
					}
					if test.answers {
						io.WriteString(w, "the first of many words")
						w.(http.Flusher).Flush()
						close(arrived)
					}
					<-r.Context().Done()
				}, insecure(), catchAll()))
				conn, in := s.open(test.request)
				<-arrived
				if test.answers {
					wantStatus(t, in, "200")
				}
				conn.Close()
				select {
				case <-ended:
				case <-time.After(20 * time.Second):
					t.Fatal("the backend still works")
				}
				eventually(t, "the request is no longer counted", func() bool { return s.registry.List()[0].InFlight() == 0 })
			})
		}
	}
}

// So does one that leaves while its request is held, or goes to a backend to which
// no connection comes about.
func TestHeldRequestEndsWithItsClient(t *testing.T) {
	s := newStand(t, time.Minute)
	s.registry.Replace("test", []Entry{backendOf("a", "a-1", catchAll(), at(closedPort(t)))})
	conn, _ := s.open("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "it waits", func() bool { return s.proxy.patience.Waiting() == 1 })
	conn.Close()
	eventually(t, "it waits no longer", func() bool { return s.proxy.patience.Waiting() == 0 })
}

// Bytes that a backend sends unasked must not reach the next client.
func TestForwardingUnaskedBytes(t *testing.T) {
	s := newStand(t, 0)
	said := make(chan struct{}, 8)
	s.serves(s.scripts("a", "a-1", func(conn net.Conn, in *bufio.Reader) {
		for {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad")
			said <- struct{}{}
		}
	}, catchAll()))
	for range 3 {
		if _, body := s.ask("GET", "/", "", ""); body != "good" {
			t.Fatalf("a client got %q", body)
		}
		<-said
	}
}
