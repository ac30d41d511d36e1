package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Admin is the listener for operators and their programs.
type Admin struct {
	handler   http.Handler
	registry  *Registry
	registrar *Registrar
	leaving   atomic.Bool
}

// NewAdmin returns the admin listener's handler.
func NewAdmin(registry *Registry, registrar *Registrar, metrics *Metrics) *Admin {
	a := &Admin{registry: registry, registrar: registrar}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("GET /v1/backends", a.backends)
	mux.HandleFunc("GET /v1/containers", a.containers)
	mux.HandleFunc("GET /v1/why", a.why)
	mux.HandleFunc("POST /v1/backends/{container}/drain", a.drain)
	mux.HandleFunc("POST /v1/backends/{container}/undrain", a.undrain)
	mux.Handle("GET /metrics", metrics.Handler())
	// A web page that an operator has open must not drain backends.
	a.handler = http.NewCrossOriginProtection().Handler(mux)
	return a
}

func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

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

// backendView is a backend as the API shows it.
type backendView struct {
	Service     string    `json:"service"`
	ContainerID string    `json:"container_id"`
	Container   string    `json:"container"`
	Engine      string    `json:"engine"`
	Address     string    `json:"address"` // "" while it has none
	State       State     `json:"state"`
	Reason      string    `json:"reason"`
	Since       time.Time `json:"since"`
	InFlight    int64     `json:"in_flight"`
	Requests    uint64    `json:"requests"`
	Failures    uint64    `json:"failures"`
}

func newBackendView(m Member, engine string) backendView {
	return backendView{
		Service: m.Service, ContainerID: m.ContainerID, Container: m.Name, Engine: engine, Address: m.Address(),
		State: m.State, Reason: m.Reason, Since: m.Since.UTC(),
		InFlight: m.InFlight(), Requests: m.Requests(), Failures: m.Failures(),
	}
}

func (a *Admin) backends(w http.ResponseWriter, _ *http.Request) {
	snapshot := a.registry.Snapshot()
	views := make([]backendView, len(snapshot.Members))
	for i, m := range snapshot.Members {
		views[i] = newBackendView(m, a.registrar.Roll().Engine)
	}
	writeJSON(w, http.StatusOK, snapshot.Version, views)
}

// containerView is a container as the API shows it: what rollcall makes of it.
type containerView struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Used     bool     `json:"used"`
	Reason   string   `json:"reason"`
	Advice   string   `json:"advice"` // what would make it a backend; "" if it is one
	Warnings []string `json:"warnings"`
	Backends []string `json:"backends"` // the services that it is a backend of

	Services []containerServiceView `json:"services"` // the same, with how it is reached for each
}

func (a *Admin) containers(w http.ResponseWriter, _ *http.Request) {
	snapshot := a.registry.Snapshot()
	views := []containerView{}
	for _, v := range a.registrar.Roll().Verdicts {
		view := containerView{ID: v.ContainerID, Name: v.Name, Used: v.Used, Reason: v.Reason, Advice: v.Advice,
			Warnings: sentences(v.Warnings), Backends: []string{}, Services: newContainerServiceViews(snapshot, &v)}
		for _, entry := range v.Entries {
			view.Backends = append(view.Backends, entry.Service)
			view.Warnings = append(view.Warnings, snapshot.disputes(entry.Service, v.Name)...)
		}
		views = append(views, view)
	}
	slices.SortFunc(views, func(a, b containerView) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	writeJSON(w, http.StatusOK, snapshot.Version, views)
}

func (a *Admin) why(w http.ResponseWriter, r *http.Request) {
	explainer := Explainer{a.registry.Snapshot(), a.registrar.Roll()}
	target := r.URL.Query().Get("target")
	if target == "" {
		writeJSON(w, http.StatusBadRequest, explainer.Snapshot.Version, problemView{"the parameter target is missing: a URL, a host or a container"})
		return
	}
	writeJSON(w, http.StatusOK, explainer.Snapshot.Version, explainer.Explain(target))
}

func (a *Admin) drain(w http.ResponseWriter, r *http.Request) {
	a.change(w, r, func(id string) { a.registry.Drain(id, "it was drained by hand") })
}

func (a *Admin) undrain(w http.ResponseWriter, r *http.Request) {
	a.change(w, r, func(id string) { a.registry.Undrain(id) })
}

// change changes one container's backends, and answers with what they are then.
func (a *Admin) change(w http.ResponseWriter, r *http.Request, change func(containerID string)) {
	word := r.PathValue("container")
	id, err := findContainer(a.registry.List(), word)
	if err != nil {
		writeJSON(w, http.StatusNotFound, a.registry.Snapshot().Version, problemView{err.Error()})
		return
	}
	change(id)
	views := []backendView{}
	for _, m := range a.registry.Lookup(id) {
		views = append(views, newBackendView(m, a.registrar.Roll().Engine))
	}
	writeJSON(w, http.StatusOK, a.registry.Snapshot().Version, views)
}

// findContainer returns the ID of the backend's container that a word means:
// its name, its ID, or the beginning of its ID.
func findContainer(members []Member, word string) (id string, err error) {
	for _, m := range members {
		switch {
		case m.Name == word, m.ContainerID == word:
			return m.ContainerID, nil
		case word != "" && strings.HasPrefix(m.ContainerID, word):
			if id != "" && id != m.ContainerID {
				return "", fmt.Errorf("%q is the beginning of more than one container's ID; give more of it", word)
			}
			id = m.ContainerID
		}
	}
	if id == "" {
		return "", fmt.Errorf("no backend's container has the name or ID %q; `rollcall ps` lists them", word)
	}
	return id, nil
}

// problemView is the answer to a request that can't be fulfilled.
type problemView struct {
	Error string `json:"error"`
}

// writeJSON answers with a value and the version of the snapshot it is of.
func writeJSON(w http.ResponseWriter, status int, version uint64, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Rollcall-Version", strconv.FormatUint(version, 10))
	w.WriteHeader(cmp.Or(status, http.StatusOK))
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.Encode(value) // an error is a client that left
}
