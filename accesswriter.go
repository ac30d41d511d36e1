package main

import (
	"io"
	"net/http"
	"time"
)

// accessWriter is the ResponseWriter of a request that will be logged.
type accessWriter struct {
	http.ResponseWriter
	log   *AccessLog
	entry accessEntry
}

// begin returns the writer for a request. end must follow.
func (l *AccessLog) begin(w http.ResponseWriter, r *http.Request) *accessWriter {
	return &accessWriter{ResponseWriter: w, log: l, entry: accessEntry{began: time.Now(), request: r}}
}

// note takes over what the exchange knows at its end.
func (w *accessWriter) note(x *Exchange) {
	w.entry.service, w.entry.retries = x.service.Name, x.retries
	backend := x.backend
	if backend == nil && len(x.tried) > 0 {
		backend = x.tried[len(x.tried)-1].backend
	}
	if backend != nil {
		w.entry.backend = short(backend.ContainerID)
	}
}

// headCame notes the answer's head; what comes after it is none.
func (w *accessWriter) headCame(status int) {
	if w.entry.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.entry.status, w.entry.firstByte = status, time.Since(w.entry.began)
	}
}

// end logs the request.
func (w *accessWriter) end() {
	e := &w.entry
	e.total = time.Since(e.began)
	e.client = w.log.client(e.request).String()
	if e.status == 0 {
		e.status = statusLeft
	}
	w.log.write(e)
}

// WriteHeader is of http.ResponseWriter.
func (w *accessWriter) WriteHeader(status int) {
	w.headCame(status)
	w.ResponseWriter.WriteHeader(status)
}

// Write is of http.ResponseWriter.
func (w *accessWriter) Write(p []byte) (int, error) {
	w.headCame(http.StatusOK) // nothing, if a head was written
	n, err := w.ResponseWriter.Write(p)
	w.entry.bytes += int64(n)
	return n, err
}

// ReadFrom lets a body go from socket to socket, as it does without a log.
func (w *accessWriter) ReadFrom(r io.Reader) (int64, error) {
	w.headCame(http.StatusOK)
	n, err := io.Copy(w.ResponseWriter, r)
	w.entry.bytes += n
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *accessWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
