package load

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// client sends requests over HTTP/1.1. It is not net/http's, because that sends a
// request again, and says nothing of it, when a kept-alive connection turns out
// to be closed: that would hide what is to be seen here.
type client struct {
	addr    string
	timeout time.Duration // for one request
	body    []byte        // that all bodies are taken from; not to be changed

	mu     sync.Mutex // guards the following fields
	idle   []*conn    // the one used last is last
	closed bool
}

type conn struct {
	net.Conn
	in   *bufio.Reader
	used time.Time // when its last answer came
}

// idleLimit is well below the time after which rollcall closes idle connections,
// so that none is closed just as a request goes out.
const idleLimit = 60 * time.Second

func (c *client) take() (*conn, error) {
	c.mu.Lock()
	for len(c.idle) > 0 {
		last := len(c.idle) - 1
		kept := c.idle[last]
		c.idle = c.idle[:last]
		if time.Since(kept.used) < idleLimit {
			c.mu.Unlock()
			return kept, nil
		}
		kept.Close()
	}
	c.mu.Unlock()
	return c.dial()
}

func (c *client) dial() (*conn, error) {
	raw, err := net.DialTimeout("tcp", c.addr, c.timeout)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: raw, in: bufio.NewReader(raw)}, nil
}

func (c *client) put(kept *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		kept.Close()
		return
	}
	kept.used = time.Now()
	c.idle = append(c.idle, kept)
}

func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, kept := range c.idle {
		kept.Close()
	}
	c.idle = nil
}

// do sends one request and completes its outcome.
func (c *client) do(o *Outcome, host string, bodySize int) {
	get := c.take
	if o.Kind == Fresh {
		get = c.dial
	}
	conn, err := get()
	if err != nil {
		o.Failure = "connect: " + reason(err)
		return
	}
	conn.SetDeadline(o.Intended.Add(c.timeout))
	var body []byte
	if o.Kind == Put || o.Kind == Post {
		body = c.body[:bodySize]
	}
	again, err := conn.exchange(o, host, body)
	if err != nil {
		o.Failure = reason(err)
	}
	if !again || o.Kind == Fresh {
		conn.Close()
		return
	}
	c.put(conn)
}

// exchange writes a request and reads its answer. again tells whether the
// connection is good for another one.
func (c *conn) exchange(o *Outcome, host string, body []byte) (again bool, err error) {
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s?delay=%s HTTP/1.1\r\nHost: %s\r\n", o.Kind.Method(), o.Path, o.asked, host)
	if body != nil {
		fmt.Fprintf(&head, "Content-Length: %d\r\n", len(body))
	}
	if o.Kind == Fresh {
		head.WriteString("Connection: close\r\n")
	}
	head.WriteString("\r\n")
	// A failed write is no answer yet: it may have been given early.
	_, wrote := (&net.Buffers{[]byte(head.String()), body}).WriteTo(c.Conn)

	response, err := http.ReadResponse(c.in, &http.Request{Method: o.Kind.Method()})
	if err != nil {
		return false, errors.Join(err, wrote)
	}
	o.Status = response.StatusCode
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return false, err
	}
	o.From = response.Header.Get("X-From")
	o.FirstRequest, _ = time.ParseDuration(response.Header.Get("X-First-Request"))
	o.Failure = judge(o, response, string(text), body)
	return !response.Close && wrote == nil, nil
}

// judge compares an answer with what the app would say.
func judge(o *Outcome, response *http.Response, text string, body []byte) string {
	if response.StatusCode != http.StatusOK {
		word := response.Header.Get("Rollcall-Error")
		if word == "" {
			word = "from the app"
		}
		return fmt.Sprintf("%d %s", response.StatusCode, word)
	}
	name := o.Kind.Method() + " " + o.Path
	want := fmt.Sprintf("%s %08x\n", name, crc32.ChecksumIEEE(body))
	if o.Kind == Head {
		want = ""
	}
	switch said := response.Header.Get("X-Request"); {
	case said == "":
		return "answer of another application"
	case said != name:
		return "answer to another request"
	case text != want:
		return "wrong body"
	}
	return ""
}

// reason says in a few words why there is no answer.
func reason(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed within an answer"
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
