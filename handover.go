package main

import (
	"io"
	"net/http"
	"strings"
)

// handOver gives a response's fields to the server's ResponseWriter as they are,
// and lets a large body go there from socket to socket. httputil.ReverseProxy would
// copy both piece by piece; it finds nothing left to copy.
//
// That is for answers of internal/http1 only. net/http's transport may still
// report an interim response of an attempt that failed, on a goroutine of its own,
// while httputil does not know yet that there is a final one.
func (f *forward) handOver(res *http.Response) {
	if !f.triedOnlyPlain() || res.StatusCode == http.StatusSwitchingProtocols || isEventStream(res.Header) {
		return
	}
	header := f.writer.Header()
	// As in serve; an interim response has cleared it.
	header["Content-Type"] = nil
	connection := res.Header["Connection"]
	for name, values := range res.Header {
		switch {
		case isHopByHop(name), len(connection) > 0 && isListed(connection, name):
		case len(header[name]) > 0:
			header[name] = append(header[name][:len(header[name]):len(header[name])], values...)
		default:
			header[name] = values
		}
	}
	res.Header = nil
	if body, ok := res.Body.(io.WriterTo); ok && res.ContentLength > moveFrom {
		res.Body = &movedBody{res.Body, body, f.writer}
	}
}

// moveFrom is the size in bytes from which a body is moved. Below it, copying
// costs less than the system calls.
const moveFrom = 128 << 10

// movedBody is a response's body that writes itself to the client at its first
// Read, and then has nothing for httputil.ReverseProxy to copy.
type movedBody struct {
	io.ReadCloser
	from io.WriterTo
	to   io.Writer
}

func (b *movedBody) Read([]byte) (int, error) {
	if _, err := b.from.WriteTo(b.to); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

func (f *forward) triedOnlyPlain() bool {
	for _, a := range f.tried {
		if !a.backend.plain() {
			return false
		}
	}
	return true
}

// plain tells whether internal/http1 carries the requests to b.
func (b *Backend) plain() bool { return b.Scheme != "https" && b.Scheme != "h2c" }

// isEventStream tells whether a response may be one that httputil.ReverseProxy
// flushes at once, which it judges by its field.
func isEventStream(header http.Header) bool {
	value := header["Content-Type"]
	return len(value) > 0 && strings.Contains(strings.ToLower(value[0]), "event-stream")
}

// isHopByHop tells whether a field is for one connection only, whatever the
// field Connection says (RFC 9110, section 7.6.1): those that
// httputil.ReverseProxy takes out.
func isHopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// isListed tells whether one of the comma lists names a field.
func isListed(lists []string, field string) bool {
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(name), field) {
				return true
			}
		}
	}
	return false
}
