//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package http1

import (
	"net"
	"syscall"
)

// eye looks at a socket without reading from it and without waiting.
type eye struct {
	raw   syscall.RawConn // nil: not a socket
	peek  func(fd uintptr)
	quiet bool // what peek saw
	one   [1]byte
}

func (e *eye) open(nc net.Conn) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	e.raw = raw
	e.peek = e.look // made once per connection: a closure per look would be an allocation per request
}

func (e *eye) look(fd uintptr) {
	_, _, err := syscall.Recvfrom(int(fd), e.one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	for err == syscall.EINTR {
		_, _, err = syscall.Recvfrom(int(fd), e.one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}
	e.quiet = err == syscall.EAGAIN // no data, no end, no error: as an idle connection has to be
}

// idle reports whether the socket is open and has nothing to say. If it can't be looked at, it is taken to be.
func (e *eye) idle() bool {
	if e.raw == nil {
		return true
	}
	e.quiet = false
	// Control and not Read: an old read deadline must not keep us from looking.
	return e.raw.Control(e.peek) == nil && e.quiet
}
