package http1

import (
	"bytes"
	"io"
	"math"
	"net/http"
	"strings"
)

// frame is what a response head says about where its message ends and what becomes of the connection.
type frame struct {
	code    int
	minor   int   // of HTTP/1.minor
	fields  int   // number of field lines
	length  int64 // Content-Length; unknown
	chunked bool
	close   bool // Connection: close
	keep    bool // Connection: keep-alive
	upgrade bool // Connection: upgrade
	other   bool // Upgrade: the protocol after this one
}

// keepAlive is RFC 9112, section 9.3.
func (f *frame) keepAlive() bool {
	return !f.close && (f.minor == 1 || f.keep)
}

// readHead returns the bytes of the next head up to and with its empty line. They stay valid until the next read.
func (c *conn) readHead() ([]byte, error) {
	in := c.in
	line, scanned := 0, 0 // offsets from in.r: where the line begins, and how much of it has no LF
	for {
		b := in.bytes()
		if len(b) > 0 && !bytes.HasPrefix(b, []byte("HTTP/")[:min(len(b), 5)]) {
			return nil, malformed("not HTTP")
		}
		for {
			i := bytes.IndexByte(b[scanned:], '\n')
			if i < 0 {
				scanned = len(b)
				break
			}
			lf := scanned + i
			if lf == line || b[lf-1] != '\r' {
				return nil, malformed("line ends without CR")
			}
			empty := lf == line+1
			if line, scanned = lf+1, lf+1; empty {
				return c.spend(b[:line])
			}
		}
		if len(b) >= c.headLeft || !in.room(max(c.headLeft, bufferSize)) {
			return nil, malformed("head too large")
		}
		n, err := c.read(in.b[in.w:])
		in.w += n
		if err == io.EOF && in.len() > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
}

func (c *conn) spend(head []byte) ([]byte, error) {
	if len(head) > c.headLeft {
		return nil, malformed("head too large")
	}
	c.headLeft -= len(head)
	c.in.r += len(head)
	return head, nil
}

// inspect checks every byte of a head that readHead returned, and gives its field names their canonical spelling in place.
func inspect(head []byte) (frame, error) {
	f := frame{length: unknown}
	line, rest := cutLine(head)
	if err := f.status(line); err != nil {
		return f, err
	}
	for line, rest = cutLine(rest); len(line) > 0; line, rest = cutLine(rest) {
		name, value, err := field(line)
		if err != nil {
			return f, err
		}
		f.fields++
		if err := f.note(name, value); err != nil {
			return f, err
		}
	}
	if f.chunked && f.length != unknown {
		return f, malformed("Content-Length with Transfer-Encoding")
	}
	if f.chunked && f.minor == 0 {
		return f, malformed("Transfer-Encoding in HTTP/1.0")
	}
	return f, nil
}

// cutLine cuts off a line, which is known to end in CRLF.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	return b[:i-1], b[i+1:]
}

// status parses "HTTP/1.1 200 OK" (RFC 9112, section 4). Many servers leave out the reason and the space before it.
func (f *frame) status(line []byte) error {
	const fixed = len("HTTP/1.1 200")
	if len(line) < fixed || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return malformed("bad status line")
	}
	if f.minor = int(line[7] - '0'); f.minor != 0 && f.minor != 1 {
		return malformed("unknown version")
	}
	for _, c := range line[9:fixed] {
		if c < '0' || c > '9' {
			return malformed("bad status code")
		}
		f.code = 10*f.code + int(c-'0')
	}
	if f.code < 100 || len(line) > fixed && line[fixed] != ' ' || !all(line[fixed:], valueByte) {
		return malformed("bad status line")
	}
	return nil
}

// field splits a field line and checks it (RFC 9112, section 5). A folded line has no name and is refused with it.
func field(line []byte) (name, value []byte, err error) {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 || !canonicalize(line[:colon]) {
		return nil, nil, malformed("bad field name")
	}
	value = line[colon+1:]
	if !all(value, valueByte) {
		return nil, nil, malformed("bad field value")
	}
	return line[:colon], value, nil
}

// note takes down what frames the message.
func (f *frame) note(name, value []byte) error {
	switch string(name) {
	case "Content-Length":
		if f.length != unknown {
			return malformed("more than one Content-Length")
		}
		n, ok := parseLength(trimSpace(value))
		if !ok {
			return malformed("bad Content-Length")
		}
		f.length = n
	case "Transfer-Encoding":
		if f.chunked || !bytes.EqualFold(trimSpace(value), []byte("chunked")) {
			return malformed("unsupported Transfer-Encoding")
		}
		f.chunked = true
	case "Connection":
		list := []string{string(value)}
		f.close = f.close || hasToken(list, "close")
		f.keep = f.keep || hasToken(list, "keep-alive")
		f.upgrade = f.upgrade || hasToken(list, "upgrade")
	case "Upgrade":
		f.other = true
	}
	return nil
}

func parseLength(b []byte) (int64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' || n > (math.MaxInt64-9)/10 {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}

// answer is a response with its body and room for the values of its header: one allocation instead of three.
// It is never used again, since its user may keep any part of it for ever.
type answer struct {
	http.Response
	body   body
	values [12]string
}

// newAnswer builds the response from an inspected head. Names and values are parts of one string.
func newAnswer(head []byte, f *frame) (*answer, error) {
	a := new(answer)
	s := string(head)
	line, s := nextLine(s)
	a.Proto, a.ProtoMajor, a.ProtoMinor = line[:8], 1, f.minor
	a.Status, a.StatusCode = strings.TrimLeft(line[9:], " "), f.code
	a.ContentLength = f.length
	a.Close = !f.keepAlive()
	a.Header = make(http.Header, f.fields)
	values := a.values[:]
	if f.fields > len(values) {
		values = make([]string, f.fields)
	}
	for {
		line, s = nextLine(s)
		if line == "" {
			return a, nil
		}
		name, value, _ := strings.Cut(line, ":")
		value = trimSpace(value)
		switch {
		case name == "Transfer-Encoding":
			value, name = "chunked", ""
		case name == "Trailer" && f.chunked:
			if err := a.announce(value); err != nil {
				return nil, err
			}
			continue
		}
		one := values[:1:1] // an append by its user must not reach the next one's
		one[0], values = value, values[1:]
		switch had, again := a.Header[name]; {
		case name == "":
			a.TransferEncoding = one
		case again:
			a.Header[name] = append(had, value)
		default:
			a.Header[name] = one
		}
	}
}

// nextLine is cutLine for what has become a string.
func nextLine(s string) (line, rest string) {
	i := strings.IndexByte(s, '\n')
	return s[:i-1], s[i+1:]
}

// announce makes the keys of Response.Trailer, whose values come with the end of the body.
func (a *answer) announce(names string) error {
	for names != "" {
		var name string
		name, names, _ = strings.Cut(names, ",")
		if name = trimSpace(name); name == "" {
			continue
		}
		if !isToken(name) || isFraming(name) {
			return malformed("bad name announced as trailer")
		}
		if a.Trailer == nil {
			a.Trailer = make(http.Header)
		}
		a.Trailer[http.CanonicalHeaderKey(name)] = nil
	}
	return nil
}
