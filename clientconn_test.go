package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newFront is a server for handler whose connections are those of Server.
func newFront(handler http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.Listener = clientListener{server.Listener}
	return server
}

// clientConnPair is a connection as net/http sees it, and its client.
func clientConnPair(t *testing.T) (*clientConn, *net.TCPConn) {
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
	return server.(*clientConn), client.(*net.TCPConn)
}

// arrived waits until there is something to read, or the end.
func arrived(t *testing.T, c *clientConn) {
	t.Helper()
	for err := error(syscall.EAGAIN); err == syscall.EAGAIN; runtime.Gosched() {
		c.raw.Control(func(fd uintptr) {
			_, _, err = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		})
	}
}

func TestLookingAheadSeesTheClientLeave(t *testing.T) {
	for _, before := range []bool{false, true} {
		c, client := clientConnPair(t)
		if before {
			client.Close()
			arrived(t, c)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}()
		client.Close()
		select {
		case err := <-ended:
			if err != io.EOF {
				t.Errorf("left before: %v: Read says %v", before, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("left before: %v: Read waits", before)
		}
	}
}

// net/http ends a Read that looks ahead by a deadline that has passed, whenever it
// comes, and nothing that the client sends then is lost.
func TestLookingAheadIsStopped(t *testing.T) {
	c, client := clientConnPair(t)
	type result struct {
		n   int
		err error
	}
	for i := range 500 {
		results := make(chan result)
		one := make([]byte, 1)
		go func() {
			n, err := c.Read(one)
			results <- result{n, err}
		}()
		for range i % 7 {
			runtime.Gosched()
		}
		if i%3 == 0 {
			client.Write([]byte("x"))
		}
		c.SetReadDeadline(time.Unix(1, 0))
		got := <-results
		c.SetReadDeadline(time.Time{})
		if got.err != nil && !errors.Is(got.err, os.ErrDeadlineExceeded) {
			t.Fatal(got.err)
		}
		if i%3 == 0 && got.n == 0 {
			if n, err := c.Read(make([]byte, 2)); n != 1 || err != nil {
				t.Fatalf("%d bytes, %v, of what came while Read was stopped", n, err)
			}
		} else if i%3 != 0 && got.n != 0 {
			t.Fatal("a byte that nobody sent")
		}
	}
}

func TestReadDeadlinesOfClients(t *testing.T) {
	c, client := clientConnPair(t)
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
