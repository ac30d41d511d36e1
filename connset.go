package main

import (
	"context"
	"net"
	"sync"
)

// connSet knows the open connections to one backend, so that what is in flight
// on them can be cut off. It is touched when a connection is made or closed,
// not by requests. The zero value is empty.
type connSet struct {
	mu   sync.Mutex // guards open
	open map[*setConn]struct{}
}

// setConn is a connection that leaves its set when it is closed. It is a
// syscall.Conn, which http1 needs to look at it.
type setConn struct {
	*net.TCPConn
	set *connSet
}

func (c *setConn) Close() error {
	c.set.mu.Lock()
	delete(c.set.open, c)
	c.set.mu.Unlock()
	return c.TCPConn.Close()
}

// Socket is for http1: the system moves bodies between bare sockets only.
func (c *setConn) Socket() *net.TCPConn { return c.TCPConn }

var upstreamDialer net.Dialer

// dial makes a connection that belongs to the set.
func (s *connSet) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := upstreamDialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &setConn{conn.(*net.TCPConn), s} // network is "tcp"
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*setConn]struct{}{}
	}
	s.open[c] = struct{}{}
	return c, nil
}

// closeAll closes every connection of the set.
func (s *connSet) closeAll() {
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for c := range open {
		c.TCPConn.Close()
	}
}
