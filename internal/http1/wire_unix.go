//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package http1

import (
	"io"
	"net"
	"os"
	"syscall"
)

// wire is the socket below a connection, for what net.Conn can't do with one.
type wire struct {
	raw  syscall.RawConn // nil: not a socket
	addr net.Addr        // of its other end
	peek func(fd uintptr)
	turn func(fd uintptr) bool

	quiet bool // what peek saw
	one   [1]byte

	looked func() // of tests: between look and write in ask; nil: nothing

	// Of a turn. They are no variables of ask, because a closure on each call would be an allocation.
	out, in     []byte // out is nil once it is written
	look        bool
	wrote, read int
	err         error
}

func (w *wire) open(nc net.Conn, looked func()) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	w.raw, w.addr = raw, nc.RemoteAddr()
	w.peek, w.turn, w.looked = w.lookAt, w.takeTurn, looked
}

// isOpen reports whether there is a socket.
func (w *wire) isOpen() bool { return w.raw != nil }

// idle looks at the socket without reading from it and without waiting. It reports whether that is open and has nothing to
// say. If it can't be looked at, it is taken to be.
func (w *wire) idle() bool {
	if w.raw == nil {
		return true
	}
	w.quiet = false
	// Control and not Read: an old read deadline must not keep us from looking.
	return w.raw.Control(w.peek) == nil && w.quiet
}

func (w *wire) lookAt(fd uintptr) {
	_, err := retried(look, fd, w.one[:])
	w.quiet = err == syscall.EAGAIN // no data, no end, no error: as an idle connection has to be
}

func look(fd int, p []byte) (int, error) {
	n, _, err := syscall.Recvfrom(fd, p, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return n, err
}

// ask writes out and waits for the first bytes of what comes back, which it reads into in. With look, it looks first, and if the
// wire isn't idle, it writes nothing and returns errNotIdle. out may be a part of in. If not all of out could be written, or a
// deadline has passed, it returns earlier.
//
// A Write and a Read would do the same, with a look before them. But the Read tries, in vain, before it waits. Here the poller
// is told that we want to read before we look and write, so that whatever comes after the look wakes us.
func (w *wire) ask(out, in []byte, look bool) (wrote, read int, err error) {
	w.out, w.in, w.look = out, in, look
	w.wrote, w.read, w.err = 0, 0, nil
	err = w.raw.Read(w.turn)
	if w.err != nil {
		err = w.err
	}
	w.out, w.in, w.err = nil, nil, nil
	return w.wrote, w.read, err
}

// takeTurn writes when it is called first, and then reads. It reports whether the turn is over, and is called again when the
// socket has become readable.
func (w *wire) takeTurn(fd uintptr) (over bool) {
	if w.out == nil {
		return w.hear(fd)
	}
	if w.look {
		if w.lookAt(fd); !w.quiet {
			w.err = errNotIdle
			return true
		}
		if w.looked != nil {
			w.looked()
		}
	}
	n, err := retried(syscall.Write, fd, w.out)
	w.wrote = max(n, 0)
	switch {
	case n == len(w.out):
		w.out = nil
		return false
	case n < 0 && err != syscall.EAGAIN:
		w.err = w.failure("write", err)
	}
	return true
}

func (w *wire) hear(fd uintptr) (over bool) {
	n, err := retried(syscall.Read, fd, w.in)
	switch {
	case n > 0:
		w.read = n
	case n == 0:
		w.err = io.EOF
	case err == syscall.EAGAIN:
		return false
	default:
		w.err = w.failure("read", err)
	}
	return true
}

// failure has the form of net's own errors.
func (w *wire) failure(call string, err error) error {
	return &net.OpError{Op: call, Net: "tcp", Addr: w.addr, Err: os.NewSyscallError(call, err)}
}

func retried(call func(fd int, p []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		n, err := call(int(fd), p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}
