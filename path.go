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
// would: whatever another one finds in a path lies on the way there. That is not
// so where a path climbs (".."), or where it is open what a ";" hides: what one
// reading leaves another one enters. Then all readings must lead to the same
// service, or the request is refused.

// reading is a way to read a path: each bit is something that some backends do
// and others don't.
type reading uint16

const (
	readTwice       reading = 1 << iota // percent-encoding is undone a second time
	readEncoded                         // an encoded separator separates, as / does
	readBackslash                       // so does a backslash
	readParams                          // what follows ; in a segment does not count
	readEncodedDots                     // %2e%2e climbs, as .. does
	readDots                            // .. climbs
	readMerged                          // it climbs over empty segments, too, as if they weren't there
	readParamsFirst                     // ;… ends at the next plain slash, whatever else separates
	readOn                              // neither # nor an encoded ? is the end of the path

	eager = readParamsFirst - 1 // all but these two
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
		case c == '/' && !escaped:
			return segment, encoded, i, next
		case cut && how&readParamsFirst != 0:
		case (c == '/' || c == '\\' && how&readBackslash != 0) && (!escaped || how&readEncoded != 0):
			return segment, encoded, i, next
		case isEnd(c) && how&readOn == 0:
			return segment, encoded, i, len(raw) + 1
		case c == ';' && how&readParams != 0 && (!escaped || how&(readEncoded|readParamsFirst) == readEncoded):
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

// isEnd tells whether c would end a path if it stood there as it is.
func isEnd(c byte) bool { return c == '#' || c == '?' }

// climbs tells whether ".." is a segment of the path in any reading.
func climbs(raw string) bool {
	if isPlain(raw) {
		return false
	}
	path := (eager&^readDots | readOn).path(raw)
	for {
		_, behind, found := strings.Cut(path, "/..")
		if !found || behind == "" || behind[0] == '/' || isEnd(behind[0]) {
			return found
		}
		path = behind
	}
}

// oddities returns in what the readings of a path may differ, dots apart, and
// where it may end.
func oddities(raw string) (differ reading, ends []int) {
	separated := false // other than by plain slashes
	for i := 0; i < len(raw); {
		c, escaped, next := eager.next(raw, i)
		switch {
		case c == '.' && escaped:
			differ |= readEncodedDots
		case c == ';':
			differ |= readParams
		case c == '\\':
			differ |= readBackslash
		case isEnd(c):
			ends = append(ends, i)
		}
		if escaped && (c == '/' || c == '\\' || c == ';') {
			differ |= readEncoded
		}
		separated = separated || c == '\\' || c == '/' && escaped
		if once, end := unescape(raw, i); once == '%' && next > end {
			differ |= readTwice
		}
		i = next
	}
	if differ&readParams != 0 && (separated || ends != nil) {
		differ |= readParamsFirst
	}
	return differ, ends
}

// readingsLimit bounds the work for one path, in readings times bytes.
const readingsLimit = 64 << 10

// readings yields what a path is in each reading that its oddities allow. It is
// nil for a path both long and odd in many ways, which has more of them than
// anyone should have to read.
func readings(raw string, differ reading, ends []int) iter.Seq[string] {
	differ |= readDots | readMerged
	ends = append(ends, len(raw))
	if len(raw)*len(ends)<<bits.OnesCount16(uint16(differ)) > readingsLimit {
		return nil
	}
	return func(yield func(string) bool) {
		for _, end := range ends {
			for how := differ; ; how = (how - 1) & differ {
				if !yield((how | readOn).path(raw[:end])) {
					return
				}
				if how == 0 {
					break
				}
			}
		}
	}
}

// stripPrefix removes a route's path prefix from a raw path that it matched. The
// rest stays as the client wrote it, also where it wrote the prefix in another
// way; only a path that climbs is resolved before.
func stripPrefix(raw, prefix string) string {
	if isPlain(raw) {
		return cmp.Or(strings.TrimPrefix(raw, prefix), "/")
	}
	if climbs(raw) {
		path := (eager&^(readTwice|readParams) | readOn).path(raw)
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
