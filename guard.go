package main

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Guard stands before the admin listener and decides who may ask it. The probes
// are open to everybody.
//
// A browser is the danger: any page in it can send requests to addresses that
// only this machine reaches. A page may not change anything unless it is the
// listener's own, and since a page can make its own host name lead to this machine
// (DNS rebinding), the listener answers only to names that no stranger can have.
// With a token, both is of no use to a page; then every name will do.
type Guard struct {
	admin      *Admin
	names      adminNames
	token      string // "": there is none
	session    string // what the cookie of a browser that has logged in says; of this process alone
	sameOrigin *http.CrossOriginProtection
}

// NewGuard returns the guard of an admin listener; token is "" for none.
func NewGuard(admin *Admin, names adminNames, token string) *Guard {
	return &Guard{admin: admin, names: names, token: token, session: rand.Text(), sameOrigin: http.NewCrossOriginProtection()}
}

func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/livez", r.URL.Path == "/readyz":
	case g.token == "" && !g.names.include(r.Host):
		g.admin.refuse(w, r, http.StatusMisdirectedRequest, g.names.problem(r.Host))
		return
	case g.sameOrigin.Check(r) != nil:
		g.admin.refuse(w, r, http.StatusForbidden, "a page of another origin may not change anything here")
		return
	case g.token == "":
	case r.URL.Path == loginPath && r.Method == http.MethodPost:
		g.login(w, r)
		return
	case !g.knows(r):
		g.challenge(w, r)
		return
	}
	g.admin.ServeHTTP(w, r)
}

const (
	sessionCookie = "rollcall_admin"
	sessionLength = 12 * 60 * 60 // seconds
	loginPath     = "/login"
)

// knows tells whether a request comes with the token, or with the cookie of a
// browser that had it.
func (g *Guard) knows(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && sameSecret(strings.TrimSpace(token), g.token) {
		return true
	}
	cookie, err := r.Cookie(sessionCookie)
	return err == nil && sameSecret(cookie.Value, g.session)
}

// sameSecret compares in a time that tells nothing of either.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// challenge asks for the token: a program in the API's form, a person with one to
// fill in.
func (g *Guard) challenge(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
	if r.URL.Path == "/" && prefersHTML(r) {
		loginPage(w, "")
		return
	}
	g.admin.refuse(w, r, http.StatusUnauthorized, "the token is missing or wrong: give the daemon's --admin-token, as Authorization: Bearer TOKEN")
}

// login gives a browser that has the token a cookie.
func (g *Guard) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	if !sameSecret(r.PostFormValue("token"), g.token) {
		loginPage(w, "That is not the token.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: g.session, Path: "/", MaxAge: sessionLength,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

const loginStyle = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:22em;margin:15vh auto;padding:0 1em}` +
	`input,button{font:inherit;box-sizing:border-box;width:100%;padding:.5em;margin:.25em 0}`

var loginPolicy = func() string {
	sum := sha256.Sum256([]byte(loginStyle))
	return "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// loginPage shows the form; problem is one of our own sentences.
func loginPage(w http.ResponseWriter, problem string) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", loginPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin") // the check of a login needs its Origin
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprintf(w, `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>rollcall</title>
<style>%s</style>
<main><h1>rollcall</h1>
<p role="alert">%s</p>
<form method="post" action="%s">
<label for="token">Token (--admin-token of the daemon)</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Log in</button>
</form></main>
</html>
`, loginStyle, problem, loginPath)
}

// adminNames are the host names that the admin listener answers to.
type adminNames struct {
	own     []string
	dotless bool // also those without a dot, which only a network of one's own resolves
}

// newAdminNames returns the names of a listener that is bound to an address
// because --admin said so, on a machine of this name. One that only this machine
// reaches needs no name of another's choosing; others are asked by the names that
// containers and machines have in their own networks.
func newAdminNames(flag listenAddr, bound net.Addr, hostname string) adminNames {
	names := adminNames{own: []string{normalHost(hostname)}}
	if host, _, err := net.SplitHostPort(string(flag)); err == nil && host != "" {
		names.own = append(names.own, normalHost(host))
	}
	tcp, ok := bound.(*net.TCPAddr)
	names.dotless = !ok || !tcp.IP.IsLoopback()
	return names
}

func (n adminNames) include(host string) bool {
	host = normalHost(host)
	if _, err := netip.ParseAddr(host); err == nil {
		return true // a page's own name is none
	}
	switch {
	case host == "":
		return false
	case host == "localhost", strings.HasSuffix(host, ".localhost"):
		return true
	}
	return slices.Contains(n.own, host) || n.dotless && !strings.Contains(host, ".")
}

func (n adminNames) problem(host string) string {
	others := ""
	if n.dotless {
		others = ", by a name without dots"
	}
	return fmt.Sprintf("the admin listener does not go by the name %q: ask for it by an IP address%s or as localhost, or start the daemon with --admin-token, which makes every name good", host, others)
}
