package main

import "net/http"

// targetView is a group of targets in the form of Prometheus's http_sd_configs.
// Its labels can be used in relabel_configs.
type targetView struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// newTargetViews shows the backends that have an address, whatever their state: a
// target that fails is something to see.
func newTargetViews(snapshot *Snapshot, engine string) []targetView {
	views := []targetView{}
	for _, m := range snapshot.Members() {
		address := m.Address()
		if address == "" {
			continue
		}
		views = append(views, targetView{Targets: []string{address}, Labels: map[string]string{
			"__meta_rollcall_service":      m.Service,
			"__meta_rollcall_container":    m.Name,
			"__meta_rollcall_container_id": m.ContainerID,
			"__meta_rollcall_engine":       engine,
			"__meta_rollcall_state":        m.State.String(),
			"__meta_rollcall_scheme":       m.Scheme,
		}})
	}
	return views
}

func (a *Admin) prometheus(w http.ResponseWriter, r *http.Request) {
	snapshot := a.registry.Snapshot()
	writeTaggedJSON(w, r, snapshot.Version, newTargetViews(snapshot, a.registrar.Roll().Engine))
}
