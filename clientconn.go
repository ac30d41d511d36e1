package main

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// clientListener makes a clientConn of each TCP connection.
type clientListener struct{ net.Listener }

// Accept is of net.Listener.
func (l clientListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); err == nil && ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			return newClientConn(tcp, raw), nil
		}
	}
	return conn, err
}

// clientConn spares net/http system calls and timers that nearly no request
// needs. While a request is served, net/http reads one byte ahead on a goroutine
// of its own, to learn that the client has left: that Read waits here without
// trying first. And it sets a read deadline some five times a request: what is
// set here reaches the socket when there is something to wait for.
//
// Bodies still go from socket to socket: ReadFrom is the socket's own.
type clientConn struct {
	*net.TCPConn
	raw    syscall.RawConn
	ready  func(fd uintptr) bool // for raw, made once
	waited bool                  // of ready; owned by the Read that looks ahead

	mu      sync.Mutex // guards the following
	wanted  time.Time  // read deadline as it was set; zero: none
	armed   time.Time  // read deadline of the socket
	written time.Time  // write deadline
	reading bool       // the socket's deadline has to follow at once
	taken   bool       // another protocol has the connection: no Read is one that looks ahead
}

// glance is how long a Read that looks ahead waits before it tries for the first
// time. What had come just before it began to wait does not wake it.
const glance = 100 * time.Millisecond

func newClientConn(conn *net.TCPConn, raw syscall.RawConn) *clientConn {
	c := &clientConn{TCPConn: conn, raw: raw}
	c.ready = func(uintptr) bool {
		waited := c.waited
		c.waited = true
		return waited
	}
	return c
}

// Read is of net.Conn. One of a single byte without a deadline is taken for one
// that looks ahead: it may return 100 ms late.
func (c *clientConn) Read(p []byte) (int, error) {
	if len(p) == 1 && c.lookAhead() == stopped {
		return 0, os.ErrDeadlineExceeded
	}
	c.mu.Lock()
	c.arm(c.wanted)
	c.reading = true
	c.mu.Unlock()
	n, err := c.TCPConn.Read(p)
	c.mu.Lock()
	c.reading = false
	c.mu.Unlock()
	return n, err
}

// Why a Read that looks ahead does not wait any longer.
const (
	readable = iota // or it does not look ahead, or has waited long enough
	stopped         // by a deadline
)

// lookAhead waits until there may be something to read, at most for glance.
func (c *clientConn) lookAhead() int {
	c.mu.Lock()
	if c.taken || !c.wanted.IsZero() {
		c.mu.Unlock()
		return readable
	}
	c.arm(time.Now().Add(glance))
	c.reading = true
	c.mu.Unlock()
	c.waited = false
	err := c.raw.Read(c.ready)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
	if err != nil && !c.wanted.IsZero() {
		return stopped // if it is closed, the next Read will tell
	}
	return readable
}

// arm sets the socket's read deadline; mu is held.
func (c *clientConn) arm(deadline time.Time) {
	if deadline != c.armed {
		c.armed = deadline
		c.TCPConn.SetReadDeadline(deadline) // an error: it is closed, as the next Read will tell
	}
}

// SetReadDeadline is of net.Conn.
func (c *clientConn) SetReadDeadline(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = deadline
	if c.reading {
		c.arm(deadline)
	}
	return nil
}

// SetWriteDeadline is of net.Conn.
func (c *clientConn) SetWriteDeadline(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if deadline == c.written {
		return nil
	}
	c.written = deadline
	return c.TCPConn.SetWriteDeadline(deadline)
}

// SetDeadline is of net.Conn. net/http calls it when it gives the connection away,
// and whoever gets it may read from the socket itself.
func (c *clientConn) SetDeadline(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted, c.armed, c.written, c.taken = deadline, deadline, deadline, true
	return c.TCPConn.SetDeadline(deadline)
}
