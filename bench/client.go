package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// client sends one request over and over, on one connection or on a new one each
// time, and checks each answer. It does no more than that, so that it takes little
// of the processor that the proxy under test needs. Not for concurrent use.
type client struct {
	address string
	request []byte // head and body
	once    bool   // a new connection for each
	want    int    // length of a good answer's body

	conn net.Conn // nil: none is open
	buf  []byte
	end  time.Time // no answer is waited for beyond it
}

const clientBuffer = 256 << 10

// do sends the request and reads the answer. After an error the next request goes
// on a new connection.
func (c *client) do(ctx context.Context) error {
	if c.conn == nil {
		if err := c.dial(ctx); err != nil {
			return err
		}
	}
	last, err := c.exchange()
	if err != nil || last {
		c.close()
	}
	return err
}

func (c *client) dial(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	conn.SetDeadline(c.end)
	c.conn = conn
	if c.buf == nil {
		c.buf = make([]byte, clientBuffer)
	}
	return nil
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// exchange reports whether this was the connection's last.
func (c *client) exchange() (last bool, err error) {
	if _, err := c.conn.Write(c.request); err != nil {
		return true, err
	}
	n := 0
	for {
		m, err := c.conn.Read(c.buf[n:])
		if err != nil {
			return true, err
		}
		n += m
		if end := bytes.Index(c.buf[:n], []byte("\r\n\r\n")); end >= 0 {
			length, last, err := c.judge(c.buf[:end+2])
			if err == nil {
				err = c.skip(length - (n - end - 4))
			}
			return last || c.once, err
		}
		if n == len(c.buf) {
			return true, fmt.Errorf("the answer has no end of its head")
		}
	}
}

// judge reads an answer's head: its length, and whether the proxy will close.
func (c *client) judge(head []byte) (length int, last bool, err error) {
	if len(head) < 12 || string(head[9:12]) != "200" {
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		return 0, true, fmt.Errorf("answer %q", line)
	}
	value, ok := field(head, "content-length")
	if !ok {
		return 0, true, fmt.Errorf("answer without Content-Length")
	}
	if length, err = strconv.Atoi(string(value)); err != nil || length != c.want {
		return 0, true, fmt.Errorf("answer of %s bytes, not %d", value, c.want)
	}
	connection, _ := field(head, "connection")
	return length, bytes.EqualFold(connection, []byte("close")), nil
}

// skip reads the n bytes that are left of the body.
func (c *client) skip(n int) error {
	for n > 0 {
		m, err := c.conn.Read(c.buf[:min(n, len(c.buf))])
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		n -= m
	}
	if n < 0 {
		return fmt.Errorf("%d bytes more than the answer's length", -n)
	}
	return nil
}

// field returns the value of a field of a head; name is in lower case.
func field(head []byte, name string) (value []byte, ok bool) {
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		if len(line) > len(name) && line[len(name)] == ':' && bytes.EqualFold(line[:len(name)], []byte(name)) {
			return bytes.TrimSpace(line[len(name)+1:]), true
		}
	}
	return nil, false
}
