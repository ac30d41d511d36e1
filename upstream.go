package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"rollcall/internal/http1"
)

// upstream is the connections to one address of a backend.
type upstream struct {
	addr      string // "IP:port"
	transport http.RoundTripper
	close     func() // closes the idle connections; busy ones end with their requests
}

// Address returns the "IP:port" to send requests to: the candidate that
// answered last, before any did the best one, "" when there is none.
func (b *Backend) Address() string {
	if up := b.upstream.Load(); up != nil {
		return up.addr
	}
	first, _, _ := strings.Cut(string(b.Candidates), " ")
	return first
}

// connect makes addr the address that requests are sent to. Connections from
// before belong to a former life of the container, which may have ended without
// closing them.
func (b *Backend) connect(addr string) {
	b.disconnect()
	if b.Scheme == "https" || b.Scheme == "h2c" {
		b.upstream.Store(newNetUpstream(b, addr))
		return
	}
	pool := http1.NewPool(addr, &http1.Options{Dial: b.conns.dial, HeadTimeout: b.Timeout, DialTimeout: dialTimeout, Watch: watchClient})
	b.upstream.Store(&upstream{addr, pool, func() { pool.Close() }})
}

// disconnect closes the idle connections; busy ones end with their requests.
func (b *Backend) disconnect() {
	if up := b.upstream.Load(); up != nil {
		up.close()
	}
}

// cut closes all connections, whatever is in flight on them.
func (b *Backend) cut() {
	b.disconnect()
	b.conns.closeAll()
}

// RoundTrip sends a request to b. Its error is always an *http1.Error; the
// request's body is the caller's again then, see http1.Pool.RoundTrip.
func (b *Backend) RoundTrip(req *http.Request) (*http.Response, error) {
	return b.upstream.Load().transport.RoundTrip(req)
}

// netTransport sends requests through net/http's transport, for what
// internal/http1 does not speak: TLS and HTTP/2. It gives errors the form that
// decisions on retries need.
type netTransport struct {
	scheme, addr string
	transport    *http.Transport
	upgrades     *http.Transport // for requests to change the protocol, which HTTP/2 has not; nil for h2c
}

func newNetUpstream(b *Backend, addr string) *upstream {
	t := &netTransport{scheme: "https", addr: addr}
	protocols := &http.Protocols{}
	if b.Scheme == "h2c" {
		t.scheme = "http"
		protocols.SetUnencryptedHTTP2(true)
	} else {
		protocols.SetHTTP1(true)
		t.upgrades = newTransport(b, protocols)
		protocols = &http.Protocols{}
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
	}
	t.transport = newTransport(b, protocols)
	return &upstream{addr, t, t.close}
}

func newTransport(b *Backend, protocols *http.Protocols) *http.Transport {
	return &http.Transport{
		DialContext:           b.conns.dial,
		DisableCompression:    true, // the answer is passed on as it is
		ResponseHeaderTimeout: b.Timeout,
		TLSHandshakeTimeout:   dialTimeout,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   256,
		Protocols:             protocols,
		TLSClientConfig:       &tls.Config{ServerName: serverName(&b.Spec), InsecureSkipVerify: b.Insecure},
	}
}

func (t *netTransport) close() {
	t.transport.CloseIdleConnections()
	if t.upgrades != nil {
		t.upgrades.CloseIdleConnections()
	}
}

// serverName is the name that a backend's certificate must be for: the first
// host of its service that is one name.
func serverName(s *Spec) string {
	for _, host := range splitList(s.Hosts) {
		if !strings.HasPrefix(host, "*") {
			return host
		}
	}
	return s.Service
}

func (t *netTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	watchClient(req.Context())
	out := req.WithContext(req.Context()) // a copy: the next attempt goes elsewhere
	target := *req.URL
	target.Scheme, target.Host = t.scheme, t.addr
	if strings.HasPrefix(target.Opaque, "//") {
		// net/url takes this for an authority. As a path it stays as it is, unless it
		// has what net/url would escape; then the absolute form is unambiguous.
		plain := url.URL{RawPath: target.Opaque}
		plain.Path, _ = url.PathUnescape(target.Opaque)
		if plain.EscapedPath() == target.Opaque {
			target.Opaque, target.Path, target.RawPath = "", plain.Path, plain.RawPath
		} else {
			target.Opaque = "//" + cmp.Or(req.Host, t.addr) + target.Opaque
		}
	}
	out.URL = &target
	transport := t.transport
	switch {
	case len(req.Header["Upgrade"]) == 0:
	case t.upgrades != nil:
		transport = t.upgrades
	default:
		// A server need not heed it, and one of HTTP/2 can't (RFC 9110, section 7.8).
		out.Header = req.Header.Clone()
		delete(out.Header, "Upgrade")
		delete(out.Header, "Connection")
	}
	var body *lentBody
	if req.Body != nil && req.Body != http.NoBody {
		body = &lentBody{body: req.Body}
		out.Body = body
	}
	res, err := transport.RoundTrip(out)
	if err == nil {
		return res, nil
	}
	failure := &http1.Error{Kind: kindOf(req.Context(), err), Err: err}
	failure.Wrote = failure.Kind != http1.Dial
	if body != nil {
		failure.BodyTaken = body.takeBack()
		if body.broke.Load() && failure.Kind == http1.Broken {
			failure.Kind = http1.Body // the client's doing
		}
	}
	return nil, failure
}

func kindOf(ctx context.Context, err error) http1.Kind {
	var op *net.OpError
	var timeout net.Error
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case ctx.Err() != nil:
		return http1.Canceled
	case errors.As(err, &op) && op.Op == "dial", errors.As(err, &certificate), errors.As(err, &record):
		return http1.Dial
	case errors.As(err, &timeout) && timeout.Timeout():
		return http1.Timeout
	}
	return http1.Broken
}

// lentBody is a request's body on loan to net/http, which closes what it is
// given, and may read from it after it has failed.
type lentBody struct {
	body  io.ReadCloser
	state atomic.Int32
	broke atomic.Bool // it ended with an error
}

const (
	bodyUntouched int32 = iota
	bodyRead
	bodyTakenBack
)

func (b *lentBody) Read(p []byte) (int, error) {
	if !b.state.CompareAndSwap(bodyUntouched, bodyRead) && b.state.Load() == bodyTakenBack {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.body.Read(p)
	if err != nil && err != io.EOF {
		b.broke.Store(true)
	}
	return n, err
}

// Close leaves the body open: it is its owner's.
func (b *lentBody) Close() error { return nil }

// takeBack ends the loan, and tells whether anything was read.
func (b *lentBody) takeBack() (read bool) { return b.state.Swap(bodyTakenBack) == bodyRead }
