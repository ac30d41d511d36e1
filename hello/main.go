// Command hello is the demo service that rollcall sends requests to. It answers
// who it is, so that one can see which container a request reached.
//
//	/         Hello from HOSTNAME (every path and method without a line of its own)
//	/healthz  ok
//	/echo     the request's body
//	/events   an event stream: the hostname and a counter, once a second
//
// Every answer carries the header X-Hello: HOSTNAME. On SIGTERM or SIGINT hello
// stops accepting connections, finishes the requests in flight and exits; a
// second signal ends it at once.
//
// The environment makes it a slow starter, a slow stopper or a slow server:
//
//	HELLO_PORT          port to listen on (8080)
//	HELLO_START_DELAY   time before it listens (0s)
//	HELLO_STOP_DELAY    least time between the signal and the exit (0s)
//	HELLO_ANSWER_DELAY  time before each answer except /healthz (0s)
//
// "hello healthcheck" asks the hello of the same environment for /healthz and
// exits 0 or 1: its image holds no other program that could ask.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// headerTimeout bounds how long a client may take to send a request's head.
const headerTimeout = 10 * time.Second

// healthTimeout is below the interval at which the image's HEALTHCHECK asks.
const healthTimeout = time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default action is back, for the second.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		if _, ok := errors.AsType[usageError](err); ok {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

// A usageError says that the arguments or the environment were wrong.
type usageError string

func (e usageError) Error() string { return string(e) }

func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	cfg, err := configFrom(getenv)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 0:
	case len(args) == 1 && args[0] == "healthcheck":
		return healthcheck(ctx, cfg)
	default:
		return usageError(fmt.Sprintf("unknown arguments %q: there is only \"healthcheck\"", args))
	}

	select {
	case <-ctx.Done():
		return nil
	case <-time.After(cfg.startDelay):
	}
	ln, err := net.Listen("tcp", ":"+cfg.port)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "hello: listening on", ln.Addr())
	return serve(ctx, ln, cfg)
}

// serve answers on ln until ctx ends, then finishes what is in flight and waits
// for the rest of the stop delay. How long that may take is the engine's affair:
// it kills a container that doesn't stop in time.
func serve(ctx context.Context, ln net.Listener, cfg config) error {
	srv := &http.Server{
		Handler:           newHandler(cfg, ctx.Done()),
		ReadHeaderTimeout: headerTimeout,
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	delay := time.After(cfg.stopDelay)
	err := srv.Shutdown(context.Background())
	<-served
	<-delay
	return err
}

func healthcheck(ctx context.Context, cfg config) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	url := "http://" + net.JoinHostPort("127.0.0.1", cfg.port) + "/healthz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// A transport of its own, because the default one obeys HTTP_PROXY.
	resp, err := new(http.Transport).RoundTrip(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return nil
}

// config is what the environment says.
type config struct {
	hostname    string
	port        string
	startDelay  time.Duration
	stopDelay   time.Duration
	answerDelay time.Duration
}

func configFrom(getenv func(string) string) (config, error) {
	cfg := config{port: "8080"}
	if port := getenv("HELLO_PORT"); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return config{}, usageError(fmt.Sprintf("HELLO_PORT=%q is not a port: want 0 to 65535", port))
		}
		cfg.port = port
	}
	var err error
	if cfg.startDelay, err = delayFrom(getenv, "HELLO_START_DELAY"); err != nil {
		return config{}, err
	}
	if cfg.stopDelay, err = delayFrom(getenv, "HELLO_STOP_DELAY"); err != nil {
		return config{}, err
	}
	if cfg.answerDelay, err = delayFrom(getenv, "HELLO_ANSWER_DELAY"); err != nil {
		return config{}, err
	}
	cfg.hostname, err = os.Hostname()
	return cfg, err
}

func delayFrom(getenv func(string) string, name string) (time.Duration, error) {
	value := getenv(name)
	if value == "" {
		return 0, nil
	}
	delay, err := time.ParseDuration(value)
	if err != nil || delay < 0 {
		return 0, usageError(fmt.Sprintf("%s=%q is not a delay: want a duration such as 500ms, 2s or 1m", name, value))
	}
	return delay, nil
}
