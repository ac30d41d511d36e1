package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// newHandler answers requests as cfg says; closing stopping ends the event
// streams, which would hold up the shutdown for ever.
func newHandler(cfg config, stopping <-chan struct{}) http.Handler {
	slow := func(answer http.HandlerFunc) http.HandlerFunc {
		if cfg.answerDelay == 0 {
			return answer
		}
		return func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(cfg.answerDelay):
				answer(w, r)
			case <-r.Context().Done():
			}
		}
	}
	hello := slow(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "Hello from %s\n", cfg.hostname)
	})
	events := slow(func(w http.ResponseWriter, r *http.Request) {
		streamEvents(w, r, cfg.hostname, stopping)
	})
	echo := slow(echo)

	// No ServeMux: it answers a path such as //a or /a/../b with a redirect, and
	// hello has to answer what it was really asked.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Hello", cfg.hostname)
		switch r.URL.Path {
		case "/healthz":
			io.WriteString(w, "ok")
		case "/echo":
			echo(w, r)
		case "/events":
			events(w, r)
		default:
			hello(w, r)
		}
	})
}

func echo(w http.ResponseWriter, r *http.Request) {
	kind := r.Header.Get("Content-Type")
	if kind == "" {
		// Else net/http would guess one from the bytes.
		kind = "application/octet-stream"
	}
	w.Header().Set("Content-Type", kind)
	if r.ContentLength >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	// Without this, net/http stops reading the body once the answer has begun.
	// HTTP/2 always works this way, and says that it doesn't support the call.
	_ = http.NewResponseController(w).EnableFullDuplex()
	if _, err := io.Copy(w, r.Body); err != nil {
		// The client must see that the echo is cut short, not a whole answer.
		panic(http.ErrAbortHandler)
	}
}

// streamEvents sends an event at once and then one each second, until the client
// goes or stopping is closed.
func streamEvents(w http.ResponseWriter, r *http.Request, hostname string, stopping <-chan struct{}) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		if _, err := fmt.Fprintf(w, "data: %s %d\n\n", hostname, n); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-stopping:
			return
		}
	}
}
