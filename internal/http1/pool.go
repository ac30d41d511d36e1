package http1

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options of a Pool. The zero value of each field stands for the default that it names.
type Options struct {
	// Dial makes a connection; net.Dialer's DialContext if nil. The context ends with the request or after DialTimeout.
	// One that is not a *net.TCPConn, but passes on the bytes of one as they are, may say so with a method
	// Socket() *net.TCPConn: large bodies are moved from there.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	MaxIdle         int           // idle connections kept; 256; negative: none
	IdleTimeout     time.Duration // an idle connection is closed after it; 30s
	DialTimeout     time.Duration // 5s
	ContinueTimeout time.Duration // how long a body with Expect waits for 100 Continue; 1s

	// HeadTimeout bounds the wait for the response head. It runs while the backend has to do something: read what
	// was sent, or answer. The time in which the request's body waits for its client doesn't count. 0: no bound but
	// the request's context.
	HeadTimeout time.Duration

	// MaxHeadBytes bounds a response head together with the interim responses before it, and the trailer; 256 KiB.
	MaxHeadBytes int

	// Watch, if not nil, is called with a request's context when the end of that begins to count: before a connection is made,
	// when an exchange has lasted 100 ms, and before a body is moved. Whoever ends the context may save the trouble of
	// finding out, until then, whether there is a reason to.
	Watch func(context.Context)

	looked func() // for tests, see wire.looked
}

// Pool sends requests to one address. Its methods may be called by many goroutines.
type Pool struct {
	addr  string
	opts  Options
	epoch time.Time // times below are durations since then

	mu     sync.Mutex // guards the following; never held across I/O
	idle   []*conn    // oldest first
	timer  *time.Timer
	armed  bool // timer will run
	closed bool
}

// NewPool returns a Pool for addr (host:port). It connects when a request comes. opts may be nil.
func NewPool(addr string, opts *Options) *Pool {
	p := &Pool{addr: addr, epoch: time.Now()}
	if opts != nil {
		p.opts = *opts
	}
	setDefault(&p.opts.MaxIdle, 256)
	setDefault(&p.opts.IdleTimeout, 30*time.Second)
	setDefault(&p.opts.DialTimeout, 5*time.Second)
	setDefault(&p.opts.ContinueTimeout, time.Second)
	setDefault(&p.opts.MaxHeadBytes, 256<<10)
	if p.opts.Watch == nil {
		p.opts.Watch = func(context.Context) {}
	}
	if p.opts.Dial == nil {
		p.opts.Dial = (&net.Dialer{}).DialContext
	}
	return p
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// RoundTrip sends req to the pool's address and returns the response once its head is there. It takes Method, the target,
// Host, Header, Body, ContentLength, Trailer, Close and the context from req; URL.Scheme and URL.Host are ignored (but
// Host, if empty, is URL.Host). The target is URL.Opaque if that begins with a slash, byte for byte, else
// URL.EscapedPath, and then RawQuery.
//
// The body. Before RoundTrip returns, req.Body is read by it or for it. When it returns
//
//   - an error (always an *Error), it won't read the body any more, and has not closed it: the body is the caller's
//     again, to be replayed or closed. This differs from what http.RoundTripper asks for. Error.BodyTaken says whether
//     bytes of it are gone, Error.BodyBusy names the one exception.
//   - a response, sending may still be under way. The body is closed when it is sent, or when the response's body
//     was read to its end or closed before that: then the connection is closed too. Close may be called during a Read.
//
// A body with a method Len() int, as bytes.Reader has, is taken to hold Len bytes that can be read without waiting.
// If that is all of Content-Length and at most 64 KiB, no goroutine is needed to send it.
//
// The response's body has to be closed. It is an io.WriterTo, which moves a large body of known length from socket to socket without
// copying where the system can. Closing it before its end closes the connection, unless the rest is
// already here. It returns io.ErrUnexpectedEOF if the backend hangs up early, and the context's cause if the context ends. A
// request's context that ends is noticed at once, or within 100 ms in the first 100 ms of an exchange.
//
// The body of a 101 response is an io.ReadWriteCloser with CloseWrite: the connection, which no longer depends on the context.
func (p *Pool) RoundTrip(req *http.Request) (*http.Response, error) {
	in := newBuffer()
	head, o, err := appendRequest(in.b[:0], req)
	in.b = head[:cap(head)]
	if err != nil {
		in.free()
		return nil, &Error{Kind: Refused, Err: err}
	}
	ctx := req.Context()
	for {
		c, failed := p.conn(ctx, o.length != 0)
		if failed != nil {
			in.free()
			return nil, failed
		}
		resp, failed := c.exchange(ctx, req, in, head, o)
		if failed == nil {
			return resp, nil
		}
		if failed.Kind == Stale && !failed.Wrote && !failed.BodyTaken {
			continue // it broke after we had looked; nobody has seen anything of the request
		}
		in.free()
		return nil, failed
	}
}

// conn returns the most recently used idle connection that is still good, else a new one. A request without a body looks at the
// connection itself, see conn.ask.
func (p *Pool) conn(ctx context.Context, look bool) (*conn, *Error) {
	if ctx.Err() != nil {
		return nil, &Error{Kind: Canceled, Err: context.Cause(ctx)}
	}
	for {
		c := p.pop()
		if c == nil {
			return p.dial(ctx)
		}
		if p.now()-c.idleSince < p.opts.IdleTimeout && (!look || c.quiet()) {
			return c, nil
		}
		c.nc.Close()
	}
}

func (p *Pool) dial(ctx context.Context) (*conn, *Error) {
	p.opts.Watch(ctx)
	timed, cancel := context.WithTimeout(ctx, p.opts.DialTimeout)
	defer cancel()
	nc, err := p.opts.Dial(timed, "tcp", p.addr)
	switch {
	case err == nil:
		return newConn(p, nc), nil
	case ctx.Err() != nil:
		return nil, &Error{Kind: Canceled, Err: context.Cause(ctx)}
	}
	// A dialer keeps the time itself, and may be a moment ahead of the context.
	if at, ok := ctx.Deadline(); ok && !time.Now().Before(at) {
		return nil, &Error{Kind: Canceled, Err: context.DeadlineExceeded}
	}
	return nil, &Error{Kind: Dial, Err: err}
}

func (p *Pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

// put takes a connection back whose exchange ended well.
func (p *Pool) put(c *conn) {
	c.reused = true
	c.idleSince = p.now()
	p.mu.Lock()
	if p.closed || len(p.idle) >= p.opts.MaxIdle {
		p.mu.Unlock()
		c.nc.Close()
		return
	}
	p.idle = append(p.idle, c)
	if !p.armed {
		p.arm(p.opts.IdleTimeout)
	}
	p.mu.Unlock()
}

// arm makes reap run after d. There is no timer in a pool that was never used. p.mu is held.
func (p *Pool) arm(d time.Duration) {
	p.armed = true
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.reap)
		return
	}
	p.timer.Reset(d)
}

// reap closes what has been idle for too long, and arms the timer for the next one, if any.
func (p *Pool) reap() {
	now := p.now()
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && now-p.idle[n].idleSince >= p.opts.IdleTimeout {
		n++
	}
	old := p.remove(n)
	if p.armed = false; len(p.idle) > 0 {
		p.arm(p.opts.IdleTimeout - (now - p.idle[0].idleSince))
	}
	p.mu.Unlock()
	closeAll(old)
}

// remove takes the n oldest connections out. p.mu is held.
func (p *Pool) remove(n int) []*conn {
	if n == 0 {
		return nil
	}
	old := make([]*conn, n)
	copy(old, p.idle)
	rest := copy(p.idle, p.idle[n:])
	clear(p.idle[rest:])
	p.idle = p.idle[:rest]
	return old
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		c.nc.Close()
	}
}

// Idle returns the number of idle connections.
func (p *Pool) Idle() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// CloseIdleConnections closes the idle connections. The name is that of http.Transport, so that http.Client finds it.
func (p *Pool) CloseIdleConnections() {
	p.mu.Lock()
	old := p.remove(len(p.idle))
	p.mu.Unlock()
	closeAll(old)
}

// Close closes the idle connections, and each busy one when its exchange has ended. A request that comes later is still
// served, on a connection of its own: its sender may have chosen this backend a moment before it left.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	p.CloseIdleConnections()
	return nil
}

func (p *Pool) now() time.Duration { return time.Since(p.epoch) }

var _ interface {
	http.RoundTripper
	CloseIdleConnections()
} = (*Pool)(nil)
