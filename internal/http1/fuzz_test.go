package http1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

// canned is a connection to a server that waits for a request head, then says its bytes in pieces, and hangs up.
type canned struct {
	pieces [][]byte
	mu     sync.Mutex
	asked  chan struct{}
	sent   []byte
	shut   bool
}

func newCanned(raw []byte, piece int) *canned {
	c := &canned{asked: make(chan struct{})}
	for piece > 0 && len(raw) > piece {
		c.pieces, raw = append(c.pieces, raw[:piece]), raw[piece:]
	}
	c.pieces = append(c.pieces, raw)
	return c
}

func (c *canned) Read(p []byte) (int, error) {
	<-c.asked
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut {
		return 0, net.ErrClosed
	}
	for len(c.pieces) > 0 && len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	if len(c.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.pieces[0])
	c.pieces[0] = c.pieces[0][n:]
	return n, nil
}

func (c *canned) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut {
		return 0, net.ErrClosed
	}
	had := bytes.Contains(c.sent, []byte("\r\n\r\n"))
	c.sent = append(c.sent, p...)
	if !had && bytes.Contains(c.sent, []byte("\r\n\r\n")) {
		close(c.asked)
	}
	return len(p), nil
}

func (c *canned) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut = true
	select {
	case <-c.asked:
	default:
		close(c.asked)
	}
	return nil
}

func (c *canned) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shut
}

func (*canned) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*canned) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*canned) SetDeadline(time.Time) error      { return nil }
func (*canned) SetReadDeadline(time.Time) error  { return nil }
func (*canned) SetWriteDeadline(time.Time) error { return nil }

// FuzzResponse sends the same bytes to net/http's transport and to ours. Ours may refuse more. What it accepts, net/http accepts,
// and both read the same message out of it; how the bytes are cut into packets changes nothing.
func FuzzResponse(f *testing.F) {
	for _, tc := range responses {
		f.Add([]byte(tc.raw), tc.method == "HEAD", uint8(len(tc.raw)/3))
	}
	log.SetOutput(io.Discard) // net/http reports unasked bytes there
	f.Cleanup(func() { log.SetOutput(os.Stderr) })
	f.Fuzz(func(t *testing.T, raw []byte, head bool, piece uint8) {
		request := func() *http.Request {
			method := "GET"
			if head {
				method = "HEAD"
			}
			return newRequest(t, method, "/", nil)
		}
		dial := func(c net.Conn) func(context.Context, string, string) (net.Conn, error) {
			return func(context.Context, string, string) (net.Conn, error) { return c, nil }
		}
		once := func(piece int) (outcome, bool) {
			c := newCanned(raw, piece)
			pool := NewPool("canned:1", &Options{Dial: dial(c)})
			o := observe(pool, request())
			kept := pool.Idle() == 1
			if !kept && !c.closed() {
				t.Error("neither kept nor closed")
			}
			pool.Close()
			return o, kept
		}
		ours, kept := once(0)
		if parted, _ := once(int(piece)); (parted.Err == nil) != (ours.Err == nil) || ours.Err == nil && !parted.alike(ours) {
			t.Errorf("in pieces of %d:\n%v\nas a whole:\n%v", piece, parted, ours)
		}
		var e *Error
		if ours.Err != nil {
			if !errors.As(ours.Err, &e) || e.Kind != Malformed && e.Kind != Broken {
				t.Errorf("odd error %v", ours.Err)
			}
			return
		}
		standard := &http.Transport{DisableCompression: true, DialContext: dial(newCanned(raw, 0))}
		defer standard.CloseIdleConnections()
		theirs := observe(standard, request())
		if theirs.Err != nil {
			t.Fatalf("net/http refuses (%v) what ours takes: %v", theirs.Err, ours)
		}
		switch {
		case ours.Cut && !theirs.Cut: // stricter in the body
			if kept {
				t.Error("kept after a broken body")
			}
		case !ours.alike(theirs):
			t.Errorf("ours:   %v\ntheirs: %v", ours, theirs)
		}
	})
}
