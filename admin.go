package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// Admin is the listener for operators and their programs: the API (/v1), metrics,
// probes.
type Admin struct {
	handler   http.Handler
	registry  *Registry
	registrar *Registrar
	watch     *Watch
	leaving   atomic.Bool
}

// NewAdmin returns the admin listener's handler, to be put behind a Guard. Run must
// be called for /v1/watch to tell of changes.
func NewAdmin(registry *Registry, registrar *Registrar, metrics *Metrics) *Admin {
	a := &Admin{registry: registry, registrar: registrar, watch: NewWatch(registry, registrar)}
	mux := http.NewServeMux()
	methods := map[string][]string{} // by path
	for _, e := range a.endpoints(metrics) {
		mux.Handle(e.method+" "+e.path, e.handler)
		methods[e.path] = append(methods[e.path], e.method)
	}
	for path, allowed := range methods {
		if slices.Contains(allowed, http.MethodGet) {
			allowed = append(allowed, http.MethodHead)
		}
		mux.Handle(path, a.otherMethod(allowed))
	}
	mux.HandleFunc("/v1/", a.unknownPath)
	a.handler = mux
	return a
}

// endpoint is one thing that can be asked of the admin listener.
type endpoint struct {
	method, path string // as http.ServeMux takes them
	handler      http.Handler
}

// endpoints are all that there are; openapi.json describes each.
func (a *Admin) endpoints(metrics *Metrics) []endpoint {
	return []endpoint{
		{"GET", "/livez", http.HandlerFunc(a.livez)},
		{"GET", "/readyz", http.HandlerFunc(a.readyz)},
		{"GET", "/metrics", metrics.Handler()},
		{"GET", "/v1/services", http.HandlerFunc(a.services)},
		{"GET", "/v1/services/{name}", http.HandlerFunc(a.service)},
		{"GET", "/v1/backends", http.HandlerFunc(a.backends)},
		{"POST", "/v1/backends/{container}/drain", http.HandlerFunc(a.drain)},
		{"POST", "/v1/backends/{container}/undrain", http.HandlerFunc(a.undrain)},
		{"GET", "/v1/containers", http.HandlerFunc(a.containers)},
		{"GET", "/v1/why", http.HandlerFunc(a.why)},
		{"GET", "/v1/engine", http.HandlerFunc(a.engine)},
		{"GET", "/v1/events", http.HandlerFunc(a.events)},
		{"GET", "/v1/traffic", http.HandlerFunc(a.traffic)},
		{"GET", "/v1/watch", a.watch},
		{"GET", "/v1/prometheus", http.HandlerFunc(a.prometheus)},
		{"GET", "/v1/openapi.json", http.HandlerFunc(a.openapi)},
	}
}

func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// Run tells the watchers of changes until ctx is done, and then ends their
// answers.
func (a *Admin) Run(ctx context.Context) error { return a.watch.Run(ctx) }

// Leave makes /readyz say no from now on.
func (a *Admin) Leave() { a.leaving.Store(true) }

func (a *Admin) livez(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

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

func (a *Admin) unknownPath(w http.ResponseWriter, r *http.Request) {
	a.refuse(w, r, http.StatusNotFound, fmt.Sprintf("the API has no %s; /v1/openapi.json describes what it has", r.URL.Path))
}

// otherMethod answers a request for a known path with a method that it does not
// have.
func (a *Admin) otherMethod(allowed []string) http.Handler {
	list := strings.Join(allowed, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", list)
		a.refuse(w, r, http.StatusMethodNotAllowed, fmt.Sprintf("%s does not take %s, only %s", r.URL.Path, r.Method, list))
	})
}

// refuse answers a request that can't be fulfilled, in the API's form where that
// was asked.
func (a *Admin) refuse(w http.ResponseWriter, r *http.Request, status int, problem string) {
	if !strings.HasPrefix(r.URL.Path, "/v1/") {
		http.Error(w, problem, status)
		return
	}
	writeJSON(w, status, a.registry.Snapshot().Version, problemView{problem})
}
