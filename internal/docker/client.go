// Package docker is a read-only client of a Docker Engine: it lists
// containers, inspects them (cached per container ID) and follows the engine's
// events. It speaks in engine words only and knows nothing of what its caller
// makes of them.
//
// It stands on the official SDK and adds what a daemon that runs for months
// needs: a deadline on each call, an API version that is negotiated again at
// each reconnection (so that the engine may be upgraded or downgraded in
// between), answers that are checked before they are believed, and errors that
// say in one line what is wrong and what to do.
package docker

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// ErrClosed is the cause of the error of each call on a closed Client.
var ErrClosed = errors.New("the client is closed")

// ErrNotFound is the cause of Inspect's error when the engine knows no such
// container (any more).
var ErrNotFound = errors.New("no such container")

const defaultTimeout = 10 * time.Second

// Options says where the engine is. The zero value means what the docker
// command means by no options.
type Options struct {
	// Host is the endpoint: unix:///path, tcp://host:port or, on Windows,
	// npipe:////./pipe/name. Empty means DOCKER_HOST or the SDK's default. For
	// tcp, DOCKER_TLS_VERIFY, DOCKER_TLS and DOCKER_CERT_PATH have the meaning
	// that they have for the docker command.
	Host string

	// Timeout is the deadline of one call, connecting included. 0 means 10 s.
	// Watch has it only for opening its stream.
	Timeout time.Duration

	// Dial opens a connection to the engine: network and addr are those of
	// the endpoint ("unix" and a path, "tcp" and host:port). nil means the
	// SDK's own way. It is for tests.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Opened, if not nil, is called each time when Watch has opened its
	// stream, before the first event. Events from before are lost, so this is
	// the moment to list. Like Watch's on, it must not block.
	Opened func()
}

// A Client talks to one engine. It is safe for concurrent use and has no
// goroutine of its own.
type Client struct {
	endpoint endpoint
	timeout  time.Duration
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	opened   func()

	// life ends with Close. It is in the struct because calls that are under
	// way have to end then, whatever context they came with.
	life context.Context
	end  context.CancelFunc

	// mu guards the following fields. It is never held across I/O.
	mu      sync.Mutex
	session *session // nil before the first call and after each failure
	configs map[string]Config
}

// New returns a client for the engine that the options name. It does no
// network I/O: the engine need not run. The error names the value that is bad.
func New(o Options) (*Client, error) {
	ep, err := newEndpoint(o.Host)
	if err != nil {
		return nil, err
	}
	c := &Client{
		endpoint: ep,
		timeout:  o.Timeout,
		dial:     o.Dial,
		opened:   o.Opened,
		configs:  make(map[string]Config),
	}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	// A session is made here and thrown away, so that everything that can be
	// known to be wrong without the network (certificates, socket path) is said
	// now and not in the first poll.
	if _, err := c.newSession(); err != nil {
		return nil, err
	}
	c.life, c.end = context.WithCancel(context.Background())
	return c, nil
}

// Close ends the calls that are under way and closes all connections. Calls
// after it fail with ErrClosed. It does not wait for anything and always
// returns nil.
func (c *Client) Close() error {
	c.end()
	c.drop(nil)
	return nil
}

// List returns all containers that the engine has, running or not, in the
// engine's order. The slices inside are sorted and belong to the caller. An
// answer that is cut off, malformed or null is an error, never an empty list.
func (c *Client) List(ctx context.Context) ([]Container, error) {
	var list []Container
	err := c.call(ctx, "list containers", func(ctx context.Context, s *session) error {
		summaries, err := s.sdk.ContainerList(ctx, container.ListOptions{All: true})
		if err != nil {
			return err
		}
		list, err = newContainers(summaries)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Inspect returns what cannot change in the life of the container with this
// full ID. The engine is asked once per ID; see Forget. If the engine has no
// such container, errors.Is(err, ErrNotFound).
func (c *Client) Inspect(ctx context.Context, id string) (Config, error) {
	c.mu.Lock()
	cached, ok := c.configs[id]
	c.mu.Unlock()
	if ok {
		cached.Exposed = slices.Clone(cached.Exposed)
		return cached, nil
	}

	var inspected container.InspectResponse
	var config Config
	err := c.call(ctx, "inspect container "+short(id), func(ctx context.Context, s *session) error {
		var err error
		if inspected, err = s.sdk.ContainerInspect(ctx, id); err != nil {
			return err
		}
		config, err = newConfig(inspected)
		return err
	})
	if err != nil {
		return Config{}, err
	}
	// A name or a short ID may mean another container tomorrow.
	if inspected.ID == id {
		c.mu.Lock()
		c.configs[id] = config
		c.mu.Unlock()
		config.Exposed = slices.Clone(config.Exposed)
	}
	return config, nil
}

// Forget drops the cached configs of all IDs for which keep is false.
func (c *Client) Forget(keep func(id string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.configs {
		if !keep(id) {
			delete(c.configs, id)
		}
	}
}

// Version says which engine this is and which API version is spoken with it.
type Version struct {
	Engine string // release of the engine, e.g. "28.5.2"
	API    string // negotiated API version, e.g. "1.51"
	MaxAPI string // newest that the engine speaks
	MinAPI string // oldest that the engine speaks; "" = it doesn't say
	OS     string // "linux", "windows"
	Arch   string // "amd64", …
}

// Version asks the engine for its version.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var v Version
	err := c.call(ctx, "ask for the version", func(ctx context.Context, s *session) error {
		answer, err := s.sdk.ServerVersion(ctx)
		if err != nil {
			return err
		}
		if answer.Version == "" {
			return malformed("the answer has no version")
		}
		v = Version{
			Engine: answer.Version,
			API:    s.sdk.ClientVersion(),
			MaxAPI: answer.APIVersion,
			MinAPI: answer.MinAPIVersion,
			OS:     answer.Os,
			Arch:   answer.Arch,
		}
		return nil
	})
	return v, err
}

// call does one request with a deadline, on the session at hand or on a new one.
func (c *Client) call(parent context.Context, what string, do func(context.Context, *session) error) error {
	ctx, cancel := c.within(parent)
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, c.timeout)
	defer stop()

	err := c.attempt(ctx, do)
	var stale *staleError
	if errors.As(err, &stale) && ctx.Err() == nil {
		err = c.attempt(ctx, do)
	}
	if err != nil {
		return c.explain(parent, ctx, what, err)
	}
	return nil
}

// attempt does one request. It returns a staleError if it may have failed because
// the session is older than what the engine is now: then a second attempt, on a
// new session, is due.
func (c *Client) attempt(ctx context.Context, do func(context.Context, *session) error) error {
	s, fresh, err := c.connect(ctx)
	if err != nil {
		return err
	}
	err = do(ctx, s)
	if err == nil || cerrdefs.IsNotFound(err) {
		return err
	}
	// Whatever it was, the next call begins anew: dials the socket's path, not
	// the inode that was behind it, and negotiates the API version in both
	// directions, which the SDK does once per client and only downwards.
	c.drop(s)
	if !fresh && (client.IsErrConnectionFailed(err) || isVersionRefused(err)) {
		return &staleError{err}
	}
	return err
}

// within derives a context that also ends when the client is closed.
func (c *Client) within(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	stop := context.AfterFunc(c.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// short is an ID as the docker command prints it.
func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
