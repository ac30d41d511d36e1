package main

import (
	"bufio"
	"net"
	"net/http"
)

// upgradeWriter is the ResponseWriter of a request that asks for another
// protocol. What its client sent right behind the request belongs to that
// protocol; httputil.ReverseProxy copies from the bare connection, and would
// lose what the server has read already.
type upgradeWriter struct{ http.ResponseWriter }

// Unwrap is for http.ResponseController.
func (w upgradeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack is of http.Hijacker.
func (w upgradeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil && buffered.Reader.Buffered() > 0 {
		conn = &earlyConn{conn, buffered.Reader}
	}
	return conn, buffered, err
}

// earlyConn is a connection from which some bytes were read too early.
type earlyConn struct {
	net.Conn
	early *bufio.Reader // nil once it is empty; used by Read only
}

func (c *earlyConn) Read(p []byte) (int, error) {
	if c.early == nil {
		return c.Conn.Read(p)
	}
	n, err := c.early.Read(p[:min(len(p), c.early.Buffered())])
	if c.early.Buffered() == 0 {
		c.early = nil
	}
	return n, err
}

// CloseWrite tells the client that nothing more will come.
func (c *earlyConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
