package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"
)

// A page that is open in an operator's browser must not change anything; a
// program that is no browser sends no Origin.
func TestPagesOfOtherOriginsChangeNothing(t *testing.T) {
	s := newAdminStand(t, hello("web-1", "172.17.0.2"))
	drain := "/v1/backends/web-1/drain"
	for _, fields := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"}, // another port of this host is the proxy, with anybody's pages
		{"Origin", "http://evil.example"},
		{"Origin", "http://127.0.0.1:1"},
		{"Origin", "null"},
	} {
		if answer, body := s.ask("POST", drain, fields...); answer.StatusCode != 403 || !bytes.Contains(body, []byte("another origin")) {
			t.Errorf("%s: %d %s", fields, answer.StatusCode, body)
		}
	}
	if state := member(t, s.Registry, "web-1").State; state != Healthy {
		t.Fatalf("web-1 is %s", state)
	}
	for _, fields := range [][]string{{}, {"Sec-Fetch-Site", "same-origin"}, {"Origin", s.front.URL}} {
		if answer, body := s.ask("POST", drain, fields...); answer.StatusCode != 200 {
			t.Errorf("%s: %d %s", fields, answer.StatusCode, body)
		}
		if state := member(t, s.Registry, "web-1").State; state != Draining {
			t.Errorf("%s: web-1 is %s", fields, state)
		}
		s.Undrain(idOf("web-1"))
	}
	// Reading changes nothing, and the browser shows it to no other page.
	if answer, _ := s.ask("GET", "/v1/backends", "Sec-Fetch-Site", "cross-site"); answer.StatusCode != 200 || answer.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a GET: %d, %v", answer.StatusCode, answer.Header)
	}
}

// A page whose own name leads here is no page of ours.
func TestNamesOfTheAdminListener(t *testing.T) {
	loopback, all := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3001}, &net.TCPAddr{IP: net.IPv6zero, Port: 3001}
	for _, test := range []struct {
		flag  listenAddr
		bound net.Addr
		good  []string
		bad   []string
	}{
		{"127.0.0.1:3001", loopback,
			[]string{"127.0.0.1:3001", "127.0.0.1", "[::1]:3001", "192.0.2.7:80", "localhost:3001", "LOCALHOST", "localhost.", "rollcall.localhost:3001", "machine.example.com:3001"},
			[]string{"", "evil.example:3001", "evil.example.", "rollcall:3001", "localhost.evil.example", "127.0.0.1.evil.example", "evillocalhost", "example.com", ":3001"}},
		{":3001", all,
			[]string{"10.0.0.1:3001", "rollcall:3001", "localhost:3001", "machine.example.com"},
			[]string{"", "evil.example:3001", "rollcall.evil.example"}},
		{"admin.example.com:3001", all, []string{"admin.example.com:3001", "Admin.Example.com"}, []string{"www.example.com"}},
	} {
		names := newAdminNames(test.flag, test.bound, "Machine.example.com")
		for _, host := range test.good {
			if !names.include(host) {
				t.Errorf("--admin %s refuses %q", test.flag, host)
			}
		}
		for _, host := range test.bad {
			if names.include(host) {
				t.Errorf("--admin %s takes %q", test.flag, host)
			}
		}
	}
}

func TestRebindingIsRefused(t *testing.T) {
	s := newAdminStand(t, hello("web-1", "172.17.0.2"))
	for _, test := range []struct{ method, path string }{
		{"GET", "/v1/backends"}, {"GET", "/v1/watch"}, {"POST", "/v1/backends/web-1/drain"}, {"GET", "/v1/nothing"}, {"GET", "/metrics"}, {"GET", "/"},
	} {
		answer, body := s.ask(test.method, test.path, "Host", "evil.example:3001", "Origin", "http://evil.example:3001", "Sec-Fetch-Site", "same-origin")
		if answer.StatusCode != 421 || !strings.Contains(string(body), "does not go by the name") || !strings.Contains(string(body), "--admin-token") {
			t.Errorf("%s %s: %d %s", test.method, test.path, answer.StatusCode, body)
		}
	}
	if state := member(t, s.Registry, "web-1").State; state != Healthy {
		t.Errorf("web-1 is %s", state)
	}
	// A load balancer asks by whatever name it has.
	for _, probe := range []string{"/livez", "/readyz"} {
		if answer, _ := s.ask("GET", probe, "Host", "probe.example"); answer.StatusCode != 200 {
			t.Errorf("%s: %d", probe, answer.StatusCode)
		}
	}
}

func TestToken(t *testing.T) {
	s := newAdminStand(t, hello("web-1", "172.17.0.2"))
	s.guard.token = "0123456789abcdef"
	for _, path := range []string{"/v1/backends", "/v1/watch", "/v1/nothing", "/metrics", "/", "/login"} {
		for _, fields := range [][]string{
			{}, {"Authorization", "Bearer wrong"}, {"Authorization", "Bearer"}, {"Authorization", "Basic 0123456789abcdef"}, {"Authorization", "0123456789abcdef"},
			{"Cookie", "rollcall_admin=0123456789abcdef"}, {"Cookie", "rollcall_admin="},
		} {
			answer, body := s.ask("GET", path, fields...)
			if answer.StatusCode != 401 || !strings.HasPrefix(answer.Header.Get("WWW-Authenticate"), "Bearer") || !strings.Contains(string(body), "--admin-token") {
				t.Errorf("%s with %q: %d %s", path, fields, answer.StatusCode, body)
			}
		}
	}
	for _, fields := range [][]string{
		{"Authorization", "Bearer 0123456789abcdef"}, {"Authorization", "bearer  0123456789abcdef"},
		{"Authorization", "Bearer 0123456789abcdef", "Host", "any.example"}, // which a page can't send
	} {
		if answer, body := s.ask("GET", "/v1/backends", fields...); answer.StatusCode != 200 {
			t.Errorf("%q: %d %s", fields, answer.StatusCode, body)
		}
	}
	for _, probe := range []string{"/livez", "/readyz"} {
		if answer, _ := s.ask("GET", probe); answer.StatusCode != 200 {
			t.Errorf("%s: %d", probe, answer.StatusCode)
		}
	}
	if answer, _ := s.ask("POST", "/v1/backends/web-1/drain", "Authorization", "Bearer 0123456789abcdef", "Origin", "http://evil.example"); answer.StatusCode != 403 {
		t.Errorf("from another origin: %d", answer.StatusCode)
	}
}

// A person logs in with a form and has a cookie that no script can read.
func TestLogin(t *testing.T) {
	s := newAdminStand(t, hello("web-1", "172.17.0.2"))
	s.guard.token = "0123456789abcdef"
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	do := func(method, path string, form url.Values, origin string) (*http.Response, string) {
		t.Helper()
		request, _ := http.NewRequestWithContext(t.Context(), method, s.front.URL+path, strings.NewReader(form.Encode()))
		request.Header.Set("Accept", "text/html,*/*;q=0.8")
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if origin != "" {
			request.Header.Set("Origin", origin)
		}
		answer, err := browser.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return answer, string(body)
	}
	page, body := do("GET", "/", nil, "")
	if page.StatusCode != 401 || !strings.Contains(body, `<form method="post" action="/login">`) {
		t.Fatalf("at first: %d %s", page.StatusCode, body)
	}
	style, _, _ := strings.Cut(body[strings.Index(body, "<style>")+len("<style>"):], "</style>")
	sum := sha256.Sum256([]byte(style))
	if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, base64.StdEncoding.EncodeToString(sum[:])) || !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("its policy %q is not for its style", policy)
	}
	if answer, body := do("POST", "/login", url.Values{"token": {"wrong"}}, s.front.URL); answer.StatusCode != 401 || !strings.Contains(body, "That is not the token.") || len(answer.Cookies()) > 0 {
		t.Errorf("a wrong token: %d %s", answer.StatusCode, body)
	}
	if answer, body := do("POST", "/login", url.Values{"token": {s.guard.token}}, "http://evil.example"); answer.StatusCode != 403 || len(answer.Cookies()) > 0 {
		t.Errorf("another origin's form: %d %s", answer.StatusCode, body)
	}
	answer, body := do("POST", "/login", url.Values{"token": {s.guard.token}}, s.front.URL)
	if answer.StatusCode != 303 || answer.Header.Get("Location") != "/" || len(answer.Cookies()) != 1 {
		t.Fatalf("the token: %d %s", answer.StatusCode, body)
	}
	cookie := answer.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.MaxAge <= 0 || strings.Contains(cookie.String(), s.guard.token) {
		t.Errorf("the cookie is %s", cookie)
	}
	if answer, body := do("GET", "/v1/backends", nil, ""); answer.StatusCode != 200 {
		t.Errorf("with the cookie: %d %s", answer.StatusCode, body)
	}
	if answer, body := do("POST", "/v1/backends/web-1/drain", nil, s.front.URL); answer.StatusCode != 200 {
		t.Errorf("drain with the cookie: %d %s", answer.StatusCode, body)
	}
	if answer, body := do("POST", "/login", url.Values{"token": {strings.Repeat("x", 1<<20)}}, s.front.URL); answer.StatusCode != 401 {
		t.Errorf("a huge form: %d %s", answer.StatusCode, body)
	}
}

// The commands send the token.
func TestCommandsSendTheToken(t *testing.T) {
	s := newAdminStand(t, hello("web-1", "172.17.0.2"))
	s.guard.token = "0123456789abcdef"
	for _, command := range [][]string{{"ps"}, {"why", "web-1"}, {"drain", "web-1"}, {"undrain", "web-1"}, {"healthcheck"}} {
		args := append(command, "--admin", strings.TrimPrefix(s.front.URL, "http://"))
		var out, problem bytes.Buffer
		if code := run(t.Context(), append(args, "--admin-token", s.guard.token), &out, &problem); code != 0 {
			t.Errorf("%s with the token: %d %s", command, code, &problem)
		}
		t.Setenv("ROLLCALL_ADMIN_TOKEN", s.guard.token)
		if code := run(t.Context(), args, &out, &problem); code != 0 {
			t.Errorf("%s with the token in the environment: %d %s", command, code, &problem)
		}
		os.Unsetenv("ROLLCALL_ADMIN_TOKEN")
		problem.Reset()
		code := run(t.Context(), args, &out, &problem)
		if command[0] == "healthcheck" {
			if code != 0 {
				t.Errorf("%s without the token: %d %s", command, code, &problem)
			}
		} else if code != 1 || !strings.Contains(problem.String(), "the token is missing or wrong") {
			t.Errorf("%s without the token: %d %s", command, code, &problem)
		}
	}
	var out, problem bytes.Buffer
	if code := run(t.Context(), []string{"ps", "--admin-token", "two words"}, &out, &problem); code != 2 || strings.Contains(problem.String(), "two words") {
		t.Errorf("a bad token: %d %s", code, &problem)
	}
}
