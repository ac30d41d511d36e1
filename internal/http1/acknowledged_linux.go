package http1

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// acknowledgedNone reports whether the peer has acknowledged nothing of the last n bytes that were written to a connection, on
// which all before them was acknowledged (tcp(7), TCP_INFO).
func acknowledgedNone(nc net.Conn, n int64) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	var info *unix.TCPInfo
	if raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }) != nil || err != nil {
		return false
	}
	// Old kernels leave these fields zero. The first byte that is acknowledged is the SYN.
	if info.Bytes_sent == 0 || info.Bytes_acked == 0 {
		return false
	}
	written := int64(info.Bytes_sent) - int64(info.Bytes_retrans) + int64(info.Notsent_bytes)
	return int64(info.Bytes_acked)-1 == written-n
}
