package main

import (
	"bytes"
	"cmp"
	"iter"
	"math/bits"
	"net/url"
	"strings"
)

// A backend gets a path byte for byte as the client sent it, and what it makes of
// it is its own affair: some take %2f for a slash, or a backslash, or cut
// ";…" off, and what ".." does depends on all of that. No spelling of /admin
// may pass by the route for /admin, so paths are read as the most eager backend
// would. Where a path climbs ("..") that is not enough, since what one reading
// leaves another one enters: then all readings must lead to the same service, or
// the request is refused.

// reading is a way to read a path: each bit is something that some backends do
// and others don't.
type reading uint8

const (
	readTwice       reading = 1 << iota // percent-encoding is undone a second time
	readEncoded                         // an encoded separator separates, as / does
	readBackslash                       // so does a backslash
	readParams                          // what follows ; in a segment does not count
	readFragment                        // what follows # or an encoded ? does not count
	readEncodedDots                     // %2e%2e climbs, as .. does
	readDots                            // .. climbs
	readMerged                          // it climbs over empty segments, too, as if they weren't there

	eager = readTwice | readEncoded | readBackslash | readParams | readFragment | readEncodedDots | readDots | readMerged
)

// normalPath returns a path as routes are compared: "/a/b", without empty
// segments and ".". It allocates only when the path is not plain.
func normalPath(raw string) string {
	if isPlain(raw) {
		return raw
	}
	return eager.path(raw)
}

// isPlain tells whether there is only one way to read a path.
func isPlain(raw string) bool {
	if raw == "" || raw[0] != '/' {
		return false
	}
	for i := 1; i < len(raw); i++ {
		switch raw[i] {
		case '%', '\\', ';', '#':
			return false
		case '/', '.':
			if raw[i-1] == '/' {
				return false
			}
		}
	}
	return true
}

// path returns what raw is in this reading, without empty segments and ".". An
// encoded slash that does not separate becomes a byte that no route has.
func (how reading) path(raw string) string {
	out := make([]byte, 0, len(raw))
	var room [64]byte
	segment, encoded := room[:0], false
	for at := 1; at <= len(raw); {
		segment, encoded, _, at = how.segment(segment, raw, at)
		switch {
		case string(segment) == ".", len(segment) == 0 && how&readMerged != 0:
		case string(segment) == ".." && how&readDots != 0 && (!encoded || how&readEncodedDots != 0):
			out = out[:max(0, bytes.LastIndexByte(out, '/'))]
		default:
			out = append(append(out, '/'), segment...)
		}
	}
	if how&readMerged == 0 {
		out = bytes.Join(bytes.FieldsFunc(out, func(r rune) bool { return r == '/' }), []byte("/"))
		return "/" + string(out)
	}
	return cmp.Or(string(out), "/")
}

// segment reads the segment that begins at start into buf. It ends before
// raw[end:], where its separator stands; the next one begins at next, which is
// beyond raw when there is none.
func (how reading) segment(buf []byte, raw string, start int) (segment []byte, encoded bool, end, next int) {
	segment = buf[:0]
	cut := false
	for i := start; i < len(raw); i = next {
		var c byte
		var escaped bool
		c, escaped, next = how.next(raw, i)
		switch {
		case (c == '/' || c == '\\' && how&readBackslash != 0) && (!escaped || how&readEncoded != 0):
			return segment, encoded, i, next
		case (c == '#' || c == '?') && how&readFragment != 0:
			return segment, encoded, i, len(raw) + 1
		case c == ';' && how&readParams != 0:
			cut = true
		case !cut:
			if c == '/' {
				c = 0
			}
			segment, encoded = append(segment, c), encoded || escaped
		}
	}
	return segment, encoded, len(raw), len(raw) + 1
}

// next returns the character at raw[i:], and where the next one begins.
func (how reading) next(raw string, i int) (c byte, escaped bool, next int) {
	c, next = unescape(raw, i)
	escaped = next > i+1
	if c != '%' || how&readTwice == 0 || next >= len(raw) {
		return c, escaped, next
	}
	// Its two digits may be encoded themselves.
	high, behind := unescape(raw, next)
	if !isHex(high) || behind >= len(raw) {
		return c, escaped, next
	}
	low, behind := unescape(raw, behind)
	if !isHex(low) {
		return c, escaped, next
	}
	return unhex(high)<<4 | unhex(low), true, behind
}

// unescape undoes the percent-encoding at raw[i:], if there is any.
func unescape(raw string, i int) (c byte, next int) {
	if raw[i] == '%' && i+2 < len(raw) && isHex(raw[i+1]) && isHex(raw[i+2]) {
		return unhex(raw[i+1])<<4 | unhex(raw[i+2]), i + 3
	}
	return raw[i], i + 1
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

// climbs tells whether ".." is a segment of the path in any reading.
func climbs(raw string) bool {
	if isPlain(raw) {
		return false
	}
	path := (eager &^ (readDots | readFragment)).path(raw)
	return strings.HasSuffix(path, "/..") || strings.Contains(path, "/../")
}

// readingsLimit bounds the work for one path, in readings times bytes.
const readingsLimit = 64 << 10

// readings yields what a path that climbs is in each reading, eager first. bounded
// tells that these are all: a path that is both long and odd in many ways has
// more than anyone should have to read.
func readings(raw string) (paths iter.Seq[string], bounded bool) {
	differ := readDots | readMerged
	for i := 0; i < len(raw); {
		c, escaped, next := eager.next(raw, i)
		switch {
		case c == '.' && escaped:
			differ |= readEncodedDots
		case c == ';':
			differ |= readParams
		case c == '#' || c == '?':
			differ |= readFragment
		case c == '\\':
			differ |= readBackslash
		}
		if escaped && (c == '/' || c == '\\') {
			differ |= readEncoded
		}
		if once, end := unescape(raw, i); once == '%' && next > end {
			differ |= readTwice
		}
		i = next
	}
	paths = func(yield func(string) bool) {
		for how := differ; yield(how.path(raw)) && how != 0; {
			how = (how - 1) & differ
		}
	}
	return paths, len(raw)<<bits.OnesCount8(uint8(differ)) <= readingsLimit
}

// stripPrefix removes a route's path prefix from a raw path that it matched. The
// rest stays as the client wrote it, also where it wrote the prefix in another
// way; only a path that climbs is resolved before.
func stripPrefix(raw, prefix string) string {
	if isPlain(raw) {
		return cmp.Or(strings.TrimPrefix(raw, prefix), "/")
	}
	if climbs(raw) {
		path := (eager &^ (readTwice | readParams | readFragment)).path(raw)
		if !strings.HasPrefix(path+"/", prefix+"/") {
			path = eager.path(raw)
		}
		return cmp.Or((&url.URL{Path: strings.TrimPrefix(path, prefix)}).EscapedPath(), "/")
	}
	var room [64]byte
	segment, end, next := room[:0], 0, 1
	for missing := strings.Count(prefix, "/"); missing > 0 && next <= len(raw); {
		segment, _, end, next = eager.segment(segment, raw, next)
		if len(segment) > 0 && string(segment) != "." {
			missing--
		}
	}
	switch {
	case next > len(raw):
		return "/"
	case raw[end] == '/':
		return raw[end:]
	}
	return "/" + raw[next:] // its separator was not a plain slash
}
