package http1

import "sync"

const (
	bufferSize = 4 << 10  // of a connection at work: a head, then the framing of the body
	uploadSize = 64 << 10 // of a request body on its way
)

// buffer is what a connection reads into while an exchange is under way. Before that, the request's head is built in it.
// An idle connection has none.
type buffer struct {
	b    []byte
	r, w int // b[r:w] was read and not used yet
}

var (
	buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, bufferSize)} }}

	// uploads are [uploadSize + bufferSize]byte: most heads and a body of 64 KiB leave in one write.
	uploads = sync.Pool{New: func() any { return new([uploadSize + bufferSize]byte) }}
)

func newBuffer() *buffer { return buffers.Get().(*buffer) }

func (in *buffer) free() {
	if len(in.b) > 4*bufferSize {
		return // one huge head shall not make every connection heavy
	}
	in.r, in.w = 0, 0
	buffers.Put(in)
}

func (in *buffer) len() int      { return in.w - in.r }
func (in *buffer) bytes() []byte { return in.b[in.r:in.w] }

// take copies what is there, at most len(p), and reports how much.
func (in *buffer) take(p []byte) int {
	n := copy(p, in.b[in.r:in.w])
	in.r += n
	return n
}

// room makes space behind w: by moving what is unread to the front, else by doubling up to max bytes.
// It reports false if the unread bytes fill max.
func (in *buffer) room(max int) bool {
	if in.r == in.w {
		in.r, in.w = 0, 0
	}
	if in.w < len(in.b) {
		return true
	}
	if in.r > 0 {
		in.w = copy(in.b, in.b[in.r:in.w])
		in.r = 0
		return true
	}
	if len(in.b) >= max {
		return false
	}
	b := make([]byte, min(2*len(in.b), max))
	copy(b, in.b[:in.w])
	in.b = b
	return true
}
