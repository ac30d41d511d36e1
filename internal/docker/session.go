package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/docker/docker/api"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
)

// minAPI is the oldest API version that has all that List needs, and the
// oldest that the SDK speaks.
const minAPI = api.MinSupportedAPIVersion

// maxAPI is the newest API version that the SDK speaks.
const maxAPI = api.DefaultVersion

var apiVersion = regexp.MustCompile(`^[0-9]{1,4}\.[0-9]{1,4}$`)

// staleError marks a failure of a session that was made earlier: the engine may
// have been restarted, upgraded or downgraded since.
type staleError struct{ cause error }

func (e *staleError) Error() string { return e.cause.Error() }
func (e *staleError) Unwrap() error { return e.cause }

// A session is one SDK client with one negotiated API version, and the
// connections that were opened for it. It is over when the engine closes one of
// them, or when none is open any more: from then on nobody knows whether the
// same engine is behind the endpoint. A call that has begun before may still be
// sent on a new connection, by the transport: with the old version, which the
// engine either speaks, or refuses, and then there is a second attempt.
type session struct {
	sdk       *client.Client
	transport *http.Transport

	mu    sync.Mutex // guards the following fields
	conns int        // open connections
	over  bool
}

// newSession makes a session without any I/O on the network.
func (c *Client) newSession() (*session, error) {
	s := &session{transport: &http.Transport{
		MaxIdleConnsPerHost: 4, // concurrent Inspects
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: c.timeout,
	}}
	var err error
	s.sdk, err = client.NewClientWithOpts(
		client.WithHTTPClient(&http.Client{Transport: s.transport}),
		client.WithHost(c.endpoint.host), // also sets the transport's dialer and proxy for it
		client.WithHTTPClient(&http.Client{Transport: s, CheckRedirect: client.CheckRedirect}),
		client.WithScheme(c.endpoint.scheme()),
		client.WithVersion(c.endpoint.version),
		client.WithUserAgent("rollcall"),
	)
	if err != nil {
		return nil, badHost(c.endpoint.host, err.Error())
	}
	if s.transport.TLSClientConfig, err = c.endpoint.tlsConfig(); err != nil {
		return nil, err
	}
	s.transport.DialContext = s.tracked(c.dialer(s.transport.DialContext))
	return s, nil
}

// dialer returns what opens connections to the endpoint; sdk is the SDK's way.
func (c *Client) dialer(sdk dialFunc) dialFunc {
	ep := c.endpoint
	switch {
	case c.dial != nil:
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			if ep.proto != "tcp" {
				network, addr = ep.proto, ep.addr
			}
			return c.dial(ctx, network, addr)
		}
	case ep.proto == "tcp":
		// An event stream is silent for hours on a quiet engine. Keepalive is
		// what tells that from an engine that lost power: after 75 s.
		d := &net.Dialer{Timeout: c.timeout, KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4,
		}}
		return d.DialContext
	default:
		return sdk
	}
}

// connect returns the session at hand, or makes one: fresh says which.
// Concurrent calls may each make one, so that none waits for another's I/O; the
// first to be ready stays.
func (c *Client) connect(ctx context.Context) (s *session, fresh bool, err error) {
	c.mu.Lock()
	s = c.session
	c.mu.Unlock()
	if c.life.Err() != nil {
		return nil, false, ErrClosed
	}
	if s != nil && !s.isOver() {
		return s, false, nil
	}

	if s, err = c.newSession(); err != nil {
		return nil, true, err
	}
	if err := s.negotiate(ctx); err != nil {
		s.transport.CloseIdleConnections()
		return nil, true, err
	}
	c.mu.Lock()
	spare := c.session
	if spare != nil && !spare.isOver() {
		spare, s = s, spare
	}
	c.session = s
	c.mu.Unlock()
	if spare != nil {
		spare.transport.CloseIdleConnections()
	}
	if c.life.Err() != nil { // closed in the meantime
		c.drop(s)
		return nil, true, ErrClosed
	}
	return s, true, nil
}

// drop forgets the session, or whichever there is if s is nil. Calls that are
// under way on it may finish, a Watch too: the engine that they talk to has not
// hung up on them.
func (c *Client) drop(s *session) {
	c.mu.Lock()
	if s == nil {
		s = c.session
	}
	if c.session == s {
		c.session = nil
	}
	c.mu.Unlock()
	if s != nil {
		s.transport.CloseIdleConnections()
	}
}

// negotiate settles the API version: the newest that both sides speak, or what
// DOCKER_API_VERSION says.
func (s *session) negotiate(ctx context.Context) error {
	ping, err := s.sdk.Ping(ctx)
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	switch v := ping.APIVersion; {
	case v == "":
		// Engines before 1.13 don't say. The SDK then takes the oldest that it
		// speaks, and the engine says so if it is older still.
	case !apiVersion.MatchString(v):
		return malformed(fmt.Sprintf("ping: API version %q", v))
	case versions.LessThan(v, minAPI):
		return &versionError{engine: v}
	}
	s.sdk.NegotiateAPIVersionPing(ping)
	return nil
}

// RoundTrip implements http.RoundTripper. It stands between SDK and transport,
// because the SDK replaces some transport errors by a text of its own and loses
// what went wrong: a failure gets out only as a roundTripError, which it keeps.
func (s *session) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.transport.RoundTrip(r)
	if err != nil {
		return nil, &roundTripError{err}
	}
	if answered, ok := r.Context().Value(answeredKey{}).(func()); ok && resp.StatusCode == http.StatusOK {
		answered()
	}
	return resp, nil
}

// answeredKey is the context key of a func() that is called when the head of a
// good answer has arrived: the SDK's Events doesn't tell.
type answeredKey struct{}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// tracked makes connections that tell the session of their end.
func (s *session) tracked(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, &dialError{err}
		}
		s.mu.Lock()
		s.conns++
		s.mu.Unlock()
		return &trackedConn{Conn: conn, session: s}, nil
	}
}

func (s *session) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

func (s *session) finish() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
}

func (s *session) connClosed() {
	s.mu.Lock()
	s.conns--
	s.over = s.over || s.conns == 0
	s.mu.Unlock()
}

type trackedConn struct {
	net.Conn
	session *session
	closing sync.Once
}

func (c *trackedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	// The transport reads idle connections too, so the end of an engine is
	// known before the next call. What it closes itself is not such an end.
	if err != nil && !errors.Is(err, net.ErrClosed) {
		c.session.finish()
	}
	return n, err
}

func (c *trackedConn) Close() error {
	c.closing.Do(c.session.connClosed)
	return c.Conn.Close()
}
