package http1

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
)

func (c *conn) begin(ctx context.Context, in *buffer) {
	c.ctx, c.in = ctx, in
	c.headLeft = c.pool.opts.MaxHeadBytes
	c.got, c.wrote, c.taken, c.awaiting = false, 0, false, true
	c.waiting, c.continueBy, c.upload = nil, 0, nil
	c.sent = c.pool.now()

	limit := c.pool.opts.HeadTimeout
	if ctx.Done() == nil && limit == 0 {
		if c.deadline != 0 {
			c.setDeadline(0)
		}
		return
	}
	wake := c.sent + glance
	if limit > 0 {
		wake = min(wake, c.sent+limit)
	}
	if at, ok := ctx.Deadline(); ok {
		wake = min(wake, max(at.Sub(c.pool.epoch), c.sent))
	}
	if c.deadline <= 0 || c.deadline < wake-glance/2 || c.deadline > wake { // else the one of an earlier exchange will do
		c.setDeadline(wake)
	}
}

// exchange sends one request and returns its response. If it fails, the connection is closed; in stays the caller's.
func (c *conn) exchange(ctx context.Context, req *http.Request, in *buffer, head []byte, o outline) (*http.Response, *Error) {
	c.begin(ctx, in)
	sendErr := c.send(req, head, o)
	if sendErr != nil && c.wrote == 0 {
		return nil, c.fail(sendErr)
	}
	// A backend that hangs up while we write may have said why.
	a, f, err := c.receive(o)
	if err != nil {
		if sendErr != nil {
			err = sendErr
		}
		return nil, c.fail(err)
	}
	if err := c.deliver(a, f, req, o, sendErr == nil); err != nil {
		return nil, c.fail(err)
	}
	return &a.Response, nil
}

// send writes the request, or what of it goes before the sender of its body takes over.
func (c *conn) send(req *http.Request, head []byte, o outline) error {
	if o.length == 0 {
		return c.ask(head)
	}
	if o.length > 0 && !o.expect && len(head) <= bufferSize && inMemory(req.Body, o.length) {
		return c.sendWhole(req.Body, head, int(o.length))
	}
	u := newUpload(c, req, o.length)
	if o.expect || o.length == unknown || len(head) > bufferSize {
		// A sender of chunks may want to hear something before it says anything, so that its head goes alone.
		if err := c.write(head); err != nil {
			return err
		}
		head = nil
	}
	if o.expect {
		c.waiting = u
		c.continueBy = c.pool.now() + c.pool.opts.ContinueTimeout
		if c.deadline <= 0 || c.continueBy < c.deadline {
			c.setDeadline(c.continueBy)
		}
		return nil
	}
	c.startUpload(u, head)
	return nil
}

// inMemory reports whether all of a small body can be read without waiting.
func inMemory(body io.Reader, length int64) bool {
	b, ok := body.(interface{ Len() int })
	return ok && length <= uploadSize && int64(b.Len()) >= length
}

// sendWhole sends head and body in one write.
func (c *conn) sendWhole(body io.Reader, head []byte, length int) error {
	buf := uploads.Get().(*[uploadSize + bufferSize]byte)
	defer uploads.Put(buf)
	n := copy(buf[:], head)
	c.taken = true
	if _, err := io.ReadFull(body, buf[n:n+length]); err != nil {
		return bodyError{err}
	}
	return c.write(buf[:n+length])
}

func (c *conn) startUpload(u *upload, head []byte) {
	c.upload, c.waiting, c.continueBy = u, nil, 0
	// The sender has no deadline: it is stopped by closing the connection. Reading keeps its own.
	c.nc.SetWriteDeadline(noDeadline)
	c.deadline = unset
	c.setDeadline(c.pool.now() + holdHead)
	u.start(head)
}

// receive reads heads until the final one.
func (c *conn) receive(o outline) (*answer, frame, error) {
	for {
		head, err := c.readHead()
		if err == errContinueTime {
			c.startUpload(c.waiting, nil)
			continue
		}
		if err != nil {
			return nil, frame{}, err
		}
		f, err := inspect(head)
		if err != nil {
			return nil, f, err
		}
		if f.code >= 200 || f.code == http.StatusSwitchingProtocols {
			c.awaiting, c.continueBy = false, 0
			a, err := newAnswer(head, &f)
			return a, f, err
		}
		if err := c.interim(head, &f); err != nil {
			return nil, f, err
		}
	}
}

// interim passes a 1xx response on to who asked for it (RFC 9110, section 15.2).
func (c *conn) interim(head []byte, f *frame) error {
	if f.chunked || f.length > 0 {
		return malformed("interim response with a body")
	}
	if trace := httptrace.ContextClientTrace(c.ctx); trace != nil {
		if err := tell(trace, head, f); err != nil {
			return err
		}
	}
	// Not before: the trace tells the client to continue, and so does a server when its request's body is first read.
	if f.code == http.StatusContinue && c.waiting != nil {
		c.startUpload(c.waiting, nil)
	}
	return nil
}

func tell(trace *httptrace.ClientTrace, head []byte, f *frame) error {
	if f.code == http.StatusContinue && trace.Got100Continue != nil {
		trace.Got100Continue()
	}
	if trace.Got1xxResponse == nil {
		return nil
	}
	a, err := newAnswer(head, f)
	if err != nil {
		return err
	}
	return trace.Got1xxResponse(f.code, textproto.MIMEHeader(a.Header))
}

// deliver gives the response its body. intact: the request was written without an error.
func (c *conn) deliver(a *answer, f frame, req *http.Request, o outline, intact bool) error {
	a.Request = req
	keep := intact && !o.close && f.keepAlive() && c.waiting == nil
	switch {
	case f.code == http.StatusSwitchingProtocols:
		if !o.upgrade || !f.upgrade || !f.other {
			return malformed("101 that nobody asked for")
		}
		return c.handOver(a, req)
	case o.head || f.code == http.StatusNoContent || f.code == http.StatusNotModified:
		a.Body = http.NoBody
		if !o.head {
			a.ContentLength = 0
		}
		if f.code == http.StatusNoContent && (f.chunked || f.length > 0) {
			keep = false // what it announced may follow, RFC 9110, section 8.6
		}
	case f.chunked:
		a.body.mode = chunked
	case f.length > 0:
		a.body.mode, a.body.left = counted, f.length
	case f.length == 0:
		a.Body = http.NoBody
	default:
		a.body.mode = untilClose
		a.Close, keep = true, false
	}
	c.answered(req)
	if a.Body == http.NoBody {
		c.finish(keep)
		return nil
	}
	a.Body = &a.body
	a.body.c, a.body.keep, a.body.resp = c, keep, &a.Response
	return nil
}

// answered sees to it that the request's body is closed, now or when its sender has ended.
func (c *conn) answered(req *http.Request) {
	switch {
	case c.upload != nil:
		c.upload.answered()
	case req.Body != nil:
		req.Body.Close()
	}
}

// finish ends an exchange whose response was returned, and is called once for each. keep: the response ended as it should.
func (c *conn) finish(keep bool) {
	if c.in.len() > 0 {
		keep = false
	}
	c.in.free()
	if c.unwatch != nil && !c.unwatch() {
		keep = false // the connection is being closed
	}
	u := c.upload
	c.in, c.unwatch, c.ctx, c.upload, c.waiting = nil, nil, nil, nil, nil
	if u != nil {
		c.deadline = unset
		u.finish(c, keep)
		return
	}
	c.retire(keep)
}

func (c *conn) retire(keep bool) {
	if keep {
		c.pool.put(c)
		return
	}
	c.nc.Close()
}

// fail ends an exchange that has no response.
func (c *conn) fail(err error) *Error {
	unseen := !c.got && c.unseen(err)
	c.nc.Close()
	if c.unwatch != nil {
		c.unwatch()
	}
	e := &Error{Err: err, Reused: c.reused, Wrote: c.wrote > 0, BodyTaken: c.taken}
	if c.upload != nil {
		c.upload.abandon(e)
	}
	e.Wrote = e.Wrote && !unseen
	var body bodyError
	var bad malformed
	switch {
	case c.ctx.Err() != nil:
		e.Kind, e.Err = Canceled, context.Cause(c.ctx)
	case errors.As(e.Err, &body):
		e.Kind, e.Err = Body, body.err
	case errors.As(e.Err, &bad):
		e.Kind = Malformed
	case e.Err == errHeadTimeout:
		e.Kind = Timeout
	case c.reused && !c.got:
		e.Kind = Stale
	default:
		e.Kind = Broken
	}
	return e
}
