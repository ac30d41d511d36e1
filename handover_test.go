package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// What a response's fields become on their way to the client, also of another
// attempt than the first.
func TestHandOverOfFields(t *testing.T) {
	for name, c := range map[string]struct {
		says string   // the backend's head behind its first line
		want []string // lines; Date and Content-Length aside
		not  []string // names
	}{
		"all fields":         {"A: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Type: text/css\r\n", []string{"A: 1", "Set-Cookie: a=1", "Set-Cookie: b=2", "Content-Type: text/css"}, nil},
		"no Content-Type":    {"A: 1\r\n", []string{"A: 1"}, []string{"Content-Type"}},
		"empty Content-Type": {"Content-Type:\r\n", []string{"Content-Type: "}, nil},
		"hop by hop":         {"Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nTe: trailers\r\nUpgrade: h2c\r\nTrailer: X\r\nA: 1\r\n", []string{"A: 1"}, []string{"Keep-Alive", "Proxy-Authenticate", "Te", "Upgrade", "Trailer"}},
		"named by Connection": {"Connection: keep-alive, x-private , X-Other\r\nX-Private: 1\r\nX-Other: 2\r\nX-Public: 3\r\n",
			[]string{"X-Public: 3"}, []string{"X-Private", "X-Other"}},
		"an event stream of known length": {"Content-Type: Text/Event-Stream; x=y\r\nKeep-Alive: 1\r\n", []string{"Content-Type: Text/Event-Stream; x=y"}, []string{"Keep-Alive"}},
		"its own Date":                    {"Date: Tue, 24 Nov 2026 03:00:00 GMT\r\n", []string{"Date: Tue, 24 Nov 2026 03:00:00 GMT"}, nil},
	} {
		for _, attempt := range []string{"first", "second"} {
			t.Run(name+"/"+attempt, func(t *testing.T) {
				s := newStand(t, 0)
				script := func(conn net.Conn, in *bufio.Reader) {
					if _, err := http.ReadRequest(in); err == nil {
						fmt.Fprintf(conn, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n%sContent-Length: 6\r\n\r\n<html>", c.says)
					}
				}
				s.serves(s.scripts("a", "a-1", script, catchAll()))
				if attempt == "second" {
					s.serves(s.breaks("a", "a-0", func(*http.Request) {}, catchAll()), s.scripts("a", "a-1", script, catchAll()))
				}
				conn, err := net.Dial("tcp", s.front.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				for range 2 { // of two backends, each is the first one once
					io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				}
				answers := make([]byte, 0, 4096)
				in := bufio.NewReader(conn)
				for bytes.Count(answers, []byte("<html>")) < 2 {
					b, err := in.ReadByte()
					if err != nil {
						t.Fatalf("%v after %q", err, answers)
					}
					answers = append(answers, b)
				}
				for _, answer := range strings.Split(string(answers), "<html>")[:2] {
					_, head, _ := strings.Cut(answer, "\r\n\r\n") // behind the early hints
					for _, line := range c.want {
						if strings.Count(head, "\r\n"+line+"\r\n") != 1 {
							t.Errorf("no %q in %q", line, head)
						}
					}
					for _, name := range append(c.not, "Link") {
						if strings.Contains(strings.ToLower(head), "\r\n"+strings.ToLower(name)+":") {
							t.Errorf("%s in %q", name, head)
						}
					}
				}
			})
		}
	}
}

// A large body arrives whole, or not as a whole one.
func TestHandOverOfLargeBodies(t *testing.T) {
	const size = 5 << 20
	large := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	s := newStand(t, 0)
	s.serves(s.runs("a", "a-1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		if r.URL.Path == "/cut" {
			w.Write(large[:size/2])
			panic(http.ErrAbortHandler)
		}
		w.Write(large)
	}, catchAll()))
	for range 2 {
		if response, body := s.ask("GET", "/", "", ""); body != string(large) || response.ContentLength != size {
			t.Errorf("%d bytes", len(body))
		}
		if response, body := s.ask("HEAD", "/", "", ""); body != "" || response.ContentLength != size {
			t.Errorf("HEAD: %d bytes, length %d", len(body), response.ContentLength)
		}
		response, err := http.DefaultTransport.RoundTrip(get(t, s.front.URL+"/cut"))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, response.Body); err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes of a body that was cut, then %v", n, err)
		}
		response.Body.Close()
	}
	// The client leaves in the middle.
	response, err := http.DefaultTransport.RoundTrip(get(t, s.front.URL))
	if err != nil {
		t.Fatal(err)
	}
	io.CopyN(io.Discard, response.Body, 1<<20)
	response.Body.Close()
	eventually(t, "its request is no longer counted", func() bool { return s.registry.List()[0].InFlight() == 0 })
}

func get(t *testing.T, url string) *http.Request {
	request, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return request
}
