package main

import (
	"html"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// answer is a response of rollcall's own, in place of a backend's. It says what
// to do, and never what a client should not know: names and addresses of
// containers.
type answer struct {
	status int
	code   string // of the field Rollcall-Error
	text   string // a sentence or two
	retry  int    // seconds, for Retry-After; 0: no such field
}

var (
	answerNoRoute = &answer{http.StatusNotFound, "no-route",
		"No service answers to this host and path. On the Docker host, `rollcall why` with this URL tells what is missing.", 0}
	answerEmpty = &answer{http.StatusServiceUnavailable, "no-backend",
		"No backend entry in the service registry. Start a container with a rollcall label or of an --image; `rollcall check` tells what is found.", 1}
	answerNoBackend = &answer{http.StatusServiceUnavailable, "no-backend",
		"The service has no usable backend at the moment. On the Docker host, `rollcall why` with this URL tells what its containers do.", 1}
	answerBackendFailed = &answer{http.StatusBadGateway, "backend-failed",
		"The service broke the connection before it answered. Its own log tells why.", 0}
	answerBackendTimeout = &answer{http.StatusGatewayTimeout, "backend-timeout",
		"The service did not answer in time. Its own log tells why; the label rollcall.timeout gives it longer.", 0}
	answerAmbiguous = &answer{http.StatusBadRequest, "bad-request",
		"This path can be read as one of several services. Send it without a .. in it, in whatever spelling.", 0}
	answerBadRequest = &answer{http.StatusBadRequest, "bad-request",
		"The request is malformed, or its body did not arrive whole.", 0}
)

// write sends the answer: text, or a small page to a client that prefers HTML.
func (a *answer) write(w http.ResponseWriter, r *http.Request) {
	body, contentType := a.text+"\n", "text/plain; charset=utf-8"
	if prefersHTML(r) {
		body, contentType = a.page(), "text/html; charset=utf-8"
	}
	header := w.Header()
	header.Set("Rollcall-Error", a.code)
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	if a.retry > 0 {
		header.Set("Retry-After", strconv.Itoa(a.retry))
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		io.WriteString(w, body)
	}
}

// prefersHTML tells a browser from a program: only the former names text/html.
func prefersHTML(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

func (a *answer) page() string {
	title := strconv.Itoa(a.status) + " " + http.StatusText(a.status)
	return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>` + title + `</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:38em;margin:15vh auto;padding:0 1em}</style>
<h1>` + title + `</h1>
<p>` + html.EscapeString(a.text) + `</p>
<p><small>rollcall: ` + a.code + `</small></p>
</html>
`
}
