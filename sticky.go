package main

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

// stickyToken is what the sticky cookie says for a backend: a hash of the
// container's ID and the service. It tells a client neither name nor address,
// and is the same in every rollcall, so that stickiness survives a restart.
func stickyToken(s *Spec) string {
	sum := sha256.Sum256([]byte("rollcall sticky\x00" + s.Service + "\x00" + s.ContainerID))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// stuck returns the usable backend that a client's cookie names, nil if it names
// none or that one is gone: then the balancer chooses another.
func (s *Service) stuck(token string) *Backend {
	if token == "" {
		return nil
	}
	for _, b := range s.backends {
		if b.token == token {
			return b
		}
	}
	return nil
}

// stick makes the client come back to b, unless its cookie says so already.
func stick(header http.Header, cookie, token string, b *Backend) {
	if b.token == token {
		return
	}
	header.Add("Set-Cookie", cookie+"="+b.token+"; Path=/; HttpOnly; SameSite=Lax")
}

// cookieValue returns the value of a request's cookie without parsing all of
// them, "" if there is none (RFC 6265, section 4.2.1).
func cookieValue(r *http.Request, name string) string {
	for _, line := range r.Header["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			if key, value, _ := strings.Cut(strings.TrimSpace(pair), "="); key == name {
				return value
			}
		}
	}
	return ""
}
