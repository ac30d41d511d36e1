package docker

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// An Event is something that happened to a container.
type Event struct {
	Type   string // "container" or "network"
	Action string // one of start, kill, die, stop, restart, pause, unpause, health_status, destroy, rename, oom, create, update; connect, disconnect for a network
	ID     string // the container's, for both types

	Signal     string            // of kill: "SIGTERM"
	Health     string            // of health_status: "healthy", "unhealthy"
	ExitCode   string            // of die
	Name       string            // the container's, of type container; the network's, of type network
	Attributes map[string]string // as the engine sent them: labels too
	Time       time.Time         // the engine's clock, UTC
}

var (
	containerActions = []events.Action{
		events.ActionStart, events.ActionKill, events.ActionDie, events.ActionStop, events.ActionRestart,
		events.ActionPause, events.ActionUnPause, events.ActionHealthStatus, events.ActionDestroy,
		events.ActionRename, events.ActionOOM, events.ActionCreate, events.ActionUpdate,
	}
	networkActions = []events.Action{events.ActionConnect, events.ActionDisconnect}
)

// Watch opens the engine's event stream and calls on for each event until the
// stream ends. It returns nil if and only if ctx is done; otherwise the caller
// opens the next one, and lists: what happened in between is not told again. on
// is called on Watch's goroutine and must not block: the engine drops what is
// not taken in time.
func (c *Client) Watch(ctx context.Context, on func(Event)) error {
	err := c.watch(ctx, on)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *Client) watch(parent context.Context, on func(Event)) error {
	const what = "follow the events"
	ctx, cancel := c.within(parent)
	defer cancel()
	// The deadline counts until the head of the answer is there, then no more.
	opening, opened := context.WithTimeout(ctx, c.timeout)
	defer opened()

	s, _, err := c.connect(opening)
	if err != nil {
		return c.explain(parent, opening, what, err)
	}
	defer c.drop(s) // the end of the stream is a reason to connect anew, for List too

	answered := false
	stream := context.WithValue(ctx, answeredKey{}, func() { answered = true })
	inTime := context.AfterFunc(opening, cancel)
	messages, errs := s.sdk.Events(stream, events.ListOptions{Filters: eventFilters()})
	if !inTime() || !answered {
		cancel()
		return c.explain(parent, opening, what, lastOf(errs))
	}
	if c.opened != nil {
		c.opened()
	}
	for {
		select {
		case m := <-messages:
			if e, ok := newEvent(m); ok {
				on(e)
			}
		case err := <-errs:
			lastOf(errs)
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errStreamEnded
			}
			return c.explain(parent, ctx, what, err)
		}
	}
}

var errStreamEnded = errors.New("the engine ended the stream")

// lastOf returns the last error of a channel that the SDK closes when its
// goroutine ends, and so waits for that.
func lastOf(errs <-chan error) (last error) {
	for err := range errs {
		last = err
	}
	return last
}

// eventFilters asks for what Event lists only: a health check that runs a
// command makes three exec events each time.
func eventFilters() filters.Args {
	f := filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("type", string(events.NetworkEventType)),
	)
	for _, a := range containerActions {
		f.Add("event", string(a))
	}
	for _, a := range networkActions {
		f.Add("event", string(a))
	}
	return f
}

// newEvent turns the engine's message into ours. It filters again: with
// health_status in it, the engine takes the filter's words for prefixes, and
// networks are created and destroyed too.
func newEvent(m events.Message) (Event, bool) {
	e := Event{
		Type:       string(m.Type),
		ID:         m.Actor.ID,
		Name:       m.Actor.Attributes["name"],
		Attributes: m.Actor.Attributes,
		Time:       time.Unix(m.Time, 0).UTC(),
	}
	if m.TimeNano != 0 {
		e.Time = time.Unix(0, m.TimeNano).UTC()
	}
	action, detail, _ := strings.Cut(string(m.Action), ": ")
	e.Action = action
	switch {
	case m.Type == events.ContainerEventType && contains(containerActions, action):
		switch events.Action(action) {
		case events.ActionKill:
			e.Signal = signalName(m.Actor.Attributes["signal"])
		case events.ActionDie:
			e.ExitCode = m.Actor.Attributes["exitCode"]
		case events.ActionHealthStatus:
			e.Health = detail
		}
	case m.Type == events.NetworkEventType && contains(networkActions, action):
		e.ID = m.Actor.Attributes["container"]
	default:
		return Event{}, false
	}
	return e, e.ID != ""
}

func contains(actions []events.Action, action string) bool {
	for _, a := range actions {
		if string(a) == action {
			return true
		}
	}
	return false
}
