package http1

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// grace is how long a failed exchange waits for a Read of the request's body that is in flight.
const grace = 100 * time.Millisecond

// upload sends a request's body on a goroutine of its own, while the caller of RoundTrip waits for the response head. It never
// finishes a message whose body was not read to its end.
type upload struct {
	c       *conn // not its fields but nc and pool: they belong to the exchange
	body    io.ReadCloser
	length  int64 // unknown: in chunks
	trailer http.Header

	// since is when the backend's turn began: to read what we write, or to answer. 0: it is the client's turn.
	since atomic.Int64

	mu      sync.Mutex // guards the following; held during a write only by flush
	buf     *[uploadSize + bufferSize]byte
	held    int   // buf[:held] is the head and the first bytes of the body, which wait for each other
	flushed bool  // they went, or are going
	wrote   int64 // bytes that went
	taken   bool  // bytes of the body were read
	last    bool  // all of the body was read; what remains is a write
	stopped bool  // don't read the body any more
	ended   bool  // the goroutine does nothing any more but what end says
	err     error
	closed  bool          // the body was closed, or is about to be
	replied bool          // RoundTrip has returned a response
	handed  bool          // the response ended well before the last write did: the connection is ours
	done    chan struct{} // if not nil, closed by end
}

func newUpload(c *conn, req *http.Request, length int64) *upload {
	return &upload{c: c, body: req.Body, length: length, trailer: req.Trailer}
}

// start begins to send head, if not nil, and the body.
func (u *upload) start(head []byte) {
	u.buf = uploads.Get().(*[uploadSize + bufferSize]byte)
	u.held = copy(u.buf[:], head)
	u.flushed = head == nil
	go u.run()
}

func (u *upload) run() {
	if u.length == unknown {
		u.end(u.sendChunks())
		return
	}
	sent, err := u.gather()
	for err == nil && sent < u.length {
		var n int
		n, err = u.take(u.buf[:min(uploadSize, u.length-sent)], u.length-sent)
		if err == nil {
			sent += int64(n)
			err = u.write(u.buf[:n])
		}
	}
	u.end(err)
}

// gather collects the head and the first bytes of the body, and writes them together. If the client lets us wait, flush has written
// what there was, and gather writes what it got since.
func (u *upload) gather() (sent int64, err error) {
	for end := u.held; sent < u.length && end < len(u.buf); {
		left := u.length - sent
		n, err := u.take(u.buf[end:min(int64(len(u.buf)), int64(end)+left)], left)
		if err != nil {
			return sent, err
		}
		sent += int64(n)
		u.mu.Lock()
		late := u.flushed
		u.held = end + n
		u.mu.Unlock()
		if late {
			return sent, u.write(u.buf[end : end+n])
		}
		end += n
	}
	u.mu.Lock()
	late := u.flushed
	u.flushed = true
	u.mu.Unlock()
	if late {
		return sent, nil
	}
	return sent, u.write(u.buf[:u.held])
}

// flush writes what gather holds back. The caller of RoundTrip calls it when nothing came back for a while.
func (u *upload) flush() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.flushed || u.ended {
		return nil
	}
	u.flushed = true
	n, err := u.c.nc.Write(u.buf[:u.held])
	u.wrote += int64(n)
	return err
}

func (u *upload) sendChunks() error {
	const lead = 8 // the longest chunk size and its CRLF
	for {
		n, err := u.take(u.buf[lead:lead+uploadSize], unknown)
		if err != nil && err != io.EOF {
			return err
		}
		b := u.buf[lead : lead+n]
		if n > 0 {
			size := strconv.AppendInt(u.buf[:0:lead], int64(n), 16)
			size = append(size, "\r\n"...)
			start := lead - len(size)
			copy(u.buf[start:lead], size)
			b = append(u.buf[start:lead+n], "\r\n"...)
		}
		if err == io.EOF {
			b = append(b, "0\r\n"...)
			if b, err = appendTrailer(b, u.trailer); err != nil {
				return bodyError{err}
			}
			return u.write(append(b, "\r\n"...))
		}
		if err := u.write(b); err != nil {
			return err
		}
	}
}

// take reads from the body, at least a byte of the left ones, unless sending was stopped. With left unknown, n may be 0 at
// io.EOF; else the end isn't an error of take's but before left bytes are read.
func (u *upload) take(p []byte, left int64) (n int, err error) {
	for empty := 0; n == 0 && err == nil; empty++ {
		if u.isStopped() {
			return 0, errStopped
		}
		if empty == 100 {
			return 0, bodyError{io.ErrNoProgress}
		}
		u.since.Store(0)
		n, err = u.body.Read(p)
		u.since.Store(int64(u.c.pool.now()))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.taken = u.taken || n > 0
	switch {
	case u.stopped:
		return 0, errStopped
	case int64(n) == left:
		err = nil // whatever comes after the last byte doesn't matter
		u.last = true
	case err == io.EOF && left == unknown:
		u.last = true
	case err == io.EOF:
		err = bodyError{errShortBody}
	case err != nil:
		err = bodyError{err}
	}
	return n, err
}

func (u *upload) write(p []byte) error {
	n, err := u.c.nc.Write(p)
	if n > 0 {
		u.mu.Lock()
		u.wrote += int64(n)
		u.mu.Unlock()
	}
	return err
}

func (u *upload) isStopped() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.stopped
}

// end is the goroutine's last act. After an error of the connection the response may still come, and only a body that broke
// closes it: the backend must not wait for the rest.
func (u *upload) end(err error) {
	u.mu.Lock()
	u.ended, u.err = true, err
	uploads.Put(u.buf)
	u.buf = nil
	closeBody := u.replied && !u.closed
	u.closed = u.closed || closeBody
	handed := u.handed
	if u.done != nil {
		close(u.done)
	}
	if err != nil && !u.handed && !u.stopped {
		u.c.nc.SetReadDeadline(time.Now().Add(lastWords)) // makes the reader look at err
	}
	u.mu.Unlock()
	if u.bodyFailure() != nil {
		u.c.nc.Close()
	}
	if closeBody {
		u.body.Close()
	}
	if handed {
		u.c.retire(err == nil)
	}
}

// answered is called when RoundTrip returns a response.
func (u *upload) answered() {
	u.mu.Lock()
	u.replied = true
	closeBody := u.ended && !u.closed
	u.closed = u.closed || closeBody
	u.mu.Unlock()
	if closeBody {
		u.body.Close()
	}
}

// finish is called when the response has ended; keep: as it should. A request of which only the last write is under way, or
// only its return, is as good as sent: the sender then gives the connection back.
func (u *upload) finish(c *conn, keep bool) {
	u.mu.Lock()
	switch {
	case u.ended:
		keep = keep && u.err == nil
		u.mu.Unlock()
		c.retire(keep)
	case keep && u.last:
		u.handed = true
		c.nc.SetWriteDeadline(time.Now().Add(linger))
		u.mu.Unlock()
	default:
		u.stopped = true
		closeBody := !u.closed
		u.closed = true
		u.mu.Unlock()
		c.nc.Close()
		if closeBody {
			// To end a Read in flight. Not here: some bodies make Close wait for Read.
			go u.body.Close()
		}
	}
}

// abandon is called when there will be no response and the connection is closed. It gives the body back to the caller, and
// fills in e what became of it.
func (u *upload) abandon(e *Error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
	u.awaitEnd()
	e.Wrote = e.Wrote || u.wrote > 0
	e.BodyBusy = !u.ended
	e.BodyTaken = u.taken || e.BodyBusy
	var body bodyError
	if errors.As(u.err, &body) {
		e.Err = body
	}
}

// settled reports whether all was sent; it waits a little for a last write to return.
func (u *upload) settled() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last {
		u.awaitEnd()
	}
	return u.ended && u.err == nil
}

// stop ends the sending of an exchange that has failed. It returns the bytes that went, and whether it is certain that no more
// will.
func (u *upload) stop() (wrote int64, ended bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
	u.awaitEnd()
	return u.wrote, u.ended
}

// awaitEnd waits for the goroutine's end, at most grace. u.mu is held, but not while it waits.
func (u *upload) awaitEnd() {
	if u.ended {
		return
	}
	u.done = make(chan struct{})
	u.mu.Unlock()
	timer := time.NewTimer(grace)
	select {
	case <-u.done:
	case <-timer.C:
	}
	timer.Stop()
	u.mu.Lock()
	u.done = nil
}

func (u *upload) failure() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// bodyFailure returns the error with which the request's body ended, if it did.
func (u *upload) bodyFailure() error {
	var body bodyError
	if errors.As(u.failure(), &body) {
		return body
	}
	return nil
}

// waitingSince is when the backend's turn began; now if it is the client's.
func (u *upload) waitingSince(now time.Duration) time.Duration {
	if since := u.since.Load(); since != 0 {
		return time.Duration(since)
	}
	return now
}
