package http1

import (
	"bytes"
	"io"
	"net/http"
)

const (
	maxChunkLine = 4 << 10  // bytes of a chunk's size and extensions
	maxOverhead  = 16 << 10 // bytes of framing beyond what chunks of a few bytes need
)

// chunkReader is the state between two reads of a chunked body (RFC 9112, section 7.1); the rest of the current chunk is body.left.
type chunkReader struct {
	inside   bool  // a chunk's data or its CRLF is to come; else a size
	overhead int64 // see begin
}

// readChunked fills p from as many chunks as are here, and waits only if it has nothing.
func (b *body) readChunked(p []byte) (n int, err error) {
	for {
		var m int
		switch {
		case b.left > 0:
			if n == len(p) {
				return n, nil
			}
			if n > 0 && b.c.in.len() == 0 {
				return n, nil
			}
			m, err = b.readData(p[n:])
			n += m
		case b.chunk.inside:
			err = b.endChunk(n > 0)
		default:
			err = b.beginChunk(n > 0)
		}
		switch err {
		case nil:
		case errWouldWait:
			return n, nil
		case errLastChunk:
			return n, b.readTrailer()
		case io.EOF:
			return n, io.ErrUnexpectedEOF
		default:
			return n, err
		}
	}
}

// readData reads data of the current chunk. With nothing buffered it reads straight into p, and a little beyond the chunk if p
// has room: the end of this chunk and the size of the next usually come in the same packet, and a read of their own is dear.
func (b *body) readData(p []byte) (int, error) {
	in := b.c.in
	if in.len() > 0 || len(p) < bufferSize/2 {
		n, err := b.c.readSome(p[:min(int64(len(p)), b.left)])
		b.left -= int64(n)
		return n, err
	}
	in.r, in.w = 0, 0
	n, err := b.c.read(p[:min(int64(len(p)), b.left+int64(len(in.b)))])
	if beyond := int64(n) - b.left; beyond > 0 {
		in.w = copy(in.b, p[b.left:n])
		n = int(b.left)
	}
	b.left -= int64(n)
	return n, err
}

// beginChunk reads a chunk's size. With data in hand it doesn't wait.
func (b *body) beginChunk(inHand bool) error {
	line, err := b.c.line(inHand)
	if err != nil {
		return err
	}
	size, ok := parseChunkSize(line)
	if !ok {
		return malformed("bad chunk size")
	}
	// A byte per chunk is a legitimate way to stream: 5 bytes of framing for one of data. Extensions that outweigh the data
	// for long are not.
	b.chunk.overhead = max(0, b.chunk.overhead+int64(len(line))+4-16-2*size)
	if b.chunk.overhead > maxOverhead {
		return malformed("chunks with too little data")
	}
	if size == 0 {
		return errLastChunk
	}
	b.left, b.chunk.inside = size, true
	return nil
}

func (b *body) endChunk(inHand bool) error {
	for b.c.in.len() < 2 {
		if inHand {
			return errWouldWait
		}
		if err := b.c.fill(); err != nil {
			return err
		}
	}
	if crlf := b.c.in.bytes()[:2]; crlf[0] != '\r' || crlf[1] != '\n' {
		return malformed("chunk longer than its size")
	}
	b.c.in.r += 2
	b.chunk.inside = false
	return nil
}

// line takes a line without its CRLF from the buffer. With data in hand it doesn't wait for one.
func (c *conn) line(inHand bool) ([]byte, error) {
	for {
		b := c.in.bytes()
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			if i == 0 || b[i-1] != '\r' {
				return nil, malformed("chunk line ends without CR")
			}
			c.in.r += i + 1
			return b[:i-1], nil
		}
		if len(b) >= maxChunkLine {
			return nil, malformed("chunk line too long")
		}
		if inHand {
			return nil, errWouldWait
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// parseChunkSize parses hexadecimal digits, and skips spaces (some servers pad the size) and an extension.
func parseChunkSize(line []byte) (n int64, ok bool) {
	digits := 0
	for ; digits < len(line); digits++ {
		d, ok := hexDigit(line[digits])
		if !ok {
			break
		}
		if digits == 15 {
			return 0, false
		}
		n = n<<4 | d
	}
	rest := bytes.TrimLeft(line[digits:], " \t")
	if digits == 0 || len(rest) > 0 && rest[0] != ';' || !all(rest, valueByte) {
		return 0, false
	}
	return n, true
}

func hexDigit(c byte) (int64, bool) {
	switch {
	case '0' <= c && c <= '9':
		return int64(c - '0'), true
	case 'a' <= c && c <= 'f':
		return int64(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return int64(c-'A') + 10, true
	}
	return 0, false
}

// readTrailer reads the fields after the last chunk into Response.Trailer. It returns io.EOF when all is well.
func (b *body) readTrailer() error {
	limit := b.c.pool.opts.MaxHeadBytes
	for {
		line, err := b.trailerLine(&limit)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return io.EOF
		}
		name, value, err := field(line)
		if err != nil {
			return err
		}
		key := string(name)
		if isFraming(key) {
			return malformed("framing field in the trailer")
		}
		if b.resp.Trailer == nil {
			b.resp.Trailer = make(http.Header)
		}
		b.resp.Trailer[key] = append(b.resp.Trailer[key], trimSpace(string(value)))
	}
}

func (b *body) trailerLine(limit *int) ([]byte, error) {
	c := b.c
	for {
		if i := bytes.IndexByte(c.in.bytes(), '\n'); i >= 0 {
			if *limit -= i + 1; *limit < 0 {
				return nil, malformed("trailer too large")
			}
			return c.line(true)
		}
		if c.in.len() > *limit || !c.in.room(max(*limit, bufferSize)) {
			return nil, malformed("trailer too large")
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}
