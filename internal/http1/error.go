package http1

import (
	"errors"
	"os"
)

// Kind says at which point an exchange failed, which is what a decision to send the request again depends on.
type Kind uint8

const (
	// Refused: the request can't be written as HTTP/1.1 (a control character in the target, a bad field name …).
	// Nothing was dialled or written, the body is untouched; it would be refused everywhere.
	Refused Kind = iota + 1

	// Dial: no connection could be made. Nothing was written and the body is untouched, so that it is
	// always safe to send the request elsewhere.
	Dial

	// Stale: a connection that had been used before turned out to be closed before the first byte of a response.
	// Usually the backend closed it for idleness while the request was on its way. Wrote tells whether it can have
	// seen the request. That nothing was written and nothing of the body was taken never shows: the next connection
	// is tried instead.
	Stale

	// Broken: the connection ended, or the request couldn't be written, before the response head was complete.
	Broken

	// Timeout: no response head within Options.HeadTimeout.
	Timeout

	// Malformed: what came isn't an HTTP/1.1 response as this package accepts it.
	Malformed

	// Body: Read of the request's body failed or ended before Content-Length. The backend got an incomplete request.
	Body

	// Canceled: the request's context ended. Err is its cause.
	Canceled
)

var kindNames = [...]string{
	Refused: "request refused", Dial: "can't connect", Stale: "kept connection was closed", Broken: "connection broke",
	Timeout: "no response head in time", Malformed: "malformed response", Body: "request body", Canceled: "canceled",
}

func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return "unknown"
	}
	return kindNames[k]
}

// Error is what RoundTrip returns, always.
type Error struct {
	Kind Kind
	Err  error // the cause, for errors.Is and errors.As

	// Reused: the connection had served an exchange before.
	Reused bool

	// Wrote: at least one byte of the request went out, so that the backend may have begun to work on it. False also if
	// it is certain that none arrived: the backend had closed the connection before.
	Wrote bool

	// BodyTaken: bytes of the request's body were read from it. If false, the body is as it was.
	BodyTaken bool

	// BodyBusy: a Read of the request's body was in flight and didn't return within 100 ms (its client sends nothing).
	// It will return one day, and its bytes are lost: the body must not be read or replayed. Implies BodyTaken.
	BodyBusy bool
}

func (e *Error) Error() string {
	return "http1: " + e.Kind.String() + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Timeout is for net.Error: a dial, a head, or a context's deadline ran out of time.
func (e *Error) Timeout() bool {
	if e.Kind == Timeout {
		return true
	}
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// malformed is the reason why a response is refused.
type malformed string

func (m malformed) Error() string { return string(m) }

// bodyError is what req.Body.Read returned, told apart from what the connection returns.
type bodyError struct{ err error }

func (e bodyError) Error() string { return e.err.Error() }

var (
	errHeadTimeout  = errors.New("the backend is silent")
	errContinueTime = errors.New("no 100 Continue") // never leaves the package
	errShortBody    = errors.New("body ended before its Content-Length")
	errWouldWait    = errors.New("nothing there yet") // never leaves the package
	errLastChunk    = errors.New("last chunk")        // never leaves the package
	errNotIdle      = errors.New("it was closed, or sent what nobody asked for")
	errStopped      = errors.New("sending was stopped") // never leaves the package
)

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
