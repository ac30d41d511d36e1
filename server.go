package main

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is an HTTP server on one listener, with bounds on what a slow or
// greedy client can hold.
type Server struct {
	Handler  http.Handler
	Listener net.Listener
	Watches  bool            // Handler calls watchClient for what lasts; else a request's context ends with its client's leaving by itself
	Drain    time.Duration   // at most this long for requests in flight at the end
	ErrorLog *log.Logger     // for net/http: malformed requests and the like
	OnStop   func()          // called when the end begins; nil: nothing
	Upgraded *sync.WaitGroup // connections taken over by an upgrade, to wait for as well; nil: none
}

const (
	headTimeout  = 10 * time.Second  // for a whole request head
	idleTimeout  = 120 * time.Second // between two requests on a connection; longer than the common client's 90 s
	maxHeadBytes = 64 << 10          // of a request head
)

// Run serves until ctx is done; then it accepts no more connections, tells
// clients to close theirs, and returns when the requests in flight are answered,
// or cuts them off after Drain.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler:           s.Handler,
		ErrorLog:          s.ErrorLog,
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeadBytes,
	}
	listener := s.Listener
	if s.Watches {
		listener, server.ConnContext = clientListener{listener}, withClient
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err // before its time: the listener broke
	case <-ctx.Done():
	}
	if s.OnStop != nil {
		s.OnStop()
	}
	server.SetKeepAlivesEnabled(false)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Drain)
	defer cancel()
	err := server.Shutdown(bounded)
	if err == nil && s.Upgraded != nil {
		err = waitFor(bounded, s.Upgraded)
	}
	if err != nil {
		server.Close() // what is left has had its time
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// waitFor waits for group or the end of ctx.
func waitFor(ctx context.Context, group *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
