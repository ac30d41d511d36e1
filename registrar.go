package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/internal/docker"
)

// Engine is what a registrar needs of a Docker Engine: *docker.Client.
type Engine interface {
	Host() string
	Local() bool
	HostIP(ctx context.Context) (netip.Addr, error)
	List(ctx context.Context) ([]docker.Container, error)
	Inspect(ctx context.Context, id string) (docker.Config, error)
	StartedAt(ctx context.Context, id string) (time.Time, error)
	Forget(keep func(id string) bool)
	Watch(ctx context.Context, on func(docker.Event)) error
}

// Registrar calls the roll: it polls an engine's containers and tells the
// registry what runs (third-party registration). The poll is the truth; events
// only make it come sooner, and say at once what a list does not show: that a
// container was told to stop. While the engine does not answer, the last roll
// stays.
type Registrar struct {
	engine   Engine
	registry *Registry
	rules    Rules
	interval time.Duration // between two polls
	log      *slog.Logger
	wake     chan struct{}                                      // holds one wish for a poll before the tick
	polled   func(engine string, took time.Duration, err error) // counts polls; set before Run
	turned   func()                                             // told that the engine is lost or back; set before Run

	roll atomic.Pointer[Roll] // never nil

	clients Clients // where connections to the proxy come from

	told   map[string]Verdict     // as logged last, by container ID; owned by poll
	window func() []hostInterface // rollcall's own addresses
}

// Roll is what the last polls brought.
type Roll struct {
	Engine   string    // its endpoint
	At       time.Time // of the last good poll; zero before the first
	Verdicts []Verdict // of that poll, in the engine's order
	Self     string    // ID of rollcall's own container, see Vantage
	Err      error     // why the last poll failed, nil if it was good
	Since    time.Time // when Err began or ended
}

// NewRegistrar returns a registrar that polls engine each interval once Run is
// called.
func NewRegistrar(engine Engine, registry *Registry, rules Rules, interval time.Duration, log *slog.Logger) *Registrar {
	r := &Registrar{
		engine:   engine,
		registry: registry,
		rules:    rules,
		interval: interval,
		log:      log.With("engine", engine.Host()),
		wake:     make(chan struct{}, 1),
		told:     map[string]Verdict{},
		polled:   func(string, time.Duration, error) {},
		turned:   func() {},
	}
	r.window = func() []hostInterface {
		interfaces, err := hostInterfaces()
		if err != nil {
			r.log.Warn(err.Error())
		}
		return interfaces
	}
	r.roll.Store(&Roll{Engine: engine.Host()})
	return r
}

// Roll returns what the last polls brought. It is never nil and never changes.
func (r *Registrar) Roll() *Roll { return r.roll.Load() }

// settleTime bounds how often events cause polls: a burst of them (compose up)
// ends in a few polls, and a single one is answered at once. It does not grow with
// the time that a poll takes: an engine that starts a container may hold the list
// back until it runs, and the next poll is the one that is waited for.
const settleTime = 20 * time.Millisecond

// Run polls at each tick and after each event until ctx is done. A poll that
// takes longer than the interval delays the next one; they never pile up.
func (r *Registrar) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(ctx) })
	defer watching.Wait()

	tick := time.NewTicker(r.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.poll(ctx)
		case <-r.wake:
			r.poll(ctx)
			sleep(ctx, settleTime)
		}
	}
}

// poll calls the roll once. An error changes nothing but Roll().Err.
func (r *Registrar) poll(ctx context.Context) error {
	began := time.Now()
	roll, vantage, err := callRoll(ctx, r.engine, &r.rules, r.window())
	if ctx.Err() != nil {
		return ctx.Err() // the end of rollcall says nothing about the engine
	}
	last, now := r.Roll(), time.Now()
	r.polled(last.Engine, now.Sub(began), err)
	if err != nil {
		news := last.Err == nil || last.Err.Error() != err.Error()
		if news {
			r.log.Error("engine does not answer, the last roll stays", "error", err, "backends", r.registry.Len())
			r.registry.History().add(Event{Time: now, Kind: eventEngineLost, Reason: err.Error()})
		}
		failed := &Roll{Engine: last.Engine, At: last.At, Verdicts: last.Verdicts, Self: last.Self, Err: err, Since: last.Since}
		if last.Err == nil {
			failed.Since = now
		}
		r.roll.Store(failed)
		if news {
			r.turned()
		}
		return err
	}
	next := &Roll{Engine: last.Engine, At: now, Verdicts: roll, Since: last.Since, Self: vantage.Self}
	back := last.Err != nil || last.At.IsZero()
	if back {
		next.Since = now
		r.registry.History().add(Event{Time: now, Kind: eventEngineBack, Reason: fmt.Sprintf("it lists %d containers", len(roll))})
	}
	switch {
	case last.Err != nil:
		r.log.Info("engine answers again", "after", now.Sub(last.Since).Round(time.Millisecond), "containers", len(roll))
	case last.At.IsZero():
		r.log.Info("engine answers", "containers", len(roll))
	}
	r.clients.remark(vantage, roll)
	r.tell(roll)
	var entries []Entry
	for _, v := range roll {
		entries = append(entries, v.Entries...)
	}
	r.registry.Replace(r.engine.Host(), entries)
	r.confirmStopping(ctx)
	r.roll.Store(next)
	if back {
		r.turned()
	}
	return nil
}

// callRoll asks an engine for all its containers, and judges each. It also returns
// where rollcall stands among them.
func callRoll(ctx context.Context, engine Engine, rules *Rules, interfaces []hostInterface) ([]Verdict, *Vantage, error) {
	containers, err := engine.List(ctx)
	if err != nil {
		return nil, nil, err
	}
	var engineIP netip.Addr
	if !engine.Local() {
		if engineIP, err = engine.HostIP(ctx); err != nil {
			return nil, nil, err
		}
	}
	vantage := newVantage(containers, interfaces, engine.Local(), engineIP)
	verdicts := make([]Verdict, 0, len(containers))
	for _, c := range containers {
		var config docker.Config
		if rules.needsConfig(c) {
			config, err = engine.Inspect(ctx, c.ID)
			if errors.Is(err, docker.ErrNotFound) {
				continue // removed since it was listed
			}
			if err != nil {
				return nil, nil, fmt.Errorf("container %s: %w", c.Name, err)
			}
		}
		verdicts = append(verdicts, rules.judge(c, config, vantage))
	}
	engine.Forget(func(id string) bool { _, known := vantage.containers[id]; return known })
	return verdicts, vantage, nil
}

// needsConfig tells whether the list alone can't settle a verdict. Of most
// containers of a host rollcall never asks more than the list.
func (r *Rules) needsConfig(c docker.Container) bool {
	if looksLikeID(c.Image) {
		return true
	}
	rule, _ := r.choose(c, docker.Config{})
	return rule.chosen
}

// tell logs each container's warnings when they change, not at each poll.
func (r *Registrar) tell(verdicts []Verdict) {
	for _, v := range verdicts {
		last, known := r.told[v.ContainerID]
		if known && last.Reason == v.Reason && slices.Equal(last.Warnings, v.Warnings) {
			continue
		}
		r.told[v.ContainerID] = v
		log := r.log.With("container", v.Name, "id", short(v.ContainerID))
		switch {
		case v.Used:
			log.Debug("container "+v.Reason, "service", v.services())
		case v.Wanted:
			log.Warn("container "+v.Reason, "advice", v.Advice)
		default:
			log.Debug("container " + v.Reason)
		}
		for _, warning := range v.Warnings {
			log.Warn(warning.Text, "service", v.services(), "advice", warning.Advice)
		}
	}
	if len(r.told) == len(verdicts) {
		return
	}
	present := make(map[string]bool, len(verdicts))
	for _, v := range verdicts {
		present[v.ContainerID] = true
	}
	maps.DeleteFunc(r.told, func(id string, _ Verdict) bool { return !present[id] })
}

// watch keeps an event stream open until ctx is done. The ticks go on without
// one, so its loss is only a matter of speed.
func (r *Registrar) watch(ctx context.Context) {
	const first, longest = 100 * time.Millisecond, 5 * time.Second
	backoff := first
	for ctx.Err() == nil {
		opened := time.Now()
		err := r.engine.Watch(ctx, func(e docker.Event) { r.on(ctx, e) })
		if ctx.Err() != nil {
			return
		}
		if time.Since(opened) > longest {
			backoff = first
		}
		r.log.Debug("event stream ended, polls go on", "error", err, "again_in", backoff)
		sleep(ctx, backoff)
		backoff = min(2*backoff, longest)
	}
}

// Wake makes the next poll come at once. Wishes that come before it are one.
func (r *Registrar) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// on takes one event. What it says is acted upon at once only where waiting for
// the poll would cost requests; the poll that it causes is the truth.
func (r *Registrar) on(ctx context.Context, e docker.Event) {
	switch e.Action {
	case "kill":
		r.stopping(ctx, e)
	case "die":
		r.registry.Died(e.ID, e.Time, r.within(e, engineStopTimeout))
	case "start":
		r.registry.Restarted(e.ID, e.Time)
	case "destroy":
		r.registry.Remove(e.ID)
	}
	r.Wake()
}

const (
	// engineStopTimeout is how long an engine waits between the stop signal and
	// SIGKILL where nothing else was said; stopSlack is what it needs for that.
	engineStopTimeout = 10 * time.Second
	stopSlack         = 2 * time.Second
)

// stopping takes a kill event: the list will say "running" until the process
// has ended, which may be long after it stopped to accept connections.
func (r *Registrar) stopping(ctx context.Context, e docker.Event) {
	if len(r.registry.Lookup(e.ID)) == 0 {
		return
	}
	config, err := r.engine.Inspect(ctx, e.ID) // cached since the poll that found it
	if err != nil || !endsContainer(e.Signal, config) {
		return
	}
	timeout := config.StopTimeout
	if timeout <= 0 {
		timeout = engineStopTimeout
	}
	r.registry.Stopping(e.ID, "it was sent "+e.Signal+" and is stopping", e.Time, r.within(e, timeout+stopSlack))
}

// within is the time by rollcall's clock until which an event counts. On one
// host it counts from when it happened, however late it came; another host's
// clock may be anything.
func (r *Registrar) within(e docker.Event, timeout time.Duration) time.Time {
	if r.engine.Local() {
		return e.Time.Add(timeout)
	}
	return time.Now().Add(timeout)
}

// endsContainer tells whether a signal means the end of a container: its own
// stop signal, and those that end nearly everything. Others, such as SIGHUP,
// make a program reload, and it serves on.
func endsContainer(signal string, config docker.Config) bool {
	return signal == cmp.Or(config.StopSignal, "SIGTERM") || signal == "SIGTERM" || signal == "SIGKILL"
}

// confirmStopping asks for containers that were told to stop, and still run,
// whether this is another life already: the events that said so may be lost.
func (r *Registrar) confirmStopping(ctx context.Context) {
	for _, m := range r.registry.Ending() {
		if started, err := r.engine.StartedAt(ctx, m.ContainerID); err == nil && r.registry.Restarted(m.ContainerID, started) {
			r.Wake() // the list may be older than that
		}
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Ready tells whether a first poll has succeeded; if not, why.
func (r *Registrar) Ready() error { return r.Roll().ready() }

func (roll *Roll) ready() error {
	switch {
	case !roll.At.IsZero():
		return nil
	case roll.Err != nil:
		return roll.Err
	}
	return errors.New("the engine has not been asked yet")
}
