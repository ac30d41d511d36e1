package load

import "time"

// Outcome is what became of one request.
type Outcome struct {
	Kind     Kind
	Step     int           // the number given to Aim when it was to start
	Intended time.Time     // when it was to start, by the fixed rate
	Latency  time.Duration // from Intended to the end of the answer, without what the app was asked to take
	Path     string        // names the request
	Status   int           // 0: no answer came
	Failure  string        // a few words; "" if it is as it should be

	From         string        // the container that answered
	FirstRequest time.Duration // from its first listening moment to its first request

	asked time.Duration // how long the app is to take
}
