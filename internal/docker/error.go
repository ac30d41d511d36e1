package docker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"syscall"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

// An engineError is what a caller sees: one line for a person, and the cause
// for errors.Is.
type engineError struct {
	line  string
	cause error
}

func (e *engineError) Error() string { return e.line }
func (e *engineError) Unwrap() error { return e.cause }

// roundTripError carries a transport's error through the SDK, which looks for
// words like "connection refused" in the text and would replace what has them.
type roundTripError struct{ cause error }

func (e *roundTripError) Error() string { return "no answer" }
func (e *roundTripError) Unwrap() error { return e.cause }

// dialError marks that no connection came about.
type dialError struct{ cause error }

func (e *dialError) Error() string { return e.cause.Error() }
func (e *dialError) Unwrap() error { return e.cause }

// versionError says that engine and client have no API version in common.
type versionError struct {
	engine string // newest version that the engine speaks, or the oldest if tooNew
	tooNew bool
}

func (e *versionError) Error() string {
	if e.tooNew {
		return fmt.Sprintf("needs API %s or newer, rollcall speaks up to %s: upgrade rollcall", e.engine, maxAPI)
	}
	return fmt.Sprintf("speaks API %s, rollcall needs %s or newer: upgrade the engine", e.engine, minAPI)
}

// malformed is the error of an answer that came in full but is not believed.
type malformed string

func (e malformed) Error() string { return string(e) }

// The engine refuses a version by text only, with status 400.
var (
	versionTooNew = regexp.MustCompile(`client version [0-9.]+ is too new\. Maximum supported API version is ([0-9.]+)|` +
		`client is newer than server .*server API version: ([0-9.]+)`)
	versionTooOld = regexp.MustCompile(`client version [0-9.]+ is too old\. Minimum supported API version is ([0-9.]+)`)
)

// What the SDK says of an answer without a body, as those to HEAD are.
var bodiless = regexp.MustCompile(`request returned ([^;]+?)( for API route and version .*)?[,;] check if the server supports the requested API version`)

func isVersionRefused(err error) bool {
	s := err.Error()
	return versionTooNew.MatchString(s) || versionTooOld.MatchString(s)
}

// explain turns a failure of a call into what its caller sees. parent is the
// caller's context, ctx that of the call.
func (c *Client) explain(parent, ctx context.Context, what string, err error) error {
	say := func(format string, args ...any) error {
		return &engineError{line: oneLine(fmt.Sprintf(format, args...)), cause: err}
	}
	host := c.Host()
	var version *versionError
	switch {
	case c.life.Err() != nil:
		err = ErrClosed
		return say("engine %s: %s: %v", host, what, err)
	case parent.Err() != nil:
		err = parent.Err()
		return say("engine %s: %s: %v", host, what, context.Cause(parent))
	case ctx.Err() != nil:
		err = context.DeadlineExceeded
		return say("engine %s didn't answer within %s: %s", host, c.timeout, what)
	case errors.As(err, &version):
		return say("engine %s %s", host, version)
	}
	if line := c.explainDial(err); line != "" {
		return say("%s", line)
	}
	if line := explainTLS(err); line != "" {
		return say("engine %s %s", host, line)
	}
	if client.IsErrConnectionFailed(err) {
		return say("engine %s: %s: the connection broke: %s", host, what, innermost(err))
	}
	return c.explainAnswer(say, what, err)
}

// explainDial is about connections that did not come about; "" for all else.
func (c *Client) explainDial(err error) string {
	const hint = "start Docker, or name its endpoint with --docker-host"
	var dial *dialError
	if !errors.As(err, &dial) {
		return ""
	}
	host := c.Host()
	var dns *net.DNSError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("no Docker engine at %s: no such file: %s", host, hint)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("no access to the Docker engine at %s: permission denied: add the user to the group docker or run as root", host)
	case c.endpoint.proto == "unix" && isDir(c.endpoint.addr):
		// What Docker makes of a bind mount whose source is missing.
		return fmt.Sprintf("no Docker engine at %s: it is a directory, not a socket: mount the engine's socket there", host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("no Docker engine at %s: connection refused: %s", host, hint)
	case errors.As(err, &dns):
		return fmt.Sprintf("no Docker engine at %s: host %s not found: correct the name in --docker-host", host, dns.Name)
	}
	return fmt.Sprintf("no Docker engine at %s: %s: %s", host, innermost(err), hint)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// explainTLS is about one side speaking TLS and the other not, or certificates
// that don't fit; "" for all else. The line goes on after the engine's name.
func explainTLS(err error) string {
	const certs = "check ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH"
	var (
		record tls.RecordHeaderError
		verify *tls.CertificateVerificationError
		alert  tls.AlertError
		names  x509.HostnameError
	)
	text := err.Error()
	switch {
	case errors.As(err, &record), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "doesn't speak TLS: unset DOCKER_TLS_VERIFY, or name its TLS port"
	case strings.Contains(text, "HTTP request to an HTTPS server"),
		strings.Contains(innermost(err), `malformed HTTP response "\x15`): // a TLS alert
		return "speaks TLS: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH"
	case errors.As(err, &names), errors.As(err, &verify):
		return fmt.Sprintf("has a certificate that isn't accepted: %s: %s", innermost(err), certs)
	case errors.As(err, &alert), strings.Contains(innermost(err), "remote error: tls:"):
		return fmt.Sprintf("refuses the client certificate: %s: %s", innermost(err), certs)
	}
	return ""
}

// explainAnswer is about what the engine, or a proxy before it, has answered.
func (c *Client) explainAnswer(say func(string, ...any) error, what string, err error) error {
	host := c.Host()
	text := strings.TrimPrefix(err.Error(), "Error response from daemon: ")
	text = bodiless.ReplaceAllString(text, "answered $1")
	var (
		bad    malformed
		syntax *json.SyntaxError
		shape  *json.UnmarshalTypeError
	)
	switch {
	case cerrdefs.IsNotFound(err):
		return &engineError{
			line:  oneLine(fmt.Sprintf("engine %s: %s: %s", host, what, text)),
			cause: errors.Join(ErrNotFound, err),
		}
	case versionTooNew.MatchString(text):
		m := versionTooNew.FindStringSubmatch(text)
		return c.explainVersion(say, &versionError{engine: m[1] + m[2]})
	case versionTooOld.MatchString(text):
		m := versionTooOld.FindStringSubmatch(text)
		return c.explainVersion(say, &versionError{engine: m[1], tooNew: true})
	case cerrdefs.IsPermissionDenied(err), cerrdefs.IsUnauthorized(err):
		return say("engine %s refuses to %s: %s: if a socket proxy is in between, let it pass GET _ping, version, events and containers/", host, what, text)
	case errors.As(err, &bad), errors.As(err, &syntax), errors.As(err, &shape):
		return say("engine %s: %s: malformed answer: %s", host, what, text)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return say("engine %s: %s: the answer is cut off", host, what)
	}
	return say("engine %s: %s: %s", host, what, text)
}

func (c *Client) explainVersion(say func(string, ...any) error, v *versionError) error {
	if c.endpoint.version != "" {
		bound := "up to"
		if v.tooNew {
			bound = "from"
		}
		return say("engine %s speaks API %s %s, DOCKER_API_VERSION asks for %s: unset it", c.Host(), bound, v.engine, c.endpoint.version)
	}
	return say("engine %s %s", c.Host(), v)
}

// innermost is the text of the cause that says most: below the SDK's and the
// transport's wrapping, above the bare error number.
func innermost(err error) string {
	var (
		trip *roundTripError
		u    *url.Error
		op   *net.OpError
	)
	switch {
	case errors.As(err, &op):
		return op.Err.Error()
	case errors.As(err, &trip):
		return trip.cause.Error()
	case errors.As(err, &u):
		return u.Err.Error()
	}
	return err.Error()
}

// oneLine makes a log line of an answer that may be a proxy's HTML page.
func oneLine(s string) string {
	const most = 500
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
