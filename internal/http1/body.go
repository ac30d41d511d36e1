package http1

import (
	"io"
	"net/http"
	"sync/atomic"
)

// How a body ends (RFC 9112, section 6.3).
const (
	counted    = iota // after Content-Length bytes
	chunked           // with the last chunk
	untilClose        // with the connection
)

// The states of a body. Only who moves it to ended or closed may end the exchange.
const (
	open    = iota
	reading // a Read is under way
	closing // Close came during that Read, and has closed the connection
	ended   // at its end or after an error
	closed  // by Close
)

// body reads a response's body from the connection, which it gives back the moment the last byte was read. After that it never
// touches the connection again: it may serve somebody else.
type body struct {
	state atomic.Int32
	mode  uint8
	keep  bool  // the connection may be used again after a proper end
	left  int64 // bytes to come; with chunked, of this chunk
	chunk chunkReader
	err   error // of ended
	c     *conn
	resp  *http.Response // for its Trailer
}

// Read returns io.EOF together with the last bytes if their end is known by then. It must not be called by two goroutines
// at the same time; Close may be called at any time.
func (b *body) Read(p []byte) (int, error) {
	if !b.state.CompareAndSwap(open, reading) {
		if b.state.Load() == ended {
			return 0, b.err
		}
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.read(p)
	if err == nil && b.state.CompareAndSwap(reading, open) {
		return n, nil
	}
	if err == nil || b.state.Load() == closing {
		err = http.ErrBodyReadAfterClose
	}
	b.err = err
	interrupted := b.state.Swap(ended) == closing
	b.c.finish(err == io.EOF && b.keep && !interrupted)
	return n, err
}

func (b *body) read(p []byte) (int, error) {
	if b.mode == chunked {
		return b.readChunked(p)
	}
	if b.mode == counted {
		p = p[:min(int64(len(p)), b.left)]
	}
	n, err := b.c.readSome(p)
	if b.mode == untilClose {
		return n, err
	}
	if b.left -= int64(n); b.left == 0 {
		return n, io.EOF
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// readSome copies what is buffered, else reads once: into p if that is large, because then every copy counts.
func (c *conn) readSome(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.in.len() == 0 {
		if len(p) >= bufferSize/2 {
			return c.read(p)
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	return c.in.take(p), nil
}

// fill reads more into the buffer, which isn't full.
func (c *conn) fill() error {
	c.in.room(len(c.in.b))
	n, err := c.read(c.in.b[c.in.w:])
	c.in.w += n
	return err
}

// Close ends the exchange. If the rest of the body is here already, the connection can be used again; waiting for more
// would cost more than a new connection.
func (b *body) Close() error {
	for {
		switch state := b.state.Load(); {
		case state == open && b.state.CompareAndSwap(open, closed):
			b.c.finish(b.keep && b.skip())
			return nil
		case state == reading && b.state.CompareAndSwap(reading, closing):
			b.c.nc.Close() // Read returns, and does the rest
			return nil
		case state != open && state != reading:
			return nil
		}
	}
}

// skip drops a rest that is completely in the buffer, and reports whether it was.
func (b *body) skip() bool {
	if b.mode != counted || b.left > int64(b.c.in.len()) {
		return false
	}
	b.c.in.r += int(b.left)
	return true
}
