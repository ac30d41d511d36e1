package http1

import "strings"

// Classes of bytes, RFC 9110, section 5.6.2 and 5.5.
const (
	tokenByte  = 1 << iota // may stand in a field name or method
	valueByte              // may stand in a field value: VCHAR, SP, HTAB, obs-text
	targetByte             // may stand in a request target: no controls, no space
	hostByte
)

var class = func() (t [256]uint8) {
	for c := range t {
		if c > ' ' && c != 0x7f {
			t[c] |= valueByte | targetByte
		}
		if c > ' ' && c < 0x7f && !strings.ContainsRune("/\\?#@\"<>^`{|}", rune(c)) {
			t[c] |= hostByte
		}
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' ||
			c < 0x80 && strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			t[c] |= tokenByte
		}
	}
	t[' '] |= valueByte
	t['\t'] |= valueByte
	return t
}()

func all[S string | []byte](s S, want uint8) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&want == 0 {
			return false
		}
	}
	return true
}

func isToken[S string | []byte](s S) bool  { return len(s) > 0 && all(s, tokenByte) }
func isTarget[S string | []byte](s S) bool { return len(s) > 0 && all(s, targetByte) }
func isFieldValue(s string) bool           { return all(s, valueByte) }
func isHost(s string) bool                 { return all(s, hostByte) }

// isFraming reports whether a field decides where a message ends; such a field has no place in a trailer.
func isFraming(key string) bool {
	return strings.EqualFold(key, "Transfer-Encoding") || strings.EqualFold(key, "Content-Length") ||
		strings.EqualFold(key, "Trailer")
}

// hasToken reports whether one of the comma lists has the token, in any case.
func hasToken(lists []string, token string) bool {
	for _, list := range lists {
		for list != "" {
			var item string
			item, list, _ = strings.Cut(list, ",")
			if strings.EqualFold(trimSpace(item), token) {
				return true
			}
		}
	}
	return false
}

// canonicalize gives name the spelling of http.CanonicalHeaderKey in place, and reports whether it is a token.
func canonicalize(name []byte) bool {
	upper := true
	for i, c := range name {
		if class[c]&tokenByte == 0 {
			return false
		}
		switch {
		case upper && 'a' <= c && c <= 'z':
			name[i] = c - ('a' - 'A')
		case !upper && 'A' <= c && c <= 'Z':
			name[i] = c + ('a' - 'A')
		}
		upper = c == '-'
	}
	return len(name) > 0
}

// trimSpace cuts off OWS (RFC 9110, section 5.6.3).
func trimSpace[S string | []byte](s S) S {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
