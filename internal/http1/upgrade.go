package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
)

// upgraded is the body of a 101 response: the connection, with the bytes that came behind the head.
type upgraded struct {
	net.Conn
	in *buffer // nil when empty; used by Read only
}

func (u *upgraded) Read(p []byte) (int, error) {
	if u.in == nil {
		return u.Conn.Read(p)
	}
	n := u.in.take(p)
	if u.in.len() == 0 {
		u.in.free()
		u.in = nil
	}
	return n, nil
}

// CloseWrite tells the backend that nothing more will come, if the connection can.
func (u *upgraded) CloseWrite() error {
	if c, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

var _ io.ReadWriteCloser = (*upgraded)(nil)

// handOver makes the connection the body of a 101 response and forgets it. The new protocol begins after the request, all of it
// (RFC 9110, section 7.8).
func (c *conn) handOver(a *answer, req *http.Request) error {
	if c.waiting != nil || c.upload != nil && !c.upload.settled() {
		return malformed("101 before the end of the request")
	}
	if c.unwatch != nil && !c.unwatch() {
		return context.Cause(c.ctx)
	}
	c.unwatch = nil
	c.nc.SetDeadline(noDeadline)
	c.answered(req)
	u := &upgraded{Conn: c.nc}
	if c.in.len() > 0 {
		u.in = c.in
	} else {
		c.in.free()
	}
	a.Body, a.ContentLength = u, 0
	return nil
}
