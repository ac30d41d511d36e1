package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// clientListener makes a clientConn of each TCP connection.
type clientListener struct{ net.Listener }

// Accept is of net.Listener.
func (l clientListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &clientConn{TCPConn: tcp}, err
	}
	return conn, err
}

// clientConn spares net/http what nearly no request needs. While a request is
// served, net/http reads one byte ahead on a goroutine of its own, to learn that the
// client has left, and has to stop that when the request is answered: a system call, two
// timers and two switches of goroutines. Here that Read returns at once with nothing,
// which net/http takes for the end of it; a request that lasts asks for watch. And
// net/http sets a read deadline some three times a request more: what is set here
// reaches the socket when there is something to wait for.
//
// Bodies still go from socket to socket: ReadFrom is the socket's own.
type clientConn struct {
	*net.TCPConn
	cancel context.CancelFunc // ends the context of its requests; nil: none was made

	mu        sync.Mutex    // guards the following
	wanted    time.Time     // read deadline as it was set; zero: none
	armed     time.Time     // read deadline of the socket
	written   time.Time     // write deadline
	lookAhead bool          // a Read of one byte that comes next is the one ahead
	reading   bool          // the socket's deadline has to follow at once
	watched   bool          // watch was called for the present request
	watcher   chan struct{} // closed when its goroutine has ended; nil: there is none
	ahead     []byte        // what it has read: a byte of the body or of the next request
}

type clientConnKey struct{}

// withClient is http.Server's ConnContext for a clientListener: it makes the
// context of a connection's requests.
func withClient(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*clientConn); ok {
		ctx, c.cancel = context.WithCancel(context.WithValue(ctx, clientConnKey{}, c))
	}
	return ctx
}

// watchClient makes a request's context end when its client leaves. What waits for
// long, on behalf of a request, has to call it.
func watchClient(ctx context.Context) {
	if c, ok := ctx.Value(clientConnKey{}).(*clientConn); ok {
		c.watch()
	}
}

// watch waits for what the client does next, until the next Read.
func (c *clientConn) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched = true
	if c.watcher != nil || c.reading || len(c.ahead) > 0 {
		return // a Read learns of it as well
	}
	c.arm(time.Time{})
	c.watcher = make(chan struct{})
	go c.wait(c.watcher)
}

func (c *clientConn) wait(ended chan<- struct{}) {
	defer close(ended)
	var one [1]byte
	n, err := c.TCPConn.Read(one[:])
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = append(c.ahead, one[:n]...)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) { // else stopWatcher wants it to end
		c.cancel()
	}
}

// stopWatcher waits until the goroutine that watch has begun, if any, has ended. mu is
// held, but not meanwhile.
func (c *clientConn) stopWatcher() {
	if ended := c.watcher; ended != nil {
		c.arm(time.Unix(1, 0))
		c.mu.Unlock()
		<-ended
		c.mu.Lock()
		c.watcher = nil
	}
}

// Read is of net.Conn. It returns nothing, and no error, when net/http begins to read
// ahead, unless the request is being watched.
func (c *clientConn) Read(p []byte) (int, error) {
	if n, done := c.beginRead(p); done {
		return n, nil
	}
	n, err := c.TCPConn.Read(p)
	c.mu.Lock()
	c.reading = false
	c.mu.Unlock()
	return n, err
}

// beginRead reports whether a Read is done without the socket.
func (c *clientConn) beginRead(p []byte) (n int, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Who is taken for net/http's look ahead, and has just one byte of room, simply calls again.
	nothing := c.lookAhead && !c.watched && len(p) == 1
	if c.lookAhead = false; nothing {
		return 0, true
	}
	c.stopWatcher()
	if n = copy(p, c.ahead); n > 0 {
		c.ahead = c.ahead[n:]
		return n, true
	}
	c.arm(c.wanted)
	c.reading = true
	return 0, false
}

// WriteTo is of io.WriterTo. The socket's own does not know what was read ahead.
func (c *clientConn) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{c})
}

// Close is of net.Conn.
func (c *clientConn) Close() error {
	if c.cancel != nil {
		c.cancel()
	}
	return c.TCPConn.Close()
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
	if deadline.IsZero() {
		c.lookAhead = c.cancel != nil // net/http takes the deadline away before it reads ahead
	} else {
		c.lookAhead, c.watched = false, false // the request is over
	}
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

// SetDeadline is of net.Conn. net/http calls it when it gives the connection away.
func (c *clientConn) SetDeadline(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopWatcher()
	c.wanted, c.armed, c.written, c.lookAhead = deadline, deadline, deadline, false
	return c.TCPConn.SetDeadline(deadline)
}
