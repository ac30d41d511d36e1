package main

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

// dashboardNames are the paths of the page's files, as the listener serves them.
func dashboardNames(t *testing.T) []string {
	names, err := fs.Glob(dashboardFiles, "dashboard/*")
	if err != nil || len(names) < 10 {
		t.Fatalf("the program holds %q, %v", names, err)
	}
	return names
}

func getDashboard(t *testing.T, path string, fields ...string) *httptest.ResponseRecorder {
	t.Helper()
	mux := http.NewServeMux()
	serveDashboard(mux)
	request := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(fields); i += 2 {
		request.Header.Set(fields[i], fields[i+1])
	}
	recorder := httptest.NewRecorder()
	mux.ServeHTTP(recorder, request)
	return recorder
}

func TestEveryDashboardFileIsServed(t *testing.T) {
	types := map[string]string{".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	for _, name := range dashboardNames(t) {
		answer := getDashboard(t, "/"+name)
		body, _ := dashboardFiles.ReadFile(name)
		if answer.Code != http.StatusOK || answer.Body.String() != string(body) {
			t.Errorf("GET /%s: %d, %d bytes of %d", name, answer.Code, answer.Body.Len(), len(body))
		}
		if got, want := answer.Header().Get("Content-Type"), types[path.Ext(name)]; got != want || want == "" {
			t.Errorf("GET /%s: Content-Type %q, want %q", name, got, want)
		}
		if lines := strings.Count(string(body), "\n"); lines > 400 {
			t.Errorf("%s has %d lines: what is it about?", name, lines)
		}
	}
	if page := getDashboard(t, "/"); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), "<title>rollcall</title>") {
		t.Errorf("GET /: %d %s", page.Code, page.Body)
	}
	for _, path := range []string{"/dashboard/", "/dashboard/none.js", "/dashboard.go", "/index.html"} {
		if answer := getDashboard(t, path); answer.Code != http.StatusNotFound {
			t.Errorf("GET %s: %d, want 404", path, answer.Code)
		}
	}
}

func TestDashboardHeaders(t *testing.T) {
	for _, path := range append(dashboardNames(t), "") {
		header := getDashboard(t, "/"+path).Header()
		for field, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cache-Control": "no-cache",
		} {
			if got := header.Get(field); got != want {
				t.Errorf("GET /%s: %s is %q, want %q", path, field, got, want)
			}
		}
		policy := header.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy+";", directive+";") {
				t.Errorf("GET /%s: the policy lacks %s: %s", path, directive, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "data:") {
			t.Errorf("GET /%s: the policy lets in more than the listener's own: %s", path, policy)
		}
	}
}

// A browser asks each time and is told that nothing has changed.
func TestUnchangedDashboardFileIsNotSentAgain(t *testing.T) {
	tag := getDashboard(t, "/").Header().Get("ETag")
	if again := getDashboard(t, "/", "If-None-Match", tag); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("with its tag %s: %d, %d bytes", tag, again.Code, again.Body.Len())
	}
	if other := getDashboard(t, "/dashboard/main.js"); other.Header().Get("ETag") == tag {
		t.Errorf("two files have the tag %s", tag)
	}
}

// The page asks nobody but the listener it came from, and all that it names is
// there.
func TestDashboardIsWholeAndAlone(t *testing.T) {
	addresses := regexp.MustCompile(`(?:https?:)?//[a-z0-9.-]+\.[a-z]`)
	references := []*regexp.Regexp{
		regexp.MustCompile(`(?:src|href)="(/[^"]*)"`),
		regexp.MustCompile(`from '\./([^']*)'`),
	}
	inline := regexp.MustCompile(`(?i)<style|<script[^>]*>[^<]|\sstyle=|\son[a-z]+=|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(`)
	named := map[string]bool{"/dashboard/index.html": true}
	for _, name := range dashboardNames(t) {
		body, _ := dashboardFiles.ReadFile(name)
		text := string(body)
		// The SVG namespace is a name, and so is the example in the form.
		for _, known := range []string{"http://www.w3.org/2000/svg", "http://shop.localhost/cart"} {
			text = strings.ReplaceAll(text, known, "")
		}
		if found := addresses.FindString(text); found != "" {
			t.Errorf("%s names another place: %s", name, found)
		}
		if found := inline.FindString(text); found != "" {
			t.Errorf("%s has what the policy forbids: %q", name, found)
		}
		for _, reference := range references {
			for _, match := range reference.FindAllStringSubmatch(text, -1) {
				path := match[1]
				if !strings.HasPrefix(path, "/") {
					path = "/dashboard/" + path
				}
				named[path] = true
				if answer := getDashboard(t, path); answer.Code != http.StatusOK {
					t.Errorf("%s names %s: %d", name, path, answer.Code)
				}
			}
		}
	}
	for _, name := range dashboardNames(t) {
		if !named["/"+name] {
			t.Errorf("%s is named nowhere", name)
		}
	}
}
