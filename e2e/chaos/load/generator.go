// Package load sends requests at a fixed rate, whatever becomes of them, and
// keeps streams open. A generator that waits for answers asks less just when the
// other side is slow, and so hides what its users would see; here each request has
// its time, and its latency counts from that.
package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Generator is an open loop of requests to one address.
type Generator struct {
	client  client
	rate    int // requests a second
	run     string
	aim     atomic.Pointer[aim] // nil: send nothing
	flying  atomic.Int64
	ended   sync.WaitGroup
	mu      sync.Mutex // guards the following field
	results []Outcome
}

// aim is where requests go.
type aim struct {
	host string
	step int
	get  bool // nothing but GET on kept-alive connections
}

// most bounds the requests in flight: 15 seconds' worth at 1,000 a second.
const most = 15000

// Timeout is how long after its time a request must have its answer.
const Timeout = 30 * time.Second

// New returns a generator of requests to addr, "127.0.0.1:80". run is part of
// each request's path, so that generators can be told apart.
func New(addr, run string, rate int) *Generator {
	body := make([]byte, bodySizes[len(bodySizes)-1])
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	return &Generator{client: client{addr: addr, timeout: Timeout, body: body}, rate: rate, run: run}
}

// Aim makes the requests from now on go to a host, and count for a step.
func (g *Generator) Aim(host string, step int) { g.aim.Store(&aim{host: host, step: step}) }

// AimGet is Aim with GETs on kept-alive connections only.
func (g *Generator) AimGet(host string, step int) {
	g.aim.Store(&aim{host: host, step: step, get: true})
}

// Rest stops sending, and waits until what is in flight is answered, or ctx is
// done.
func (g *Generator) Rest(ctx context.Context) {
	g.aim.Store(nil)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for g.flying.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Run sends until ctx is done and returns when all requests have ended, which
// takes at most Timeout.
func (g *Generator) Run(ctx context.Context) {
	defer g.client.close()
	defer g.ended.Wait()
	interval := time.Second / time.Duration(g.rate)
	began := time.Now()
	for n := 0; ; n++ {
		intended := began.Add(time.Duration(n) * interval)
		// What is late is sent at once, without a pause: its time was earlier.
		if wait := time.Until(intended); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
		}
		if ctx.Err() != nil {
			return
		}
		if aim := g.aim.Load(); aim != nil {
			g.send(aim, n, intended)
		}
	}
}

func (g *Generator) send(aim *aim, n int, intended time.Time) {
	o := Outcome{Kind: mix[n%len(mix)], Step: aim.step, Intended: intended, Path: fmt.Sprintf("/%s/%d", g.run, n)}
	if aim.get {
		o.Kind = Get
	}
	if g.flying.Add(1) > most {
		g.flying.Add(-1)
		o.Failure = "not sent: too many in flight"
		g.note(o)
		return
	}
	o.asked = delays[n/len(mix)%len(delays)]
	if aim.get {
		o.asked = 0
	}
	g.ended.Go(func() {
		defer g.flying.Add(-1)
		g.client.do(&o, aim.host, bodySizes[n/len(mix)%len(bodySizes)])
		o.Latency = max(0, time.Since(o.Intended)-o.asked)
		g.note(o)
	})
}

func (g *Generator) note(o Outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.results = append(g.results, o)
}

// Outcomes returns what became of the requests so far.
func (g *Generator) Outcomes() []Outcome {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.results[:len(g.results):len(g.results)]
}
