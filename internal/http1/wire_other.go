//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package http1

import "net"

// wire is not used here: a connection that was closed shows as a Stale error.
type wire struct{}

func (*wire) open(net.Conn, func()) {}
func (*wire) isOpen() bool          { return false }
func (*wire) idle() bool            { return true }

func (*wire) ask(out, in []byte, look bool) (wrote, read int, err error) { panic("not open") }
