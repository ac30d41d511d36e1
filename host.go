package main

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// maxHostLength is the length of the longest host name (RFC 1035, section 3.1).
const maxHostLength = 253

// normalHost returns the host of a Host field as routes are compared: without
// port, brackets and trailing dot, in lower case; an IPv6 address in its short
// form. It allocates only when there is something to change.
func normalHost(host string) string {
	if strings.HasPrefix(host, "[") {
		if end := strings.IndexByte(host, ']'); end > 0 {
			return normalIPv6(host[1:end])
		}
	} else if colon := strings.LastIndexByte(host, ':'); colon >= 0 {
		if strings.IndexByte(host, ':') < colon {
			return normalIPv6(host)
		}
		host = host[:colon]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func normalIPv6(host string) string {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return strings.ToLower(host)
	}
	var room [64]byte
	text := addr.WithZone("").AppendTo(room[:0])
	if string(text) == host {
		return host
	}
	return string(text)
}

// parseHost takes a host pattern in any spelling: with a port, which does not
// count, as people write it in their own script, an IPv6 address with or without
// brackets.
func parseHost(item string) (string, error) {
	host := normalHost(item)
	if strings.ContainsFunc(host, func(r rune) bool { return r >= utf8.RuneSelf }) {
		pattern, name := "", host
		if rest, wildcard := strings.CutPrefix(host, "*."); wildcard {
			pattern, name = "*.", rest
		}
		ascii, err := internationalNames.ToASCII(name)
		if err != nil {
			return "", fmt.Errorf("%q can't be a host: it has no form that a browser would ask for", item)
		}
		host = pattern + strings.TrimSuffix(ascii, ".")
	}
	if !validHost(host) || strings.Contains(item, "/") { // a port may stand there, a URL not
		return "", fmt.Errorf("%q can't be a host; a host is a name such as shop.example.com, *.example.com or *", item)
	}
	return host, nil
}

// internationalNames turns names into what browsers ask for (UTS 46).
var internationalNames = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

func validHost(host string) bool {
	if host == "*" {
		return true
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
		return true
	}
	name := strings.TrimPrefix(host, "*.")
	if name == "" || len(name) > maxHostLength {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
