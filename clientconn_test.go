package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// newFront is a server for handler whose connections are those of Server.
func newFront(handler http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.Listener, server.Config.ConnContext = clientListener{server.Listener}, withClient
	return server
}

// clientConnPair is a connection as net/http sees it, the context of its requests,
// and its client.
func clientConnPair(t *testing.T) (context.Context, *clientConn, *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err := clientListener{listener}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return withClient(t.Context(), server), server.(*clientConn), client.(*net.TCPConn)
}

// What net/http reads ahead is nothing, once, and only after it took the deadline
// away.
func TestReadingAheadEndsAtOnce(t *testing.T) {
	_, c, client := clientConnPair(t)
	client.Write([]byte("abc"))
	one := make([]byte, 1)
	if n, err := c.Read(one); n != 1 || err != nil {
		t.Errorf("%d bytes, %v, without a change of the deadline", n, err)
	}
	c.SetReadDeadline(time.Time{})
	if n, err := c.Read(one); n != 0 || err != nil {
		t.Errorf("%d bytes, %v, ahead", n, err)
	}
	if n, err := c.Read(one); n != 1 || err != nil || one[0] != 'b' {
		t.Errorf("%d bytes %q, %v, after that", n, one, err)
	}
	// A request that is watched already, when its body has been read.
	c.SetReadDeadline(time.Time{})
	watchClient(withClient(t.Context(), c))
	if n, err := c.Read(one); n != 1 || err != nil || one[0] != 'c' {
		t.Errorf("%d bytes %q, %v, ahead of a request that lasts", n, one, err)
	}
}

func TestWatchedClientLeaves(t *testing.T) {
	for _, before := range []bool{false, true} {
		ctx, c, client := clientConnPair(t)
		if before {
			client.Close()
		}
		watchClient(ctx)
		watchClient(ctx)
		client.Close()
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Second):
			t.Fatalf("left before: %v: nobody notices", before)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
}

// A Read takes over from the watcher whenever it comes, and nothing that the client
// sends is lost, nor taken for its leaving.
func TestReadStopsTheWatcher(t *testing.T) {
	ctx, c, client := clientConnPair(t)
	sent := 0
	send := func() {
		sent++
		client.Write([]byte{byte(sent)})
	}
	got := make([]byte, 2)
	for i := range 1000 {
		if i%3 == 0 {
			send()
		}
		watchClient(ctx)
		for range i % 7 {
			runtime.Gosched()
		}
		if i%3 != 0 {
			send()
		}
		n, err := c.Read(got)
		if n != 1 || err != nil || got[0] != byte(sent) {
			t.Fatalf("%d bytes %v, %v; want %d", n, got[:n], err, byte(sent))
		}
		c.SetReadDeadline(time.Now().Add(time.Minute)) // the request is over
	}
	if ctx.Err() != nil {
		t.Error("a client that is there was taken for one that left")
	}
}

func TestReadDeadlinesOfClients(t *testing.T) {
	_, c, client := clientConnPair(t)
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := c.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a deadline that was set before: %v", err)
	}
	c.SetReadDeadline(time.Time{})
	ended := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 10))
		ended <- err
	}()
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a deadline that was set meanwhile: %v", err)
	}
	// Who gets the connection may read past it.
	c.SetDeadline(time.Time{})
	client.Write([]byte("x"))
	if n, err := c.TCPConn.Read(make([]byte, 10)); n != 1 {
		t.Errorf("after SetDeadline: %d bytes, %v", n, err)
	}
}

// Requests that are sent without waiting for the answers are answered in turn.
func TestPipelinedRequests(t *testing.T) {
	s := newStand(t, 0)
	s.serves(s.runs("web", "web-1", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }))
	const many = 200
	conn, in := s.open("")
	go func() {
		for i := range many {
			request := "GET /" + strings.Repeat("x", i) + " HTTP/1.1\r\nHost: web.localhost\r\n\r\n"
			// Whole requests, and the beginnings of some.
			io.WriteString(conn, request[:i%len(request)])
			io.WriteString(conn, request[i%len(request):])
		}
	}()
	for i := range many {
		wantBody(t, in, "/"+strings.Repeat("x", i))
	}
}

func wantBody(t *testing.T, in *bufio.Reader, want string) {
	t.Helper()
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != want {
		t.Fatalf("%s %q, %v; want %q", response.Status, body, err, want)
	}
}
