package main

import (
	"fmt"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// backendReadings are what servers that people run make of a path, each written
// down on its own from what it does: the segments that it finds.
var backendReadings = map[string]func(raw string) []string{
	"net/http's ServeMux": func(raw string) []string { return strings.Split(path.Clean("/"+percentDecoded(raw)), "/") },
	"nginx": func(raw string) []string {
		raw, _, _ = strings.Cut(raw, "#")
		return strings.Split(path.Clean("/"+percentDecoded(raw)), "/")
	},
	"express": func(raw string) []string { // url.parse, and no dots resolved
		raw, _, _ = strings.Cut(raw, "#")
		return decodedEach(strings.Split(strings.ReplaceAll(raw, `\`, "/"), "/"))
	},
	"a WHATWG URL": func(raw string) []string {
		raw, _, _ = strings.Cut(raw, "#")
		var kept []string
		for _, segment := range strings.Split(strings.ReplaceAll(raw, `\`, "/"), "/")[1:] {
			switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
			case ".":
			case "..":
				kept = kept[:max(0, len(kept)-1)]
			default:
				kept = append(kept, segment)
			}
		}
		return decodedEach(kept)
	},
	"java.net.URI.normalize": func(raw string) []string {
		var kept []string
		for _, segment := range strings.Split(raw, "/") {
			switch segment {
			case "", ".":
			case "..":
				kept = kept[:max(0, len(kept)-1)]
			default:
				kept = append(kept, segment)
			}
		}
		return decodedEach(kept)
	},
	"Tomcat": func(raw string) []string {
		var kept []string
		for _, segment := range strings.Split(raw, "/") {
			segment, _, _ = strings.Cut(segment, ";")
			kept = append(kept, percentDecoded(segment))
		}
		return strings.Split(path.Clean("/"+strings.Join(kept, "/")), "/")
	},
	"Tomcat that allows encoded slashes and backslashes": func(raw string) []string {
		var kept []string
		for _, segment := range strings.Split(raw, "/") {
			segment, _, _ = strings.Cut(segment, ";")
			kept = append(kept, percentDecoded(segment))
		}
		return strings.Split(path.Clean(strings.ReplaceAll("/"+strings.Join(kept, "/"), `\`, "/")), "/")
	},
	"IIS, which decoded twice": func(raw string) []string {
		return strings.Split(path.Clean(strings.ReplaceAll("/"+percentDecoded(percentDecoded(raw)), `\`, "/")), "/")
	},
	"WSGI, nothing resolved": func(raw string) []string { return strings.Split(percentDecoded(raw), "/") },
	"two proxies in a row": func(raw string) []string {
		once, _, _ := strings.Cut(percentDecoded(raw), "?")
		return strings.Split(path.Clean("/"+percentDecoded(once)), "/")
	},
}

// percentDecoded undoes what is percent-encoded, and leaves what only looks so.
func percentDecoded(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if i+2 < len(s) && s[i] == '%' {
			if c, err := url.PathUnescape(s[i : i+3]); err == nil {
				out.WriteString(c)
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// decodedEach decodes segments; a slash within one is no separator.
func decodedEach(segments []string) []string {
	var decoded []string
	for _, segment := range segments {
		decoded = append(decoded, strings.ReplaceAll(percentDecoded(segment), "/", "\x00"))
	}
	return decoded
}

// under tells whether segments lie under a prefix such as "/a/b".
func under(segments []string, prefix string) bool {
	var kept []string
	for _, segment := range segments {
		if segment != "" && segment != "." {
			kept = append(kept, segment)
		}
	}
	return prefix == "/" || strings.HasPrefix("/"+strings.Join(kept, "/")+"/", prefix+"/")
}

// pathRegistry has a service for each of the paths, on one host.
func pathRegistry(paths ...string) *Registry {
	r := NewRegistry(quiet(), time.Minute)
	var roll []Entry
	for i, p := range paths {
		roll = append(roll, backendOf(fmt.Sprint("service-", i), fmt.Sprint("web-", i), hosts("shop.example.com"), func(e *Entry) { e.Paths = p }))
	}
	r.Replace(engineA, roll)
	return r
}

// checkReadings wants that no server finds in the path what is another
// service's.
func checkReadings(s *Snapshot, paths []string, raw string) error {
	route := s.Route("shop.example.com", raw)
	differ, _ := oddities(raw)
	severally := climbs(raw) || differ&readParamsFirst != 0
	if s.Ambiguous("shop.example.com", raw) {
		if route != nil || !severally {
			return fmt.Errorf("%q is ambiguous, and goes to %v", raw, route)
		}
		return nil
	}
	for name, read := range backendReadings {
		owner := ""
		for _, p := range paths {
			if under(read(raw), p) && len(p) > len(owner) {
				owner = p
			}
		}
		switch {
		case owner == "" && (!severally || route == nil):
		case route == nil, !under(strings.Split(route.Path, "/"), owner), severally && route.Path != owner:
			return fmt.Errorf("%q goes to %v; %s finds %q in it, which belongs to %q", raw, route, name, read(raw), owner)
		}
	}
	return nil
}

func TestNoSpellingPassesByARoute(t *testing.T) {
	words := []string{"/", "/", "/", "/", "//", `\`, "%2f", "%5c", "%5C", "%252f", "%255c", "..", "..", ".", "%2e", "%2E%2e", "%252e", ".%2e", ";", ";x=y",
		"%3b", "#", "%23", "%3f", "%253f", "%", "%2", "%25", "%zz", "admin", "admin", "public", "files", "private", "x", "%61dmin", "%2561dmin", "\xff", "%00"}
	tables := [][]string{{"/admin", "/"}, {"/admin", "/public"}, {"/files", "/files/private", "/"}, {"/files/private", "/admin", "/public", "/"}}
	var snapshots []*Snapshot
	for _, paths := range tables {
		snapshots = append(snapshots, pathRegistry(paths...).Snapshot())
	}
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			raw := "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 1, 10).Draw(t, "path"), "")
			for i, s := range snapshots {
				if err := checkReadings(s, tables[i], raw); err != nil {
					t.Fatalf("among %q: %v", tables[i], err)
				}
			}
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/admin", "/public/../admin", "/public/..%2fadmin", "/%252e%252e/admin", `/public\..;/admin#x`, "/a;b/./c//d%", "*", "", "/%", "/..;/..%5c%2f",
		// What readings were added for.
		`/;\%00/admin`, "//;x=yfiles%3f%252e///admin", "/%2561dmin//%2E%2e%253f%2e%00files", "/%23/../%61dmin#", "/%253f/../%2561dmin%3f", "/admin/%2e%2e;/../x"} {
		f.Add(seed)
	}
	paths := []string{"/admin", "/files/private", "/files", "/public"}
	s := pathRegistry(paths...).Snapshot()
	f.Fuzz(func(t *testing.T, raw string) {
		if strings.Contains(raw, "?") {
			return // the query is no part of it
		}
		normal := normalPath(raw)
		if normal[0] != '/' || !isPlain(raw) && strings.Contains(normal, "//") {
			t.Errorf("%q is read as %q", raw, normal)
		}
		if raw == "" || raw[0] != '/' {
			return // net/http refuses it, but for *
		}
		if err := checkReadings(s, paths, raw); err != nil {
			t.Error(err)
		}
		route := s.Route("shop.example.com", raw)
		if route == nil {
			return
		}
		rest := stripPrefix(raw, route.Path)
		if rest == "" || rest[0] != '/' {
			t.Errorf("%q without %s is %q", raw, route.Path, rest)
		}
		if want := strings.TrimPrefix(normal, route.Path); !climbs(raw) && strings.Trim(normalPath(rest), "/") != strings.Trim(want, "/") {
			t.Errorf("%q without %s is %q, which is read as %q and not as %q", raw, route.Path, rest, normalPath(rest), want)
		}
	})
}

// What is odd in every way costs no more than a bounded time.
func TestReadingsAreBounded(t *testing.T) {
	s := pathRegistry("/admin", "/").Snapshot()
	for _, odd := range []string{`/..;%2f%2e\#%25`, "/..", "/a/..%2f"} {
		raw := strings.Repeat(odd, 60<<10/len(odd))
		if !s.Ambiguous("shop.example.com", raw) {
			t.Errorf("60 KiB of %q are routed", odd)
		}
		began := time.Now()
		s.Route("shop.example.com", raw)
		if took := time.Since(began); took > time.Second {
			t.Errorf("60 KiB of %q take %s", odd, took)
		}
	}
}

func TestPlainPathsDoNotAllocate(t *testing.T) {
	for _, raw := range []string{"/", "/cart", "/cart/", "/a/b.c/d-e_f~g", "/index..html", "/x:y@z!$&'()*+,="} {
		if n := testing.AllocsPerRun(100, func() { normalPath(raw) }); n != 0 || normalPath(raw) != raw {
			t.Errorf("%s: %v allocations, read as %s", raw, n, normalPath(raw))
		}
	}
}
