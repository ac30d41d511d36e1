package http1

import (
	"context"
	"io"
	"net"
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
	if err := b.enter(); err != nil {
		return 0, err
	}
	n, err := b.read(p)
	return n, b.leave(err)
}

// enter begins a Read, or says why there is nothing to read any more.
func (b *body) enter() error {
	if b.state.CompareAndSwap(open, reading) {
		return nil
	}
	if b.state.Load() == ended {
		return b.err
	}
	return http.ErrBodyReadAfterClose
}

// leave ends a Read. After an error, io.EOF among them, it ends the exchange.
func (b *body) leave(err error) error {
	if err == nil && b.state.CompareAndSwap(reading, open) {
		return nil
	}
	if err == nil || b.state.Load() == closing {
		err = http.ErrBodyReadAfterClose
	}
	b.err = err
	interrupted := b.state.Swap(ended) == closing
	b.c.finish(err == io.EOF && b.keep && !interrupted)
	return err
}

// WriteTo writes the rest of the body to w. If its length is known and w is a socket, or a http.ResponseWriter on one, Linux moves
// the bytes from one to the other without showing them to us (splice): a large body then costs much less.
func (b *body) WriteTo(w io.Writer) (n int64, err error) {
	if r, ok := w.(io.ReaderFrom); ok && b.mode == counted && b.left > uploadSize {
		if nc := b.c.socket(); nc != nil {
			return b.moveTo(w, r, nc)
		}
	}
	buf := uploads.Get().(*[uploadSize + bufferSize]byte)
	defer uploads.Put(buf)
	for err == nil {
		var read, wrote int
		read, err = b.Read(buf[:])
		if read > 0 {
			var werr error
			wrote, werr = w.Write(buf[:read])
			n += int64(wrote)
			if werr != nil {
				return n, werr
			}
		}
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// moveTo is WriteTo for a body whose rest w can take from the connection itself.
func (b *body) moveTo(w io.Writer, r io.ReaderFrom, nc *net.TCPConn) (n int64, err error) {
	if err := b.enter(); err != nil {
		if err == io.EOF {
			err = nil
		}
		return 0, err
	}
	c := b.c
	if c.in.len() > 0 {
		head := c.in.bytes()[:min(int64(c.in.len()), b.left)]
		m, werr := w.Write(head)
		n, err = int64(m), werr
		c.in.r += m
		b.left -= n
	}
	if err == nil && b.left > 0 {
		// An error may now be of either side, so that none of them may be a deadline that means nothing.
		c.watch()
		c.setDeadline(0)
		rest := &io.LimitedReader{R: nc, N: b.left}
		var moved int64
		moved, err = r.ReadFrom(rest)
		n, b.left = n+moved, rest.N
	}
	switch {
	case err != nil && c.ctx.Err() != nil:
		err = context.Cause(c.ctx)
	case err == nil && b.left > 0:
		err = io.ErrUnexpectedEOF
	case err == nil:
		err = io.EOF
	}
	if err = b.leave(err); err == io.EOF {
		err = nil
	}
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
