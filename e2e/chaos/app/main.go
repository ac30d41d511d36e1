// Command app is the service behind rollcall in the chaos program. It is made for
// being observed: every answer names the request that it is for, so that mixed up
// answers show, and tells how long after its first listening moment the first
// request came.
//
//	/events     an event stream: a counter, each 100 ms, "event: bye" at the end
//	/websocket  echoes each message, 1001 at the end
//	any other   METHOD PATH CRC-32-OF-BODY; ?delay=20ms answers that much later
//
// On SIGTERM it goes on for CHAOS_GRACE, so that what is on its way is answered
// while others learn that it ends. Then it stops accepting, closes idle connections
// and finishes what it has. Without a grace it is hasty: net/http drops a request that
// it has read just before. Streams live on until CHAOS_STOP_DELAY has passed: whoever
// ends them earlier was not the app.
//
//	CHAOS_START_DELAY  time before it listens on port 8080 (0s)
//	CHAOS_GRACE        time between the signal and the end of listening (0s)
//	CHAOS_STOP_DELAY   least time between the signal and the exit (0s)
//	CHAOS_VERSION      sent as X-Version, to tell images apart
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	startDelay, err := time.ParseDuration(cmp.Or(os.Getenv("CHAOS_START_DELAY"), "0s"))
	if err != nil {
		return err
	}
	stopDelay, err := time.ParseDuration(cmp.Or(os.Getenv("CHAOS_STOP_DELAY"), "0s"))
	if err != nil {
		return err
	}
	grace, err := time.ParseDuration(cmp.Or(os.Getenv("CHAOS_GRACE"), "0s"))
	if err != nil {
		return err
	}
	a := &app{version: os.Getenv("CHAOS_VERSION"), bye: make(chan struct{})}
	if a.hostname, err = os.Hostname(); err != nil {
		return err
	}
	a.dialWitness()
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(startDelay):
	}
	a.listening = time.Now()
	listener, err := net.Listen("tcp", ":8080")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: a}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	time.AfterFunc(stopDelay, func() { close(a.bye) })
	select {
	case err := <-served:
		return err
	case <-time.After(grace):
	}
	err = server.Shutdown(context.Background())
	<-a.bye
	a.upgraded.Wait() // Shutdown does not know of them
	return err
}

type app struct {
	hostname  string
	version   string
	listening time.Time      // its first listening moment
	first     atomic.Int64   // nanoseconds from then to the first request, 0: none came yet
	bye       chan struct{}  // closed when streams are to end
	upgraded  sync.WaitGroup // WebSockets
	witness   *net.UnixConn  // nil where nobody listens
}

// dialWitness opens the socket on which POSTs are reported. It outlives the
// container, which its own memory does not.
func (a *app) dialWitness() {
	addr := &net.UnixAddr{Name: "/witness/socket", Net: "unixgram"}
	if conn, err := net.DialUnix("unixgram", nil, addr); err == nil {
		a.witness = conn
	}
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.first.CompareAndSwap(0, int64(time.Since(a.listening)))
	if r.Method == http.MethodPost && a.witness != nil {
		fmt.Fprintf(a.witness, "%s %s", r.URL.Path, a.hostname)
	}
	w.Header().Set("X-From", a.hostname)
	w.Header().Set("X-Version", a.version)
	w.Header().Set("X-First-Request", time.Duration(a.first.Load()).String())
	switch r.URL.Path {
	case "/events":
		a.events(w, r)
	case "/websocket":
		a.websocket(w, r)
	default:
		a.answer(w, r)
	}
}

func (a *app) answer(w http.ResponseWriter, r *http.Request) {
	sum := crc32.NewIEEE()
	if _, err := io.Copy(sum, r.Body); err != nil {
		panic(http.ErrAbortHandler) // a part must not look like the whole
	}
	if delay, err := time.ParseDuration(r.URL.Query().Get("delay")); err == nil {
		time.Sleep(delay)
	}
	w.Header().Set("X-Request", r.Method+" "+r.URL.Path)
	fmt.Fprintf(w, "%s %s %08x\n", r.Method, r.URL.Path, sum.Sum32())
}

func (a *app) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		fmt.Fprintf(w, "data: %d\n\n", n)
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-a.bye:
			io.WriteString(w, "event: bye\ndata:\n\n")
			return
		}
	}
}

func (a *app) websocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has answered
	}
	a.upgraded.Add(1)
	defer a.upgraded.Done()
	defer conn.CloseNow()
	ended := make(chan error, 1)
	go func() { ended <- echo(conn) }()
	select {
	case <-ended:
	case <-a.bye:
		conn.Close(websocket.StatusGoingAway, "bye")
	}
}

func echo(conn *websocket.Conn) error {
	for {
		kind, message, err := conn.Read(context.Background())
		if err != nil {
			return err
		}
		if err := conn.Write(context.Background(), kind, message); err != nil {
			return errors.Join(err, conn.CloseNow())
		}
	}
}
