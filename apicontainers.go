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
	Advice   string   `json:"advice"` // how to make it a backend, "" if it is one or the reason says it
	Warnings []string `json:"warnings"`
	Backends []string `json:"backends"` // the services that it is a backend of
}

func newContainerView(v *Verdict, conflicts []Conflict) containerView {
	view := containerView{ID: v.ContainerID, Name: v.Name, Used: v.Used, Reason: v.Reason, Warnings: append([]string{}, v.Warnings...), Backends: []string{}}
	if !v.Used {
		view.Advice = adviceOnUnused(v)
	}
	for _, entry := range v.Entries {
		view.Backends = append(view.Backends, entry.Service)
		for _, conflict := range conflicts {
			if conflict.Loser == entry.Service {
				view.Warnings = append(view.Warnings, conflict.String())
			}
		}
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
		views = append(views, newContainerView(&verdicts[i], snapshot.Conflicts))
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
