package main

import (
	"bytes"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/internal/http1"
)

// Proxy sends each request to a backend of the service whose route matches it:
// snapshot → route → backend → httputil.ReverseProxy.
type Proxy struct {
	registry  *Registry
	patience  Patience
	forwarded ForwardedRules
	log       *slog.Logger
	errorLog  *log.Logger                    // for what httputil and net/http have to say; debug level
	explain   func(host, path string) string // why a request got no answer of a backend, in a sentence; set before the first request
	forwards  sync.Pool                      // of *forward
	upgraded  sync.WaitGroup
	unrouted  Traffic    // what reached no service
	accessLog *AccessLog // nil: off; set before the first request
}

// NewProxy returns the proxy for a registry's services. hold is how long a
// request for a known service waits for a first usable backend.
func NewProxy(registry *Registry, hold time.Duration, forwarded ForwardedRules, log *slog.Logger) *Proxy {
	p := &Proxy{registry: registry, forwarded: forwarded, log: log, errorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	p.explain = func(host, path string) string { return "" }
	p.patience.Hold, p.patience.Limit = hold, maxHeld
	p.forwards.New = func() any { return newForward(p) }
	return p
}

// maxHeld bounds the requests that wait for a backend at one time: each costs
// a connection and some 20 KiB.
const maxHeld = 8192

// ServeHTTP answers one request. It loads the snapshot once and decides
// everything on it; only a request that must wait looks at a newer one.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	upgrade := len(r.Header["Upgrade"]) > 0
	if upgrade {
		// The server does not wait for a connection that was taken from it.
		p.upgraded.Add(1)
		defer p.upgraded.Done() // after all else
	}
	var logged *accessWriter
	if p.accessLog != nil {
		logged = p.accessLog.begin(w, r)
		defer logged.end()
		w = logged
	}
	if r.Method == http.MethodConnect || r.URL.Path == "" && r.URL.Opaque != "" {
		p.refuse(w, r, answerBadRequest)
		return
	}
	snapshot := p.registry.Snapshot()
	if len(snapshot.Services()) == 0 {
		p.refuse(w, r, answerEmpty)
		return
	}
	path, _, _ := strings.Cut(rawTarget(r), "?")
	route, ambiguous := snapshot.match(r.Host, path)
	if ambiguous {
		p.refuse(w, r, answerAmbiguous)
		return
	}
	if route == nil {
		p.refuse(w, r, answerNoRoute)
		return
	}
	if upgrade {
		w = upgradeWriter{w}
	}
	f := p.forwards.Get().(*forward)
	f.logged = logged
	f.serve(w, r, snapshot, route)
}

// refuse answers a request that reaches no service.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, a *answer) {
	p.unrouted.count(a.status, 0)
	a.write(w, r)
	p.logRefused(r, "", a, nil)
}

// logRefused logs why a request got an answer of rollcall's own, at debug level:
// only then is it looked into.
func (p *Proxy) logRefused(r *http.Request, service string, a *answer, err error) {
	ctx := r.Context()
	if !p.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{slog.String("service", service), slog.Int("status", a.status), slog.String("rollcall_error", a.code),
		slog.String("method", r.Method), slog.String("host", r.Host), slog.String("path", r.URL.Path)}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	if a != answerBadRequest {
		path, _, _ := strings.Cut(rawTarget(r), "?")
		attrs = append(attrs, slog.String("why", p.explain(r.Host, path)))
	}
	p.log.LogAttrs(ctx, slog.LevelDebug, "request refused", attrs...)
}

// forward is one request's passage: the Exchange that decides where it goes,
// and an httputil.ReverseProxy that carries it there. They are made together
// and used again, so that a request needs no closure and no context value to
// find its own state.
type forward struct {
	proxy *Proxy
	Exchange
	carrier httputil.ReverseProxy
	writer  http.ResponseWriter
	body    *replayBody   // of this request alone: a backend may answer while it is still sent
	strip   *Route        // whose prefix is to be removed from the path; nil if none is
	status  int           // of the response head; 0: there is none yet
	logged  *accessWriter // nil: there is no access log
}

func newForward(p *Proxy) *forward {
	f := &forward{proxy: p}
	f.carrier = httputil.ReverseProxy{
		Rewrite:      f.rewrite,
		Transport:    f,
		ErrorHandler: f.fail,
		ErrorLog:     p.errorLog,
		BufferPool:   copyBuffers,
	}
	return f
}

func (f *forward) serve(w http.ResponseWriter, r *http.Request, snapshot *Snapshot, route *Route) {
	f.start(f.proxy.registry, &f.proxy.patience, snapshot, route.Service, r, &f.proxy.forwarded)
	f.writer, f.status, f.strip = w, 0, nil
	if route.Strip() {
		f.strip = route
	}
	defer func() { // also when the client leaves and httputil panics with http.ErrAbortHandler
		f.service.traffic.count(f.status, time.Since(f.began))
		if f.logged != nil {
			f.logged.note(&f.Exchange)
		}
		f.finish()
		f.body, f.writer, f.strip, f.logged = nil, nil, nil, nil
		f.proxy.forwards.Put(f)
	}()
	if r.ContentLength != 0 {
		// A backend may answer before it has read all of the body.
		http.NewResponseController(w).EnableFullDuplex() // an error: HTTP/2, which always is
	}
	// A response without a Content-Type stays without: net/http would guess one.
	w.Header()["Content-Type"] = nil
	f.carrier.ServeHTTP(w, r)
	if r.ContentLength != 0 && f.status != http.StatusSwitchingProtocols && !f.body.ended() {
		// net/http panics when it finds the body's end after the handler's own (Go
		// issue 68560). The client may wait for the answer before it sends the rest.
		http.NewResponseController(w).Flush()
		r.Body.Close()
	}
}

// rewrite makes the request that the backend gets: the client's own, byte for
// byte in path and query, with forwarding fields that can be believed.
func (f *forward) rewrite(pr *httputil.ProxyRequest) {
	out := pr.Out
	out.URL.Scheme, out.URL.Host = "http", pr.In.Host
	// Not url.URL's idea of the path, which escapes anew what it finds odd, and
	// not httputil's of the query, which drops what it can't parse.
	path, query, hasQuery := strings.Cut(rawTarget(pr.In), "?")
	f.proxy.forwarded.set(out.Header, pr.In)
	if f.strip != nil {
		path = stripPrefix(path, f.strip.Path)
		out.Header["X-Forwarded-Prefix"] = []string{f.strip.prefix}
	}
	out.URL.Opaque, out.URL.RawQuery, out.URL.ForceQuery = path, query, hasQuery
	out.Trailer = pr.In.Trailer // filled while the body is read; httputil's copy would stay empty
	if out.Body != nil && out.Body != http.NoBody {
		length := pr.In.ContentLength
		f.body = newReplayBody(out.Body, length, f.idempotent || length > 0 && length <= unseenLimit)
		out.Body = f.body
	}
}

// rawTarget returns path and query as the client sent them.
func rawTarget(r *http.Request) string {
	target := r.RequestURI
	if strings.HasPrefix(target, "/") {
		return target
	}
	if _, rest, absolute := strings.Cut(target, "://"); absolute {
		slash := strings.IndexAny(rest, "/?")
		switch {
		case slash < 0:
			return "/"
		case rest[slash] == '?':
			return "/" + rest[slash:]
		}
		return rest[slash:]
	}
	return target
}

// RoundTrip sends the request to one backend after another, until one answers
// or none is left that it may go to.
func (f *forward) RoundTrip(req *http.Request) (*http.Response, error) {
	for {
		backend, err := f.Next(req.Context())
		if err != nil {
			return nil, err
		}
		res, err := backend.RoundTrip(req)
		if err == nil {
			f.Answered(res.StatusCode)
			f.status = res.StatusCode
			if f.logged != nil && f.status == http.StatusSwitchingProtocols {
				f.logged.headCame(f.status) // it does not go through the writer
			}
			if cookie := f.service.Lead.Sticky; cookie != "" {
				stick(res.Header, cookie, f.token, backend)
			}
			f.handOver(res)
			return res, nil
		}
		var failure *http1.Error
		if !errors.As(err, &failure) || !f.Failed(failure, f.bodyLost(failure)) {
			return nil, err
		}
		f.body.rewind()
	}
}

// bodyLost tells whether the request's body can't be sent from its beginning
// again.
func (f *forward) bodyLost(failure *http1.Error) bool {
	return failure.BodyTaken && (failure.BodyBusy || !f.body.whole())
}

// fail answers a request that no backend answered.
func (f *forward) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // there is no one to answer
	}
	a := answerFor(err)
	f.status = a.status
	a.write(w, r)
	f.proxy.logRefused(r, f.service.Name, a, err)
}

// answerFor chooses the answer to a request that failed.
func answerFor(err error) *answer {
	var failure *http1.Error
	switch {
	case errors.Is(err, errNoBackend), errors.Is(err, errHoldFull):
		return answerNoBackend
	case !errors.As(err, &failure):
		return answerBackendFailed // httputil's own checks of an upgrade
	case failure.Kind == http1.Timeout:
		return answerBackendTimeout
	case failure.Kind == http1.Refused, failure.Kind == http1.Body:
		return answerBadRequest
	}
	return answerBackendFailed
}

// replayBody keeps what was read of a request's body, up to replayLimit, so
// that the request can be sent again.
type replayBody struct {
	source   io.ReadCloser
	kept     bytes.Buffer
	position int         // of the next Read in kept
	over     bool        // not all that was read is kept: it was more than replayLimit, or not to be
	atEnd    atomic.Bool // source has no more; read by another goroutine than the one that reads source
}

// replayLimit is the size in bytes up to which a body can be sent again. Larger
// uploads are mostly POSTs, which can't be anyway, unless it is certain that no
// backend saw them: that is rare, so those are kept only up to unseenLimit.
const (
	replayLimit = 64 << 10
	unseenLimit = 32 << 10
)

// newReplayBody takes a body, its length, -1 if that is not known, and whether it
// may be sent again at all.
func newReplayBody(source io.ReadCloser, length int64, again bool) *replayBody {
	b := &replayBody{source: source, over: length > replayLimit || !again}
	if length > 0 && !b.over {
		b.kept.Grow(int(length))
	}
	return b
}

// whole tells whether everything that was read is kept; of no body, nothing is.
func (b *replayBody) whole() bool { return b != nil && !b.over }

// ended tells whether the client has sent all of the body, and it was read.
func (b *replayBody) ended() bool { return b != nil && b.atEnd.Load() }

func (b *replayBody) rewind() {
	if b != nil {
		b.position = 0
	}
}

func (b *replayBody) Read(p []byte) (int, error) {
	if kept := b.kept.Bytes()[min(b.position, b.kept.Len()):]; len(kept) > 0 && !b.over {
		n := copy(p, kept)
		b.position += n
		return n, nil
	}
	n, err := b.source.Read(p)
	if err == io.EOF {
		b.atEnd.Store(true)
	}
	if !b.over {
		if b.kept.Len()+n > replayLimit {
			b.over = true
			b.kept = bytes.Buffer{}
		} else {
			b.kept.Write(p[:n])
			b.position += n
		}
	}
	return n, err
}

func (b *replayBody) Close() error { return b.source.Close() }

// copyBuffers are the buffers that response bodies pass through.
var copyBuffers = &bufferPool{}

const copyBufferSize = 32 << 10

type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[copyBufferSize]byte); ok {
		return b[:]
	}
	return make([]byte, copyBufferSize)
}

func (p *bufferPool) Put(b []byte) { p.pool.Put((*[copyBufferSize]byte)(b)) }
