package main

import (
	"io"
	"strings"
	"testing"
)

func TestNormalHost(t *testing.T) {
	for host, want := range map[string]string{
		"": "", ":80": "", ".": "", "a": "a", "A.B:80": "a.b", "a.b.": "a.b", "a.b.:80": "a.b", "a.b:": "a.b", "a.b..": "a.b.",
		"[::1]": "::1", "[::1]:80": "::1", "::1": "::1", "[0:0:0:0:0:0:0:1]": "::1", "[FE80::1%eth0]:80": "fe80::1", "[::ffff:10.0.0.1]": "::ffff:10.0.0.1",
		"[::1": "[::1", "[]": "", "[x]:80": "x", "1:2:3": "1:2:3", "10.0.0.1:80": "10.0.0.1",
	} {
		if got := normalHost(host); got != want {
			t.Errorf("%q is %q, want %q", host, got, want)
		}
	}
	for _, host := range []string{"shop.example.com", "shop.example.com:8080", "shop.example.com.", "[2001:db8::1]:80", "::1", ""} {
		if n := testing.AllocsPerRun(100, func() { normalHost(host) }); n != 0 {
			t.Errorf("%s: %v allocations", host, n)
		}
	}
}

func FuzzHost(f *testing.F) {
	for _, seed := range []string{"shop.example.com", "*.bücher.example:80", "[::1]:80", "a..b", "*", "xn--a", "\xff", "faß。de", "[fe80::1%25x]", "ＡＢＣ.example", "a.*.b", "İ.example"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, item string) {
		normalHost(item)
		host, err := parseHost(item)
		if err != nil {
			return
		}
		if again, err := parseHost(host); err != nil || again != host {
			t.Errorf("%q is read as %q, and that as %q (%v)", item, host, again, err)
		}
		if strings.ContainsFunc(host, func(r rune) bool { return r > 'z' || r <= ' ' }) || strings.Contains(host, ",") || normalHost(host) != host {
			t.Errorf("%q is read as %q", item, host)
		}
	})
}

func TestDomain(t *testing.T) {
	for given, want := range map[string]string{"Apps.Example.com.": "apps.example.com", "bücher.example": "xn--bcher-kva.example", "localhost": "localhost"} {
		var d domainName
		if err := d.UnmarshalText([]byte(given)); err != nil || string(d) != want {
			t.Errorf("%s is %s (%v), want %s", given, d, err, want)
		}
	}
	for _, bad := range []string{"", "*", "*.example.com", "a b", "http://x", "::1", "a..b"} {
		_, err := parse([]string{"serve", "--domain=" + bad}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "--domain") || !strings.Contains(err.Error(), "such as localhost") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
