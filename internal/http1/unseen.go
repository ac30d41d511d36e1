package http1

import (
	"errors"
	"io"
	"syscall"
)

// unseen reports whether an exchange that failed with err is certain not to have reached the backend: it had closed the
// connection, and its system acknowledged not one byte of the request. What arrived before the end would be
// acknowledged with it; what comes later is thrown away. A reset proves nothing: it tells of bytes that were not read, and not of
// those that were.
func (c *conn) unseen(err error) bool {
	// A write after the backend's end, and the reset that answers it, is EPIPE.
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE) {
		return false
	}
	sent := c.wrote
	if c.upload != nil {
		more, ended := c.upload.stop()
		if !ended {
			return false
		}
		sent += more
	}
	return sent > 0 && acknowledgedNone(c.nc, sent)
}
