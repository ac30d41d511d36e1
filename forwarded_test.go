package main

import (
	"net/http/httptest"
	"net/netip"
	"testing"
)

// hash:ip and the access log go by the client that a trusted proxy tells of.
func TestClientBehindTrustedProxies(t *testing.T) {
	rules := &ForwardedRules{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	for _, c := range []struct{ peer, field, want string }{
		{"10.0.0.1:1", "6.6.6.6", "6.6.6.6"},
		{"10.0.0.1:1", "1.1.1.1, 6.6.6.6", "6.6.6.6"},
		{"10.0.0.1:1", "1.1.1.1,6.6.6.6 , 10.0.0.2", "6.6.6.6"},
		{"10.0.0.1:1", "", "10.0.0.1"},
		{"10.0.0.1:1", "unknown", "10.0.0.1"},
		{"10.0.0.1:1", "10.0.0.3", "10.0.0.3"},
		{"10.0.0.1:1", ",", "10.0.0.1"},
		{"[::ffff:10.0.0.1]:1", "2001:db8::1", "2001:db8::1"},
		{"192.0.2.1:1", "6.6.6.6", "192.0.2.1"},
		{"192.0.2.7:1234", "", "192.0.2.7"},
		{"192.0.2.7:1234", "198.51.100.1", "192.0.2.7"}, // its own word
		{"10.0.0.1:1234", "", "10.0.0.1"},
		{"10.0.0.1:1234", "198.51.100.1", "198.51.100.1"},
		{"10.0.0.1:1234", "203.0.113.5, 198.51.100.1, 10.0.0.2", "198.51.100.1"}, // what stands before it is its own word
		{"10.0.0.1:1234", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
		{"10.0.0.1:1234", "unknown, 10.0.0.2", "10.0.0.2"},
		{"[fd00::1]:1234", "2001:db8::7", "2001:db8::7"},
		{"[fd00::1]:1234", "[2001:db8::7]:99", "2001:db8::7"},
		{"10.0.0.1:1234", "198.51.100.1:99", "198.51.100.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.field != "" {
			r.Header.Set("X-Forwarded-For", c.field)
		}
		if got := rules.client(r).String(); got != c.want {
			t.Errorf("from %s, which says %q, the client is %s, want %s", c.peer, c.field, got, c.want)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:1"
	r.Header["X-Forwarded-For"] = []string{"1.1.1.1", "6.6.6.6", "10.0.0.2"}
	if got := rules.client(r).String(); got != "6.6.6.6" {
		t.Errorf("of a field in several lines the client is %s", got)
	}
}
