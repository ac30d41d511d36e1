package main

import (
	"cmp"
	"net/http"
	"time"
)

// engineView is the engine as the API shows it.
type engineView struct {
	Engine       string     `json:"engine"` // its endpoint
	Good         bool       `json:"good"`   // the last poll succeeded
	Error        string     `json:"error"`  // why it did not
	Since        *time.Time `json:"since"`  // when that began; null before the first poll has ended
	LastGoodPoll *time.Time `json:"last_good_poll"`
	Age          *float64   `json:"age"`      // of the last good poll, in seconds
	Interval     float64    `json:"interval"` // between two polls, in seconds; a much greater age is worth a look
}

func newEngineView(registrar *Registrar, now time.Time) engineView {
	roll := registrar.Roll()
	view := engineView{Engine: roll.Engine, Good: true, Interval: registrar.interval.Seconds()}
	if err := cmp.Or(roll.Err, roll.ready()); err != nil {
		view.Good, view.Error = false, err.Error()
	}
	if !roll.Since.IsZero() {
		since := roll.Since.UTC()
		view.Since = &since
	}
	if !roll.At.IsZero() {
		at, age := roll.At.UTC(), now.Sub(roll.At).Seconds()
		view.LastGoodPoll, view.Age = &at, &age
	}
	return view
}

func (a *Admin) engine(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, a.registry.Snapshot().Version, newEngineView(a.registrar, time.Now()))
}

// events answers with the last changes, oldest first.
func (a *Admin) events(w http.ResponseWriter, r *http.Request) {
	version := a.registry.Snapshot().Version
	writeTaggedJSON(w, r, version, a.registry.History().Events())
}
