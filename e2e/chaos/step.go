package main

import (
	"time"

	"rollcall/e2e/lab"
)

// Step is one thing that happens to containers while requests go to them.
type Step struct {
	Name     string
	Service  string // that the requests go to
	Replicas int    // running at the beginning and at the end
	Abrupt   bool   // containers end without a warning, or fall silent
	Hasty    bool   // containers close their connections the moment they are told to stop
	Long     bool   // not for the short form
	Do       func(*Ground, lab.T, *Step)

	// What happened.
	Number   int
	Began    time.Time
	Ended    time.Time
	Problems []string // what went wrong with the step itself
	Torn     []string // streams to its own containers that ended otherwise than by a goodbye
	Byes     int      // streams that its containers ended themselves
}
