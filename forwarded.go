package main

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ForwardedRules decide what a backend is told of where a request came from.
// Its zero value trusts no one.
type ForwardedRules struct {
	Trusted []netip.Prefix // peers whose own X-Forwarded-* and Forwarded fields are believed
}

// set sets X-Forwarded-For, -Proto and -Host in header, the one that goes to
// the backend, from the connection that r came on. What a peer that is not
// trusted says about that in any field is dropped: header must be without
// Forwarded and those three already, as httputil.ReverseProxy leaves it.
func (f *ForwardedRules) set(header http.Header, r *http.Request) {
	peer := peerAddr(r.RemoteAddr)
	forwardedFor, proto, host := peerText(r.RemoteAddr, peer), "http", r.Host
	if r.TLS != nil {
		proto = "https"
	}
	if f.trusts(peer) {
		if prior := r.Header["X-Forwarded-For"]; len(prior) > 0 {
			forwardedFor = strings.Join(prior, ", ") + ", " + forwardedFor
		}
		proto = first(r.Header["X-Forwarded-Proto"], proto)
		host = first(r.Header["X-Forwarded-Host"], host)
		if prior := r.Header["Forwarded"]; len(prior) > 0 {
			header["Forwarded"] = prior
		}
	} else {
		for name := range header {
			if strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip" {
				delete(header, name)
			}
		}
	}
	values := [3]string{forwardedFor, proto, host}
	header["X-Forwarded-For"] = values[0:1:1]
	header["X-Forwarded-Proto"] = values[1:2:2]
	header["X-Forwarded-Host"] = values[2:3:3]
}

// client is where a request came from first, as far as that can be believed: the
// connection's peer, or, if that is trusted, the last address before it in
// X-Forwarded-For that is not.
func (f *ForwardedRules) client(r *http.Request) netip.Addr {
	client := peerAddr(r.RemoteAddr)
	prior := r.Header["X-Forwarded-For"]
	for i := len(prior) - 1; i >= 0; i-- {
		for list, more := prior[i], true; more && f.trusts(client); {
			var last string
			comma := strings.LastIndexByte(list, ',')
			last, more = list[comma+1:], comma >= 0
			list = list[:max(comma, 0)]
			addr := hopAddr(strings.TrimSpace(last))
			if !addr.IsValid() {
				return client
			}
			client = addr
		}
	}
	return client
}

func (f *ForwardedRules) trusts(peer netip.Addr) bool {
	return slices.ContainsFunc(f.Trusted, func(p netip.Prefix) bool { return p.Contains(peer) })
}

// hopAddr takes an element of X-Forwarded-For, an address with or without port;
// the zero address if it is none.
func hopAddr(hop string) netip.Addr {
	if addr, err := netip.ParseAddr(strings.Trim(hop, "[]")); err == nil {
		return addr.Unmap().WithZone("")
	}
	return peerAddr(hop)
}

// peerAddr is the address of a peer that net/http names "IP:port".
func peerAddr(remote string) netip.Addr {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{} // not a TCP connection; prints as "invalid IP"
	}
	return addr.Addr().Unmap().WithZone("")
}

// peerText is peer as a string; of an IPv4 address, a part of the string that it
// was parsed from.
func peerText(remote string, peer netip.Addr) string {
	if host, _, ok := strings.Cut(remote, ":"); ok && host != "" && host[0] != '[' && peer.Is4() {
		return host
	}
	return peer.String()
}

func first(values []string, otherwise string) string {
	if len(values) > 0 {
		return values[0]
	}
	return otherwise
}
