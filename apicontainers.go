package main

import (
	"cmp"
	"net/http"
	"slices"
)

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

func newContainerView(v *Verdict, snapshot *Snapshot) containerView {
	view := containerView{ID: v.ContainerID, Name: v.Name, Used: v.Used, Reason: v.Reason, Advice: v.Advice,
		Warnings: sentences(v.Warnings), Backends: []string{}, Services: newContainerServiceViews(snapshot, v)}
	for _, entry := range v.Entries {
		view.Backends = append(view.Backends, entry.Service)
		view.Warnings = append(view.Warnings, snapshot.disputes(entry.Service, v.Name)...)
	}
	slices.Sort(view.Backends)
	return view
}

// containers answers with every container that the engine lists, by name.
func (a *Admin) containers(w http.ResponseWriter, r *http.Request) {
	snapshot := a.registry.Snapshot()
	views := []containerView{}
	verdicts := a.registrar.Roll().Verdicts
	for i := range verdicts {
		views = append(views, newContainerView(&verdicts[i], snapshot))
	}
	slices.SortFunc(views, func(a, b containerView) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	writeTaggedJSON(w, r, snapshot.Version, views)
}

func (a *Admin) why(w http.ResponseWriter, r *http.Request) {
	explainer := Explainer{a.registry.Snapshot(), a.registrar.Roll()}
	target := r.URL.Query().Get("target")
	if target == "" {
		a.refuse(w, r, http.StatusBadRequest, "the parameter target is missing: a URL, a host or a container")
		return
	}
	writeTaggedJSON(w, r, explainer.Snapshot.Version, explainer.Explain(target))
}
