package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// scripts is a container whose server does not behave: talk gets each bare
// connection, which is closed when it returns.
func (s *stand) scripts(service, name string, talk func(conn net.Conn, in *bufio.Reader), options ...entryOption) Entry {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(20 * time.Second))
				talk(conn, bufio.NewReader(conn))
			}()
		}
	}()
	return backendOf(service, name, append(options, at(listener.Addr().String()))...)
}

// open sends bytes as they are, and returns the connection and what reads from
// it.
func (s *stand) open(text string) (net.Conn, *bufio.Reader) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.front.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// readHead reads a message's lines up to the empty one.
func readHead(in *bufio.Reader) (lines []string) {
	for {
		line, err := in.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); err != nil || line == "" {
			return lines
		}
		lines = append(lines, line)
	}
}

// wantStatus reads the head of an answer.
func wantStatus(t *testing.T, in *bufio.Reader, status string) {
	t.Helper()
	if head := readHead(in); len(head) == 0 || !strings.HasPrefix(head[0], "HTTP/1.1 "+status) {
		t.Errorf("answered %q, want %s", head, status)
	}
}

func TestEmptyRegistryAnswers503(t *testing.T) {
	s := newStand(t, time.Minute)
	response, body := s.ask("GET", "/", "shop.localhost", "")
	if response.StatusCode != 503 || !strings.HasPrefix(body, "No backend entry in the service registry") {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	if response.Header.Get("Rollcall-Error") != "no-backend" || response.Header.Get("Retry-After") == "" {
		t.Errorf("the head is %v", response.Header)
	}
}

func TestTurnsSurvivePolls(t *testing.T) {
	s := newStand(t, time.Second)
	roll := []Entry{s.runs("shop", "web-1", says("web-1")), s.runs("shop", "web-2", says("web-2"))}
	counts := map[string]int{}
	for i := range 20 {
		s.serves(append(roll, backendOf("blog", fmt.Sprint("other-", i)))...) // each is another snapshot
		_, body := s.ask("GET", "/", "shop.localhost", "")
		counts[body]++
	}
	if counts["web-1"] != 10 || counts["web-2"] != 10 {
		t.Errorf("the requests went %v", counts)
	}
}

// Bytes that net/url has opinions on.
func TestOddTargetsArriveByteForByte(t *testing.T) {
	s := newStand(t, time.Second)
	var line atomic.Value
	s.serves(s.scripts("shop", "web-1", func(conn net.Conn, in *bufio.Reader) {
		line.Store(readHead(in)[0])
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	}))
	for sent, want := range map[string]string{
		"//x":                       "//x",
		"///x//y///z":               "///x//y///z",
		"/a?b?c#d":                  "/a?b?c#d",
		"/\xc3\xa4\xff?\xfe":        "/\xc3\xa4\xff?\xfe",
		"/:a@b!$&'()*+,=":           "/:a@b!$&'()*+,=",
		"http://shop.localhost//a":  "//a",
		"http://shop.localhost?q":   "/?q",
		"http://shop.localhost/?":   "/?",
		"http://shop.localhost/%2e": "/%2e",
	} {
		line.Store("")
		_, in := s.open("GET " + sent + " HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n")
		head := readHead(in)
		if got := line.Load(); got != "GET "+want+" HTTP/1.1" {
			t.Errorf("%q arrived as %q; the client got %q", sent, got, head)
		}
	}
}

// A client's Connection field names what ends at the next hop; that must not be
// what rollcall says itself.
func TestConnectionFieldCannotTakeForwardedAway(t *testing.T) {
	s := newStand(t, time.Second)
	got := make(chan []string, 1)
	s.serves(s.scripts("shop", "web-1", func(conn net.Conn, in *bufio.Reader) { got <- readHead(in) }))
	s.open("POST / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close, X-Forwarded-For, X-Forwarded-Host, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n" +
		"Proxy-Connection: keep-alive\r\nContent-Length: 0\r\n\r\n")
	fields := <-got
	for _, want := range []string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: shop.localhost"} {
		if !slices.Contains(fields, want) {
			t.Errorf("the backend did not get %s: %q", want, fields)
		}
	}
	for _, unwanted := range []string{"x-mine", "keep-alive", "proxy-connection", "connection", "via", "user-agent", "accept-encoding"} {
		if slices.ContainsFunc(fields, func(line string) bool { return strings.HasPrefix(strings.ToLower(line), unwanted+":") }) {
			t.Errorf("the backend got %s: %q", unwanted, fields)
		}
	}
}

func TestGzipPassesUntouched(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, "hello")
	z.Close()
	s := newStand(t, time.Second)
	s.serves(s.runs("shop", "web-1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(zipped.Bytes())
	}))
	for _, accepts := range []string{"identity", "gzip", "br"} {
		response, body := s.ask("GET", "/", "shop.localhost", "", "Accept-Encoding", accepts)
		if body != zipped.String() || response.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("with Accept-Encoding %q the client got %q", accepts, body)
		}
	}
}

func TestMalformedRequests(t *testing.T) {
	s := newStand(t, 0)
	s.front = newFront(s.proxy)
	s.front.Config.MaxHeaderBytes, s.front.Config.ErrorLog = maxHeadBytes, s.proxy.errorLog
	s.front.Start()
	t.Cleanup(s.front.Close)
	s.serves(s.runs("shop", "web-1", func(w http.ResponseWriter, r *http.Request) { t.Errorf("%s %s reached a backend", r.Method, r.URL) }))
	const host = "Host: shop.localhost\r\n"
	for request, status := range map[string]string{
		"CONNECT shop.localhost:443 HTTP/1.1\r\n" + host + "\r\n":                                          "400",
		"GET / HTTP/1.1\r\n\r\n":                                                                           "400",
		"GET / HTTP/1.1\r\n" + host + "Bad Field: 1\r\n\r\n":                                               "400",
		"POST / HTTP/1.1\r\n" + host + "Content-Length: 1, 2\r\n\r\n":                                      "400",
		"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, x\r\n\r\n":                             "501",
		"GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("x", 2*maxHeadBytes) + "\r\n\r\n":             "431",
		"GET / HTTP/1.1\r\n" + host + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 150) + "\r\n": "431",
		"GET /" + strings.Repeat("x", 2*maxHeadBytes) + " HTTP/1.1\r\n" + host + "\r\n":                    "431",
	} {
		_, in := s.open(request)
		if head := readHead(in); len(head) == 0 || !strings.HasPrefix(head[0], "HTTP/1.1 "+status) {
			t.Errorf("%.60q is answered %q, want %s", request, head, status)
		}
	}
}

// What a client sends right behind its upgrade request is part of the new
// protocol.
func TestBytesBehindAnUpgradeArrive(t *testing.T) {
	s := newStand(t, time.Second)
	s.serves(s.scripts("shop", "web-1", func(conn net.Conn, in *bufio.Reader) {
		readHead(in)
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(conn, in)
	}))
	conn, in := s.open("GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ")
	wantStatus(t, in, "101")
	io.WriteString(conn, "late")
	conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(in); err != nil || string(got) != "early late" {
		t.Errorf("came back: %q (%v)", got, err)
	}
}

// A backend may answer before it has read the whole body. What of that is still
// on its way must never mix with another request's.
func TestAnswerBeforeTheWholeBody(t *testing.T) {
	s := newStand(t, time.Second)
	echo := s.runs("echo", "echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	hasty := s.scripts("hasty", "hasty", func(conn net.Conn, in *bufio.Reader) {
		readHead(in)
		io.WriteString(conn, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
		io.Copy(io.Discard, in)
	})
	s.serves(echo, hasty)
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			for n := range 10 {
				conn, in := s.open("PUT / HTTP/1.1\r\nHost: hasty.localhost\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("h", 100))
				if head := readHead(in); len(head) == 0 || !strings.Contains(head[0], "401") {
					t.Errorf("the early answer is %q", head)
					return
				}
				want := strings.Repeat(fmt.Sprintf("%d.%d ", i, n), 100)
				if _, body := s.ask("PUT", "/", "echo.localhost", want); body != want {
					t.Errorf("another client's bytes are in the body: %.60q, want %.60q", body, want)
				}
				io.WriteString(conn, strings.Repeat("h", 1000))
				conn.Close()
			}
		})
	}
	clients.Wait()
}

func TestAnswerThatBreaksOffIsNotRetried(t *testing.T) {
	s := newStand(t, time.Second)
	var tries atomic.Int32
	half := func(conn net.Conn, in *bufio.Reader) {
		if len(readHead(in)) > 0 {
			tries.Add(1)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 50000))
		}
	}
	s.serves(s.scripts("shop", "web-1", half), s.scripts("shop", "web-2", half))
	_, in := s.open("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
	response, err := http.ReadResponse(in, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
	}
	if err == nil {
		t.Error("the client can't see that the answer is not whole")
	}
	if tries.Load() != 1 {
		t.Errorf("it was sent %d times", tries.Load())
	}
}

func TestHeldRequestEndsWithItsService(t *testing.T) {
	s := newStand(t, 20*time.Second)
	s.registry.Replace("test", []Entry{backendOf("shop", "web-1"), backendOf("blog", "web-2")})
	_, in := s.open("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
	eventually(t, "the request waits", func() bool { return s.proxy.patience.Waiting() == 1 })
	s.registry.Remove(idOf("web-1"))
	wantStatus(t, in, "503")
}

func TestAllUnhealthyAreUsed(t *testing.T) {
	s := newStand(t, 0)
	s.serves(s.runs("shop", "web-1", says("web-1"), engineSays(EngineUnhealthy)), s.runs("shop", "web-2", says("web-2")))
	ejected := member(t, s.registry, "web-2")
	s.registry.Eject(ejected.Backend, "it fails")
	for range 4 {
		if response, _ := s.ask("GET", "/", "shop.localhost", ""); response.StatusCode != 200 {
			t.Errorf("answered %d", response.StatusCode)
		}
	}
	if ejected.Requests() != 2 {
		t.Errorf("the ejected one got %d of 4 requests, want its share", ejected.Requests())
	}
}

// While a lone backend stops it may still answer; that is better than a 503 that
// is certain.
func TestStoppingBackendIsTheLastHope(t *testing.T) {
	s := newStand(t, 10*time.Millisecond)
	s.serves(s.runs("shop", "web-1", says("still here")))
	s.registry.Stopping(idOf("web-1"), "it was sent SIGTERM", time.Now(), time.Now().Add(time.Minute))
	if response, body := s.ask("GET", "/", "shop.localhost", ""); response.StatusCode != 200 || body != "still here" {
		t.Errorf("answered %d %s", response.StatusCode, body)
	}
}

// A backend that nobody ever connected to is no hope, whatever events say of it:
// there is no connection that a request could take.
func TestNeverConnectedBackendIsNoHope(t *testing.T) {
	s := newStand(t, 10*time.Millisecond)
	s.registry.Replace("test", []Entry{backendOf("shop", "web-1", at(closedPort(t)))})
	s.registry.Died(idOf("web-1"), time.Now(), time.Now().Add(time.Minute))
	_, in := s.open("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
	wantStatus(t, in, "503")
}

// Once a process has ended, its address may be another container's.
func TestDeadBackendIsNoHope(t *testing.T) {
	s := newStand(t, 10*time.Millisecond)
	s.serves(s.runs("shop", "web-1", says("I am someone else")))
	s.registry.Died(idOf("web-1"), time.Now(), time.Now().Add(time.Minute))
	if response, body := s.ask("GET", "/", "shop.localhost", ""); response.StatusCode != 503 {
		t.Errorf("answered %d %s, want 503", response.StatusCode, body)
	}
}

func TestDrainedBackendFinishesItsRequests(t *testing.T) {
	s := newStand(t, 0)
	begun, finish := make(chan struct{}), make(chan struct{})
	s.serves(s.runs("shop", "web-1", func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		io.WriteString(w, "done")
	}))
	_, in := s.open("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
	<-begun
	s.registry.Drain(idOf("web-1"), "by hand")
	if response, _ := s.ask("GET", "/", "shop.localhost", ""); response.StatusCode != 503 {
		t.Errorf("a new request is answered %d", response.StatusCode)
	}
	s.registry.Replace("test", nil) // and even removed
	close(finish)
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(response.Body); string(body) != "done" {
		t.Errorf("the request in flight is answered %d %s", response.StatusCode, body)
	}
}

// A client that does not go on with its head, or sends nothing between two
// requests, must not hold a connection for ever, nor rollcall's end up.
func TestSlowClientsAreBounded(t *testing.T) {
	if headTimeout <= 0 || headTimeout > time.Minute || idleTimeout <= headTimeout {
		t.Errorf("a head may take %s, a connection idle for %s", headTimeout, idleTimeout)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() {
		served <- (&Server{Handler: http.NotFoundHandler(), Listener: listener, Drain: time.Second}).Run(ctx)
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(conn)
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if response, err := http.ReadResponse(in, nil); err != nil || response.StatusCode != 404 {
		t.Errorf("%v %v", response, err)
	} else {
		io.Copy(io.Discard, response.Body)
	}
	io.WriteString(conn, "GET / HT")
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, in); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

// A body that nobody read must not cost its client the connection, nor the answer.
func TestUnreadBodies(t *testing.T) {
	log, book := logToBook(t, slog.LevelDebug)
	s := newStand(t, 0)
	s.front.Close()
	s.front = newFront(s.proxy)
	s.front.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelError)
	s.front.Start()
	t.Cleanup(s.front.Close)
	s.serves(
		backendOf("none", "none-1", engineSays(EngineStopped)),
		backendOf("refused", "refused-1", at(closedPort(t))),
		s.runs("hasty", "hasty-1", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) }),
		s.runs("web", "web-1", says("web")),
	)
	for service, status := range map[string]string{"none": "503", "refused": "50", "hasty": "401", "unknown": "404"} {
		for _, body := range []string{
			"Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
			"Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000),
		} {
			conn, in := s.open("POST / HTTP/1.1\r\nHost: " + service + ".localhost\r\n" + body)
			response, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("%s: %v", service, err)
			}
			io.Copy(io.Discard, response.Body)
			if !strings.HasPrefix(response.Status, status) {
				t.Errorf("%s: answered %s", service, response.Status)
			}
			if response.Close {
				continue
			}
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n")
			wantStatus(t, in, "200")
		}
	}
	// Who asks whether to send a body at all has an answer at once, and sends none.
	_, in := s.open("POST / HTTP/1.1\r\nHost: none.localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	wantStatus(t, in, "503")
	// So has who sends the rest of a body only then.
	conn, in := s.open("POST / HTTP/1.1\r\nHost: none.localhost\r\nContent-Length: 5\r\n\r\nhe")
	wantStatus(t, in, "503")
	io.WriteString(conn, "llo")
	if book.count("panic") > 0 {
		t.Errorf("the server says\n%s", book)
	}
}
