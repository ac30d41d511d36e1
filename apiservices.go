package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// serviceView is a service as the API shows it.
type serviceView struct {
	Name     string        `json:"name"`
	Routes   []routeView   `json:"routes"` // by host and path
	Balance  string        `json:"balance"`
	Sticky   string        `json:"sticky"` // name of the cookie, "" for none
	Oldest   time.Time     `json:"oldest"` // when its oldest container was created
	Healthy  int           `json:"healthy"`
	Backends []backendView `json:"backends"` // by age
}

type routeView struct {
	Host     string `json:"host"` // a name, "*.NAME", "*", or "" for hosts that nobody claims
	Path     string `json:"path"`
	Priority int    `json:"priority"`
	Strip    bool   `json:"strip"`
	Text     string `json:"text"` // host and path in one, for people
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
	Weight      int       `json:"weight"`
	InFlight    int64     `json:"in_flight"`
	Requests    uint64    `json:"requests"`
	Failures    uint64    `json:"failures"`
}

func newBackendView(m Member, engine string) backendView {
	return backendView{
		Service: m.Service, ContainerID: m.ContainerID, Container: m.Name, Engine: engine, Address: m.Address(),
		State: m.State, Reason: m.Reason, Since: m.Since.UTC(), Weight: m.Weight,
		InFlight: m.InFlight(), Requests: m.Requests(), Failures: m.Failures(),
	}
}

func newServiceView(s *Service, routes []*Route, engine string) serviceView {
	view := serviceView{
		Name: s.Name, Routes: []routeView{}, Balance: s.Lead.Balance, Sticky: s.Lead.Sticky, Oldest: time.Unix(s.Oldest, 0).UTC(),
		Backends: make([]backendView, len(s.Members)),
	}
	for _, r := range routes {
		if r.Service == s {
			view.Routes = append(view.Routes, routeView{Host: r.Host, Path: r.Path, Priority: r.Priority, Strip: r.Strip(), Text: r.String()})
		}
	}
	for i, m := range s.Members {
		view.Backends[i] = newBackendView(m, engine)
		if m.State == Healthy {
			view.Healthy++
		}
	}
	return view
}

// newServiceViews shows all services of a snapshot, by name.
func newServiceViews(snapshot *Snapshot, engine string) []serviceView {
	views, routes := []serviceView{}, snapshot.Routes()
	for _, s := range snapshot.Services() {
		// Both lists are sorted by service, so each route is looked at once.
		n := 0
		for n < len(routes) && routes[n].Service == s {
			n++
		}
		views = append(views, newServiceView(s, routes[:n], engine))
		routes = routes[n:]
	}
	return views
}

func (a *Admin) services(w http.ResponseWriter, r *http.Request) {
	snapshot := a.registry.Snapshot()
	writeTaggedJSON(w, r, snapshot.Version, newServiceViews(snapshot, a.registrar.Roll().Engine))
}

func (a *Admin) service(w http.ResponseWriter, r *http.Request) {
	snapshot := a.registry.Snapshot()
	name := r.PathValue("name")
	s := snapshot.Service(name)
	if s == nil {
		writeJSON(w, http.StatusNotFound, snapshot.Version, problemView{fmt.Sprintf("no service has the name %q; /v1/services lists them", name)})
		return
	}
	writeTaggedJSON(w, r, snapshot.Version, newServiceView(s, snapshot.Routes(), a.registrar.Roll().Engine))
}

func (a *Admin) backends(w http.ResponseWriter, r *http.Request) {
	snapshot := a.registry.Snapshot()
	views := make([]backendView, snapshot.Len())
	for i, m := range snapshot.Members() {
		views[i] = newBackendView(m, a.registrar.Roll().Engine)
	}
	writeTaggedJSON(w, r, snapshot.Version, views)
}

func (a *Admin) drain(w http.ResponseWriter, r *http.Request) {
	a.change(w, r, func(id string) { a.registry.Drain(id, "it was drained by hand") })
}

func (a *Admin) undrain(w http.ResponseWriter, r *http.Request) {
	a.change(w, r, func(id string) { a.registry.Undrain(id) })
}

// change changes one container's backends, and answers with what they are then.
func (a *Admin) change(w http.ResponseWriter, r *http.Request, change func(containerID string)) {
	id, err := findContainer(a.registry.List(), r.PathValue("container"))
	if err != nil {
		a.refuse(w, r, http.StatusNotFound, err.Error())
		return
	}
	change(id)
	views := []backendView{}
	snapshot := a.registry.Snapshot()
	for _, m := range snapshot.Members() {
		if m.ContainerID == id {
			views = append(views, newBackendView(m, a.registrar.Roll().Engine))
		}
	}
	writeJSON(w, http.StatusOK, snapshot.Version, views)
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
