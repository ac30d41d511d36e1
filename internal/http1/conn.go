package http1

import (
	"context"
	"net"
	"time"
)

var noDeadline time.Time

const (
	// glance is how long an exchange runs before it subscribes to its context. Nearly all are over by then, and a deadline
	// that stands for several exchanges is much cheaper than a context.AfterFunc for each.
	glance = 100 * time.Millisecond

	// holdHead is the longest time that a request's head waits for the first bytes of its body.
	holdHead = 20 * time.Millisecond

	// lastWords is how long an answer may take after the request could not be written to its end. Usually the backend has
	// answered and hung up, and the answer is here, or it is dead, and reading says so.
	lastWords = 500 * time.Millisecond

	// linger bounds the write of a request's last bytes after its response has ended.
	linger = 5 * time.Second
)

// unset is a deadline that isn't known, so that the next one is set in any case. 0 is none.
const unset = -1

// conn is one connection. It belongs to the pool while idle, else to one exchange.
type conn struct {
	pool      *Pool
	nc        net.Conn
	wire      wire
	idleSince time.Duration
	reused    bool
	deadline  time.Duration // as set on nc

	// The following belong to the exchange, and are set anew by begin.
	ctx        context.Context
	in         *buffer
	headLeft   int           // bytes that heads may still take
	got        bool          // a byte of the response came
	wrote      int64         // bytes of the request that went, by the caller's hand; see also upload.wrote
	taken      bool          // a byte of the body was read, by the caller's hand; see also upload.taken
	awaiting   bool          // the final head isn't complete
	sent       time.Duration // the wait for the head began
	unwatch    func() bool   // not nil: the connection is closed when ctx ends, unless unwatch comes first
	waiting    *upload       // the body that waits for 100 Continue
	continueBy time.Duration // and until when
	upload     *upload       // the body that is being sent, or was
}

func newConn(p *Pool, nc net.Conn) *conn {
	c := &conn{pool: p, nc: nc, deadline: unset}
	c.wire.open(nc, p.opts.looked)
	return c
}

// socket is the TCP connection that bodies can be moved from; nil if there is none.
func (c *conn) socket() *net.TCPConn {
	switch nc := c.nc.(type) {
	case *net.TCPConn:
		return nc
	case interface{ Socket() *net.TCPConn }:
		return nc.Socket()
	}
	return nil
}

// quiet reports whether an idle connection may be used again.
func (c *conn) quiet() bool { return c.wire.idle() }

// read reads once from the backend. It returns the context's cause if that ended.
func (c *conn) read(p []byte) (int, error) {
	for {
		n, err := c.nc.Read(p)
		if n > 0 {
			c.got = true
			return n, nil
		}
		if err == nil {
			continue
		}
		if err = c.explain(err); err != nil {
			return 0, err
		}
	}
}

// readSome copies what is buffered, else reads once: into p if that is large, because then every copy counts.
func (c *conn) readSome(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.in.len() == 0 {
		if len(p) >= bufferSize/2 {
			return c.read(p)
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	return c.in.take(p), nil
}

// fill reads more into the buffer, which isn't full.
func (c *conn) fill() error {
	c.in.room(len(c.in.b))
	n, err := c.read(c.in.b[c.in.w:])
	c.in.w += n
	return err
}

// write writes all of p. It is not used while there is a sender.
func (c *conn) write(p []byte) error {
	for {
		n, err := c.nc.Write(p)
		c.wrote += int64(n)
		if err == nil {
			return nil
		}
		p = p[n:]
		if err = c.explain(err); err != nil {
			return err
		}
	}
}

// ask writes a request that is all head. It may wait for the answer, and have read its beginning when it returns. A connection
// that was used before is looked at first.
func (c *conn) ask(head []byte) error {
	if !c.wire.isOpen() {
		return c.write(head)
	}
	for c.wrote == 0 {
		wrote, read, err := c.wire.ask(head, c.in.b, c.reused)
		c.wrote, c.in.w, c.got = int64(wrote), read, read > 0
		if err != nil && err != errNotIdle {
			err = c.explain(err)
		}
		if err != nil {
			return err
		}
	}
	if rest := head[c.wrote:]; len(rest) > 0 {
		return c.write(rest)
	}
	return nil
}

// explain returns the reason of an error of nc, or nil if it was only a deadline that stands for no limit.
func (c *conn) explain(err error) error {
	switch {
	case c.ctx.Err() != nil:
		return context.Cause(c.ctx)
	case isTimeout(err):
		return c.overdue()
	case c.upload != nil:
		if cause := c.upload.bodyFailure(); cause != nil {
			return cause
		}
	}
	return err
}

// overdue is called when the deadline has passed: the exchange is one of the slow ones. It looks at what has to happen now,
// and sets the next deadline.
func (c *conn) overdue() error {
	c.watch()
	now := c.pool.now()
	if c.upload != nil {
		if err := c.upload.flush(); err != nil {
			return err
		}
	}
	var next time.Duration
	if limit := c.pool.opts.HeadTimeout; c.awaiting && limit > 0 {
		since := c.sent
		if c.upload != nil {
			since = c.upload.waitingSince(now)
		}
		if next = since + limit; next <= now {
			return errHeadTimeout
		}
	}
	if c.upload != nil && c.awaiting {
		if err := c.upload.failure(); err != nil {
			at := c.upload.waitingSince(now) + lastWords
			if at <= now {
				return err
			}
			next = sooner(next, at)
		}
	}
	if c.continueBy != 0 {
		if c.continueBy <= now {
			return errContinueTime
		}
		next = sooner(next, c.continueBy)
	}
	c.setDeadline(next)
	return nil
}

// sooner returns the earlier of two deadlines, of which a may be none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// watch makes the end of the context close the connection from now on.
func (c *conn) watch() {
	if c.unwatch != nil || c.ctx.Done() == nil {
		return
	}
	c.pool.opts.Watch(c.ctx)
	nc := c.nc
	c.unwatch = context.AfterFunc(c.ctx, func() { nc.Close() })
}

func (c *conn) setDeadline(at time.Duration) {
	c.deadline = at
	t := noDeadline
	if at > 0 {
		t = c.pool.epoch.Add(at)
	}
	if c.upload != nil {
		c.nc.SetReadDeadline(t)
		return
	}
	c.nc.SetDeadline(t)
}
