//go:build !linux

package http1

import "net"

// acknowledgedNone can't be found out here.
func acknowledgedNone(net.Conn, int64) bool { return false }
