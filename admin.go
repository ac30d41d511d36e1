package main

import (
	"fmt"
	"net/http"
	"sync/atomic"
)

// Admin is the listener for operators and their programs.
type Admin struct {
	mux       *http.ServeMux
	registrar *Registrar
	leaving   atomic.Bool
}

// NewAdmin returns the admin listener's handler.
func NewAdmin(registrar *Registrar) *Admin {
	a := &Admin{mux: http.NewServeMux(), registrar: registrar}
	a.mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	a.mux.HandleFunc("GET /readyz", a.readyz)
	return a
}

func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Leave makes /readyz say no from now on.
func (a *Admin) Leave() { a.leaving.Store(true) }

// readyz answers yes once a first poll has succeeded. The proxy listens before
// that. An engine that is lost later does not make rollcall unready: it goes on
// with the last roll.
func (a *Admin) readyz(w http.ResponseWriter, _ *http.Request) {
	if a.leaving.Load() {
		http.Error(w, "not ready: rollcall is stopping", http.StatusServiceUnavailable)
		return
	}
	if err := a.registrar.Ready(); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
