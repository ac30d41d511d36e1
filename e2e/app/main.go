// Command app is the service behind rollcall in tests: what hello does, and more
// that only tests ask for. It takes hello's environment.
//
//	/             Hello from HOSTNAME; ?delay=2s answers that much later
//	/healthz      ok; POST /healthz?status=503 makes it fail from then on
//	/echo         the request's body
//	/request      the request's method, target and fields, as they came
//	/events       an event stream: the hostname and a counter, each 100 ms
//	/websocket    echoes each message
//	/hold         begins an answer, and ends it when someone asks for /release
//	/image        APP_IMAGE
//
// Every answer carries X-Hello: HOSTNAME and X-Port: the port it was asked on.
//
//	HELLO_PORT          ports to listen on, a comma list (8080)
//	HELLO_START_DELAY   time before it listens (0s)
//	HELLO_STOP_DELAY    least time between the signal and the exit (0s)
//	HELLO_ANSWER_DELAY  time before each answer except /healthz (0s)
//	APP_HEALTH          status of /healthz at the start (200)
//	APP_IMAGE           what /image says
//	APP_IP              address to listen on (all)
//
// "service healthcheck" asks the first port for /healthz and exits 0 or 1.
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
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	ports := strings.Split(variable("HELLO_PORT", "8080"), ",")
	if len(args) > 0 && args[0] == "healthcheck" {
		return healthcheck(ctx, ports[0])
	}
	a := &app{stopping: ctx.Done(), release: make(chan struct{})}
	var err error
	if a.hostname, err = os.Hostname(); err != nil {
		return err
	}
	if a.answerDelay, err = time.ParseDuration(variable("HELLO_ANSWER_DELAY", "0s")); err != nil {
		return err
	}
	startDelay, err := time.ParseDuration(variable("HELLO_START_DELAY", "0s"))
	if err != nil {
		return err
	}
	stopDelay, err := time.ParseDuration(variable("HELLO_STOP_DELAY", "0s"))
	if err != nil {
		return err
	}
	status, err := strconv.Atoi(variable("APP_HEALTH", "200"))
	if err != nil {
		return err
	}
	a.health.Store(int64(status))

	select {
	case <-ctx.Done():
		return nil
	case <-time.After(startDelay):
	}
	server := &http.Server{Handler: a}
	for _, port := range ports {
		listener, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("APP_IP"), port))
		if err != nil {
			return err
		}
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				fmt.Fprintln(os.Stderr, "app:", err)
			}
		}()
	}
	<-ctx.Done()
	delay := time.After(stopDelay)
	err = server.Shutdown(context.Background())
	a.websockets.Wait() // the server has forgotten them
	<-delay
	return err
}

func variable(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func healthcheck(ctx context.Context, port string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/healthz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

type app struct {
	hostname    string
	answerDelay time.Duration
	stopping    <-chan struct{} // ends streams, which would hold up the shutdown for ever
	health      atomic.Int64    // status of /healthz
	release     chan struct{}   // gets a value for each /hold that may end
	websockets  sync.WaitGroup
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Hello", a.hostname)
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		_, port, _ := net.SplitHostPort(addr.String())
		w.Header().Set("X-Port", port)
	}
	if r.URL.Path == "/healthz" {
		a.healthz(w, r)
		return
	}
	delay := a.answerDelay
	if longer, err := time.ParseDuration(r.URL.Query().Get("delay")); err == nil {
		delay = longer
	}
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return
	}
	switch r.URL.Path {
	case "/echo":
		echo(w, r)
	case "/request":
		fmt.Fprintf(w, "%s %s\nHost: %s\n", r.Method, r.RequestURI, r.Host)
		_ = r.Header.Write(w)
	case "/events":
		a.events(w, r)
	case "/websocket":
		a.websocket(w, r)
	case "/hold":
		a.hold(w, r)
	case "/release":
		select {
		case a.release <- struct{}{}:
		case <-r.Context().Done():
		}
	case "/image":
		io.WriteString(w, os.Getenv("APP_IMAGE"))
	default:
		fmt.Fprintf(w, "Hello from %s\n", a.hostname)
	}
}

func (a *app) healthz(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		status, err := strconv.Atoi(r.URL.Query().Get("status"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a.health.Store(int64(status))
		return
	}
	w.WriteHeader(int(a.health.Load()))
	io.WriteString(w, "ok")
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	_ = http.NewResponseController(w).EnableFullDuplex() // else what is sent while it reads is lost
	if _, err := io.Copy(w, r.Body); err != nil {
		panic(http.ErrAbortHandler) // a part must not look like the whole
	}
}

func (a *app) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		fmt.Fprintf(w, "data: %s %d\n\n", a.hostname, n)
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-a.stopping:
			return
		}
	}
}

func (a *app) hold(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "held\n")
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	select {
	case <-a.release:
		io.WriteString(w, "released\n")
	case <-r.Context().Done():
	}
}

func (a *app) websocket(w http.ResponseWriter, r *http.Request) {
	a.websockets.Add(1)
	defer a.websockets.Done()
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	ctx, cancel := context.WithCancel(context.Background())
	closing := make(chan struct{})
	go func() {
		defer close(closing)
		select {
		case <-a.stopping:
			conn.Close(websocket.StatusGoingAway, "stopping")
		case <-ctx.Done():
		}
	}()
	defer func() {
		cancel()
		<-closing // its close frame goes out before the program ends
	}()
	for {
		kind, message, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if err := conn.Write(ctx, kind, message); err != nil {
			return
		}
	}
}
