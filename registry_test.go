package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

const engineA, engineB = "unix:///a", "unix:///b"

func newTestRegistry(t testing.TB) *Registry { return NewRegistry(logTo(t), 30*time.Second) }

// member returns the only backend of a container.
func member(t testing.TB, r *Registry, containerName string) Member {
	t.Helper()
	found := r.Lookup(idOf(containerName))
	if len(found) != 1 {
		t.Fatalf("the registry has %d backends of container %s, not 1", len(found), containerName)
	}
	return found[0]
}

// connectAll lets a connection to every running backend succeed.
func connectAll(r *Registry) {
	for _, m := range r.List() {
		if m.Candidates != "" {
			r.Connected(m.Backend, m.Address())
		}
	}
}

func TestReplaceKeepsWhatIsEqual(t *testing.T) {
	r := newTestRegistry(t)
	r.Replace(engineA, []Entry{backendOf("shop", "web-1"), backendOf("shop", "web-2")})
	connectAll(r)
	before := member(t, r, "web-1")
	before.Begin()
	before.failures.Add(3)

	r.Replace(engineA, []Entry{backendOf("shop", "web-1"), backendOf("shop", "web-3")})

	after := member(t, r, "web-1")
	if after.Backend != before.Backend {
		t.Error("an equal spec is another Backend")
	}
	if after.State != Healthy || after.InFlight() != 1 || after.Requests() != 1 || after.Failures() != 3 {
		t.Errorf("state and counters did not survive: %v, %d in flight, %d requests, %d failures", after.State, after.InFlight(), after.Requests(), after.Failures())
	}
	if !after.Since.Equal(before.Since) {
		t.Error("it has been healthy since an earlier time than it says")
	}
}

func TestReplaceMakesAnotherBackendOfWhatChanged(t *testing.T) {
	changes := map[string]entryOption{
		"address": at("10.9.9.9:8080"),
		"host":    hosts("other.example.com"),
		"path":    paths("/api"),
		"check":   checkedAt("/healthz"),
		"stopped": engineSays(EngineStopped),
	}
	for what, change := range changes {
		t.Run(what, func(t *testing.T) {
			r := newTestRegistry(t)
			r.Replace(engineA, []Entry{backendOf("shop", "web-1")})
			connectAll(r)
			before := member(t, r, "web-1")
			r.Replace(engineA, []Entry{backendOf("shop", "web-1", change)})
			after := member(t, r, "web-1")
			if after.Backend == before.Backend {
				t.Error("it is the same Backend")
			}
			if after.State == Healthy {
				t.Error("the new one is healthy though nobody has connected to it")
			}
		})
	}
}

func TestRenameAndHealthKeepTheBackend(t *testing.T) {
	r := newTestRegistry(t)
	r.Replace(engineA, []Entry{backendOf("shop", "web-1")})
	connectAll(r)
	before := member(t, r, "web-1")
	renamed := backendOf("shop", "web-1", engineSays(EngineUnhealthy))
	renamed.Name = "web-one"
	r.Replace(engineA, []Entry{renamed})
	after := member(t, r, "web-1")
	if after.Backend != before.Backend || after.Name != "web-one" || after.State != Unhealthy {
		t.Errorf("got %s, %v, same backend: %t", after.Name, after.State, after.Backend == before.Backend)
	}
}

func TestEqualRollPublishesNothing(t *testing.T) {
	r := newTestRegistry(t)
	roll := []Entry{backendOf("shop", "web-1"), backendOf("blog", "web-2")}
	r.Replace(engineA, roll)
	connectAll(r)
	before := r.Snapshot()
	for range 3 {
		slices.Reverse(roll) // the engine's order means nothing
		r.Replace(engineA, roll)
	}
	if r.Snapshot() != before {
		t.Errorf("version %d became %d", before.Version, r.Snapshot().Version)
	}
	select {
	case <-before.Superseded():
		t.Error("the snapshot counts as superseded")
	default:
	}
}

// The basic design keeps a container that was removed (docker rm -f) for as
// long as any other exists.
func TestRemovedContainerLeaves(t *testing.T) {
	r := newTestRegistry(t)
	r.Replace(engineA, []Entry{backendOf("shop", "web-1"), backendOf("shop", "web-2")})
	r.Replace(engineA, []Entry{backendOf("shop", "web-2")})
	if found := r.Lookup(idOf("web-1")); len(found) != 0 {
		t.Errorf("web-1 is still there: %+v", found)
	}
	if r.Len() != 1 {
		t.Errorf("%d backends, not 1", r.Len())
	}
	r.Replace(engineA, nil)
	if r.Len() != 0 || r.Snapshot().Service("shop") != nil {
		t.Error("the last one is still there")
	}
}

func TestSourcesDoNotTouchEachOther(t *testing.T) {
	r := newTestRegistry(t)
	r.Replace(engineA, []Entry{backendOf("shop", "web-a")})
	r.Replace(engineB, []Entry{backendOf("shop", "web-b"), backendOf("shop", "web-c")})
	r.Replace(engineB, []Entry{backendOf("shop", "web-c")})
	member(t, r, "web-a")
	member(t, r, "web-c")
	if r.Len() != 2 {
		t.Errorf("%d backends, not 2", r.Len())
	}
	r.Replace(engineB, nil)
	member(t, r, "web-a")
}

func TestLookupListRemove(t *testing.T) {
	r := newTestRegistry(t)
	if r.Len() != 0 || len(r.List()) != 0 || r.Snapshot().Version != 0 {
		t.Error("a new registry is not empty")
	}
	r.Replace(engineA, []Entry{
		backendOf("shop", "young", created(2000)), backendOf("shop", "old"), backendOf("blog", "both"), backendOf("api", "both"),
	})
	if got := len(r.Lookup(idOf("both"))); got != 2 {
		t.Errorf("a container that serves two services has %d backends", got)
	}
	var order []string
	for _, m := range r.List() {
		order = append(order, m.Service+" "+m.Name)
	}
	if want := []string{"api both", "blog both", "shop old", "shop young"}; !slices.Equal(order, want) {
		t.Errorf("List is %q, want %q", order, want)
	}
	if got := r.Lookup(idOf("old")[:12]); got != nil {
		t.Error("Lookup takes the beginning of an ID")
	}
	if !r.Remove(idOf("both")) || r.Remove(idOf("both")) {
		t.Error("Remove does not tell what it did")
	}
	if r.Len() != 2 {
		t.Errorf("%d backends are left, not 2", r.Len())
	}
}

func TestVersionOnlyGrowsAndSupersededCloses(t *testing.T) {
	r := newTestRegistry(t)
	step := func(what string, change func()) {
		t.Helper()
		before := r.Snapshot()
		change()
		after := r.Snapshot()
		if after.Version != before.Version+1 {
			t.Errorf("%s: version %d became %d", what, before.Version, after.Version)
		}
		select {
		case <-before.Superseded():
		default:
			t.Errorf("%s: the old snapshot does not say that it is superseded", what)
		}
	}
	step("replace", func() { r.Replace(engineA, []Entry{backendOf("shop", "web-1")}) })
	b := member(t, r, "web-1").Backend
	step("connected", func() { r.Connected(b, b.Address()) })
	step("drain", func() { r.Drain(b.ContainerID, "by hand") })
	step("undrain", func() { r.Undrain(b.ContainerID) })
	step("eject", func() { r.Eject(b, "it fails") })
	step("recovered", func() { r.Recovered(b) })
	step("unreachable", func() { r.Unreachable(b, CauseRefused, "connection refused") })
	step("remove", func() { r.Remove(b.ContainerID) })

	before := r.Snapshot()
	r.Connected(b, b.Address()) // it is no one's any more
	r.Eject(b, "it fails")
	r.Remove(b.ContainerID)
	r.Replace(engineA, nil)
	if r.Snapshot() != before {
		t.Error("what changes nothing was published")
	}
}

// A backend that a later poll replaced is no one's: a late observation of it
// must not count for its successor.
func TestLateObservationsDoNotCount(t *testing.T) {
	r := newTestRegistry(t)
	r.Replace(engineA, []Entry{backendOf("shop", "web-1", at("10.0.0.1:80"))})
	old := member(t, r, "web-1").Backend
	r.Replace(engineA, []Entry{backendOf("shop", "web-1", at("10.0.0.2:80"))})
	r.Connected(old, "10.0.0.1:80")
	if m := member(t, r, "web-1"); m.State != Starting {
		t.Errorf("it is %v because its predecessor answered", m.State)
	}
	connectAll(r)
	r.Eject(old, "it failed")
	r.Unreachable(old, CauseRefused, "connection refused")
	if m := member(t, r, "web-1"); m.State != Healthy {
		t.Errorf("it is %v because its predecessor failed", m.State)
	}
}

// life is what happens to one backend, for the table of states.
type life struct {
	*Registry
	*Backend
	entry Entry
	clock time.Time // the engine's
}

func (l *life) poll(options ...entryOption) {
	for _, option := range options {
		option(&l.entry)
	}
	l.Replace(engineA, []Entry{l.entry})
	l.Backend = l.Lookup(l.entry.ContainerID)[0].Backend
}
func (l *life) connected() { l.Connected(l.Backend, l.Address()) }
func (l *life) refused()   { l.Unreachable(l.Backend, CauseRefused, "connection refused") }
func (l *life) tick() time.Time {
	l.clock = l.clock.Add(time.Millisecond)
	return l.clock
}
func (l *life) toldToStop() {
	l.Stopping(l.ContainerID, "it was sent SIGTERM and is stopping", l.tick(), time.Now().Add(12*time.Second))
}
func (l *life) died()      { l.Died(l.ContainerID, l.tick(), time.Now().Add(10*time.Second)) }
func (l *life) restarted() { l.Restarted(l.ContainerID, l.tick()) }
func (l *life) drained()   { l.Drain(l.ContainerID, "it was drained by hand") }
func (l *life) undrained() { l.Undrain(l.ContainerID) }
func (l *life) ejected()   { l.Eject(l.Backend, "5 requests in a row failed") }
func (l *life) checked(problem string) func() {
	return func() { l.Checked(l.Backend, problem) }
}

func TestStates(t *testing.T) {
	cases := []struct {
		name  string
		story func(l *life)
		want  State
		why   string // part of the reason
	}{
		{"new", func(l *life) {}, Starting, "no connection"},
		{"refused so far", func(l *life) { l.refused() }, Starting, "connection refused"},
		{"connected", func(l *life) { l.connected() }, Healthy, "succeeded"},
		{"connected, then refused", func(l *life) { l.connected(); l.refused() }, Unhealthy, "connection refused"},
		{"refused, then connected again", func(l *life) { l.connected(); l.refused(); l.connected() }, Healthy, ""},
		{"no address yet", func(l *life) { l.poll(at("")) }, Starting, "no address"},

		{"stopped", func(l *life) { l.connected(); l.poll(engineSays(EngineStopped)) }, Stopped, "does not run"},
		{"stopped while drained", func(l *life) { l.drained(); l.poll(engineSays(EngineStopped)) }, Stopped, ""},
		{"paused", func(l *life) { l.connected(); l.poll(engineSays(EnginePaused)) }, Paused, "paused"},
		{"paused while drained", func(l *life) { l.connected(); l.drained(); l.poll(engineSays(EnginePaused)) }, Paused, ""},
		{"unpaused", func(l *life) { l.connected(); l.poll(engineSays(EnginePaused)); l.poll(engineSays(EngineRunning)) }, Healthy, ""},

		{"HEALTHCHECK starting", func(l *life) { l.poll(engineSays(EngineStarting)); l.connected() }, Starting, "HEALTHCHECK"},
		{"HEALTHCHECK passed, not connected", func(l *life) { l.poll(engineSays(EngineStarting)); l.poll(engineSays(EngineRunning)) }, Starting, "no connection"},
		{"HEALTHCHECK passed", func(l *life) { l.poll(engineSays(EngineStarting)); l.connected(); l.poll(engineSays(EngineRunning)) }, Healthy, ""},
		{"HEALTHCHECK fails", func(l *life) { l.connected(); l.poll(engineSays(EngineUnhealthy)) }, Unhealthy, "HEALTHCHECK"},
		{"HEALTHCHECK fails, never connected", func(l *life) { l.poll(engineSays(EngineUnhealthy)) }, Starting, "no connection"},
		{"HEALTHCHECK recovers", func(l *life) { l.connected(); l.poll(engineSays(EngineUnhealthy)); l.poll(engineSays(EngineRunning)) }, Healthy, ""},

		{"check not asked yet", func(l *life) { l.poll(checkedAt("/ok")); l.connected() }, Starting, "/ok"},
		{"check failed from the start", func(l *life) { l.poll(checkedAt("/ok")); l.connected(); l.checked("it answers 500")() }, Starting, "500"},
		{"check passed", func(l *life) { l.poll(checkedAt("/ok")); l.connected(); l.checked("")() }, Healthy, ""},
		{"check fails", func(l *life) { l.poll(checkedAt("/ok")); l.connected(); l.checked("")(); l.checked("it answers 500")() }, Unhealthy, "500"},
		{"check passes again", func(l *life) {
			l.poll(checkedAt("/ok"))
			l.connected()
			l.checked("")()
			l.checked("it answers 500")()
			l.checked("")()
		}, Healthy, ""},

		{"drained", func(l *life) { l.connected(); l.drained() }, Draining, "by hand"},
		{"drained before it was ready", func(l *life) { l.drained(); l.connected() }, Draining, "by hand"},
		{"undrained", func(l *life) { l.connected(); l.drained(); l.undrained() }, Healthy, ""},
		{"drained, then another address", func(l *life) { l.connected(); l.drained(); l.poll(at("10.0.0.77:80")); l.connected() }, Draining, "by hand"},
		{"drained, then restarted", func(l *life) { l.connected(); l.drained(); l.restarted(); l.poll(); l.connected() }, Draining, "by hand"},

		{"told to stop", func(l *life) { l.connected(); l.toldToStop() }, Draining, "SIGTERM"},
		{"told to stop, the list still says running", func(l *life) { l.connected(); l.toldToStop(); l.poll() }, Draining, "SIGTERM"},
		{"told to stop, undrained by hand", func(l *life) { l.connected(); l.toldToStop(); l.undrained() }, Healthy, ""},
		{"died", func(l *life) { l.connected(); l.died() }, Draining, "ended"},
		{"restarted", func(l *life) { l.connected(); l.toldToStop(); l.died(); l.restarted() }, Starting, "just started"},
		{"restarted and connected", func(l *life) {
			l.connected()
			l.toldToStop()
			l.died()
			l.restarted()
			l.poll(at("10.0.0.77:80"))
			l.connected()
		}, Healthy, "10.0.0.77:80"},
		{"start told before the stop it followed", func(l *life) {
			l.connected()
			early := l.tick()
			l.toldToStop()
			l.Restarted(l.ContainerID, early)
		}, Draining, "SIGTERM"},
		{"stop told again after the restart", func(l *life) {
			l.connected()
			early := l.tick()
			l.restarted()
			l.Stopping(l.ContainerID, "it was sent SIGTERM", early, time.Now().Add(time.Hour))
			l.poll()
			l.connected()
		}, Healthy, ""},
		{"told to stop long ago", func(l *life) {
			l.connected()
			l.Stopping(l.ContainerID, "it was sent SIGTERM", l.tick(), time.Now().Add(-time.Second))
		}, Healthy, ""},
		{"told to stop, and still runs after its time", func(l *life) { l.connected(); l.toldToStop(); pass(12 * time.Second); l.Expire() }, Starting, "still runs"},
		{"told to stop, and stopped", func(l *life) { l.connected(); l.toldToStop(); l.poll(engineSays(EngineStopped)) }, Stopped, ""},

		{"ejected", func(l *life) { l.connected(); l.ejected() }, Unhealthy, "in a row failed"},
		{"ejected, waits for its trial", func(l *life) { l.connected(); l.ejected(); pass(time.Second); l.Expire() }, Unhealthy, "in a row failed"},
		{"recovered", func(l *life) { l.connected(); l.ejected(); l.Recovered(l.Backend) }, Healthy, ""},
		{"ejected, then restarted", func(l *life) { l.connected(); l.ejected(); l.restarted(); l.poll(); l.connected() }, Healthy, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &life{Registry: newTestRegistry(t), entry: backendOf("shop", "web-1", at("10.0.0.1:80")), clock: time.Now()}
				l.poll()
				pass(time.Second) // the engine's clock is behind
				l.clock = time.Now()
				c.story(l)
				m := member(t, l.Registry, "web-1")
				if m.State != c.want || !strings.Contains(m.Reason, c.why) {
					t.Errorf("it is %v (%s), want %v (… %s …)", m.State, m.Reason, c.want, c.why)
				}
				usable := l.Snapshot().Service("shop").usable
				if wants := c.want == Healthy || c.want == Unhealthy && !m.probed; (len(usable) == 1) != wants {
					t.Errorf("a lone %v backend is used: %t, want %t", m.State, len(usable) == 1, wants)
				}
			})
		})
	}
}

func names(backends []*Backend) string {
	var list []string
	for _, b := range backends {
		for _, name := range []string{"web-1", "web-2", "web-3"} {
			if b.ContainerID == idOf(name) {
				list = append(list, name)
			}
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestWhichBackendsAreUsed(t *testing.T) {
	cases := []struct {
		name                     string
		change                   func(r *Registry, web1, web2, web3 *Backend)
		usable, trials, lastHope string
	}{
		{"all healthy", func(r *Registry, web1, web2, web3 *Backend) {}, "web-1 web-2 web-3", "", ""},
		{"one unhealthy", func(r *Registry, web1, web2, web3 *Backend) { r.Eject(web1, "it fails") }, "web-2 web-3", "", ""},
		{"one refuses", func(r *Registry, web1, web2, web3 *Backend) { r.Unreachable(web1, CauseRefused, "refused") }, "web-2 web-3", "", ""},
		{"all unhealthy: all are used, a check can be wrong", func(r *Registry, web1, web2, web3 *Backend) {
			r.Eject(web1, "it fails")
			r.Eject(web2, "it fails")
			r.Eject(web3, "it fails")
		}, "web-1 web-2 web-3", "", ""},
		{"all unhealthy, one of them refuses", func(r *Registry, web1, web2, web3 *Backend) {
			r.Eject(web1, "it fails")
			r.Eject(web2, "it fails")
			r.Unreachable(web3, CauseRefused, "refused")
		}, "web-1 web-2", "", ""},
		{"all refuse", func(r *Registry, web1, web2, web3 *Backend) {
			r.Unreachable(web1, CauseRefused, "refused")
			r.Unreachable(web2, CauseRefused, "refused")
			r.Unreachable(web3, CauseRefused, "refused")
		}, "", "", ""},
		{"an ejection is over: one trial", func(r *Registry, web1, web2, web3 *Backend) {
			r.Eject(web1, "it fails")
			pass(firstEjection)
			r.Expire()
		}, "web-2 web-3", "web-1", ""},
		{"drained by hand is drained", func(r *Registry, web1, web2, web3 *Backend) { r.Drain(web1.ContainerID, "by hand") }, "web-2 web-3", "", ""},
		{"all drained by hand: none", func(r *Registry, web1, web2, web3 *Backend) {
			for _, b := range []*Backend{web1, web2, web3} {
				r.Drain(b.ContainerID, "by hand")
			}
		}, "", "", ""},
		{"one stops", func(r *Registry, web1, web2, web3 *Backend) {
			r.Stopping(web2.ContainerID, "SIGTERM", time.Now(), time.Now().Add(time.Minute))
		}, "web-1 web-3", "", "web-2"},
		{"all stop: the last hope", func(r *Registry, web1, web2, web3 *Backend) {
			for _, b := range []*Backend{web1, web2, web3} {
				r.Stopping(b.ContainerID, "SIGTERM", time.Now(), time.Now().Add(time.Minute))
			}
		}, "", "", "web-1 web-2 web-3"},
		{"one stops and refuses already", func(r *Registry, web1, web2, web3 *Backend) {
			r.Stopping(web1.ContainerID, "SIGTERM", time.Now(), time.Now().Add(time.Minute))
			r.Unreachable(web1, CauseRefused, "refused")
		}, "web-2 web-3", "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newTestRegistry(t)
				r.Replace(engineA, []Entry{backendOf("shop", "web-1"), backendOf("shop", "web-2"), backendOf("shop", "web-3")})
				connectAll(r)
				c.change(r, member(t, r, "web-1").Backend, member(t, r, "web-2").Backend, member(t, r, "web-3").Backend)
				s := r.Snapshot().Service("shop")
				if got := names(s.usable); got != c.usable {
					t.Errorf("used are %q, want %q", got, c.usable)
				}
				if got := names(s.trials); got != c.trials {
					t.Errorf("on trial are %q, want %q", got, c.trials)
				}
				if got := names(s.lastHope); got != c.lastHope {
					t.Errorf("the last hope is %q, want %q", got, c.lastHope)
				}
			})
		})
	}
}

func TestEjectionsGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestRegistry(t)
		r.Replace(engineA, []Entry{backendOf("shop", "web-1"), backendOf("shop", "web-2")})
		connectAll(r)
		b := member(t, r, "web-1").Backend
		var lengths []time.Duration
		for range 9 {
			r.Eject(b, "it fails")
			r.Eject(b, "it fails") // told twice is once
			lengths = append(lengths, time.Until(r.NextExpiry()))
			pass(time.Until(r.NextExpiry()))
			r.Expire()
		}
		want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}
		for i := range want {
			if lengths[i] != want[i]*time.Second {
				t.Fatalf("the ejections last %v, want %v s", lengths, want)
			}
		}
		r.Recovered(b)
		r.Eject(b, "it fails")
		if got := time.Until(r.NextExpiry()); got != firstEjection {
			t.Errorf("after a recovery an ejection lasts %s, want %s", got, firstEjection)
		}
	})
}

// A service's lead is the newest that works: a broken new version must not move
// the routes.
func TestNewestHealthyLeads(t *testing.T) {
	r := newTestRegistry(t)
	r.Replace(engineA, []Entry{
		backendOf("shop", "v1", hosts("v1.example.com"), created(1000)),
		backendOf("shop", "v2", hosts("v2.example.com"), created(2000)),
	})
	if got := r.Snapshot().Service("shop").Lead.Name; got != "v2" {
		t.Errorf("with none ready, %s leads; want the newest", got)
	}
	v1 := member(t, r, "v1").Backend
	r.Connected(v1, v1.Address())
	if r.Snapshot().Route("v1.example.com", "/") == nil || r.Snapshot().Route("v2.example.com", "/") != nil {
		t.Error("the routes are those of the version that does not answer yet")
	}
	connectAll(r)
	if r.Snapshot().Route("v2.example.com", "/") == nil || r.Snapshot().Route("v1.example.com", "/") != nil {
		t.Error("the routes did not follow the new version")
	}
}

func TestEachChangeOfStateIsLoggedOnce(t *testing.T) {
	log, book := logToBook(t, slog.LevelInfo)
	r := NewRegistry(log, time.Minute)
	roll := []Entry{backendOf("shop", "web-1")}
	r.Replace(engineA, roll)
	connectAll(r)
	for range 10 {
		r.Replace(engineA, roll)
		connectAll(r)
	}
	b := member(t, r, "web-1").Backend
	r.Unreachable(b, CauseRefused, "connection refused")
	r.Unreachable(b, CauseRefused, "connection refused")
	r.Replace(engineA, nil)
	for words, want := range map[string]int{"backend starting": 1, "backend healthy": 1, "backend unhealthy": 1, "backend gone": 1, "level": 4} {
		if got := book.count(words); got != want {
			t.Errorf("%d lines with %q, want %d", got, words, want)
		}
	}
}

// The basic design reads index and length under two locks; a removal in between
// panics. Here readers pick, route and count while others replace, drain and
// connect.
func TestConcurrentReadersAndWriters(t *testing.T) {
	r := NewRegistry(quiet(), time.Minute)
	services := []string{"shop", "blog", "api"}
	roll := func(random *rand.Rand) []Entry {
		var entries []Entry
		for i := range random.IntN(20) {
			entries = append(entries, backendOf(services[random.IntN(3)], fmt.Sprintf("web-%d", i)))
		}
		return entries
	}
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	for w := range 2 {
		random := rand.New(rand.NewPCG(uint64(w), 1))
		writers.Go(func() {
			for range 150 {
				r.Replace([]string{engineA, engineB}[w], roll(random))
				connectAll(r)
				if list := r.List(); len(list) > 0 {
					m := list[random.IntN(len(list))]
					switch random.IntN(6) {
					case 0:
						r.Drain(m.ContainerID, "by hand")
					case 1:
						r.Undrain(m.ContainerID)
					case 2:
						r.Eject(m.Backend, "it fails")
					case 3:
						r.Unreachable(m.Backend, CauseRefused, "refused")
					case 4:
						r.Remove(m.ContainerID)
					case 5:
						r.Expire()
					}
				}
			}
		})
	}
	patience := &Patience{Hold: time.Second, Limit: 10}
	for range 2 {
		readers.Go(func() {
			var last uint64
			var x Exchange
			for !done.Load() {
				s := r.Snapshot()
				if s.Version < last {
					t.Errorf("version %d came after %d", s.Version, last)
				}
				last = s.Version
				members := 0
				for _, service := range s.Services() {
					members += len(service.Members)
					if route := s.Route(service.Name+".localhost", "/any/path"); route == nil || route.Service != service {
						t.Errorf("in version %d, %s has no route", s.Version, service.Name)
					}
					startExchange(&x, r, patience, s, service)
					picked := map[*Backend]bool{}
					for b := service.Pick(&x); b != nil; b = service.Pick(&x) {
						x.begin(b)
						b.End()
						x.backend = nil
						picked[b] = true
					}
					for b := range picked {
						if !slices.Contains(service.usable, b) && !slices.Contains(service.trials, b) {
							t.Errorf("in version %d, a backend was picked for %s that is not usable", s.Version, service.Name)
						}
					}
					if len(picked) < len(service.usable) {
						t.Errorf("in version %d, %d of %d usable backends of %s were picked", s.Version, len(picked), len(service.usable), service.Name)
					}
					for _, m := range service.Members {
						m.trying.Store(false)
					}
					x.finish()
				}
				if members != s.Len() {
					t.Errorf("version %d has %d members, its services %d", s.Version, s.Len(), members)
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
	for _, m := range r.List() {
		if m.InFlight() != 0 {
			t.Errorf("%s has %d requests in flight, there are none", m.Name, m.InFlight())
		}
	}
}

// startExchange begins a GET to a service.
func startExchange(x *Exchange, r *Registry, patience *Patience, s *Snapshot, service *Service) {
	x.start(r, patience, s, service, httptest.NewRequest("GET", "/", nil), &ForwardedRules{})
}

// fact is all that the naive model knows of one backend.
type fact struct {
	entry                        Entry
	backend                      *Backend // that the registry gave it at first
	reached, lost                bool
	byHand, stopping             bool // drains
	ejected                      bool
	checkPassed, checkFails, new bool // new: an event says that it lives anew, no poll has yet
}

// state is what a person with the table of the contract would say.
func (f *fact) state() State {
	runs := f.entry.Engine != EngineStopped && f.entry.Engine != EnginePaused
	switch {
	case f.entry.Engine == EngineStopped:
		return Stopped
	case f.entry.Engine == EnginePaused:
		return Paused
	case f.byHand || f.stopping:
		return Draining
	case f.entry.Engine == EngineStarting, !f.reached && !f.lost:
		return Starting
	case f.reached && f.entry.Check.Path != "" && !f.checkPassed:
		return Starting
	case runs && (f.lost || f.ejected || f.checkFails || f.entry.Engine == EngineUnhealthy):
		return Unhealthy
	}
	return Healthy
}

// recordKey names a backend: a container may serve several services, and is a
// member of each.
type recordKey struct{ containerID, service string }

// world is the model: what two engines run, and what a naive registry would
// know of it.
type world struct {
	registry *Registry
	runs     map[string]map[string]*Entry // by engine and container name
	known    map[recordKey]*fact
	sources  map[recordKey]string
	clock    time.Time // the engines'
	serial   int
	versions []*Snapshot
}

// TestModel plays random sequences of container changes against a naive model.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			registry: NewRegistry(quiet(), time.Minute),
			runs:     map[string]map[string]*Entry{engineA: {}, engineB: {}},
			known:    map[recordKey]*fact{}, sources: map[recordKey]string{},
			clock: time.Now().Add(time.Hour), // so that no observation is later than an event
		}
		t.Repeat(map[string]func(*rapid.T){
			"run":       w.run,
			"remove":    w.remove,
			"rename":    w.change(func(t *rapid.T, e *Entry) { w.serial++; e.Name = fmt.Sprint("name-", w.serial) }),
			"stop":      w.change(func(t *rapid.T, e *Entry) { engineSays(EngineStopped)(e) }),
			"start":     w.change(w.start),
			"pause":     w.change(func(t *rapid.T, e *Entry) { w.running(e, EnginePaused) }),
			"unpause":   w.change(func(t *rapid.T, e *Entry) { w.running(e, EngineRunning) }),
			"health":    w.change(w.health),
			"relabel":   w.change(w.relabel),
			"poll":      w.poll,
			"lost poll": func(*rapid.T) {}, // changes nothing, that is the point
			"drain": w.container(func(t *rapid.T, id string, f *fact) {
				w.registry.Drain(id, "by hand")
				f.byHand, f.stopping = true, false
			}),
			"undrain":     w.container(func(t *rapid.T, id string, f *fact) { w.registry.Undrain(id); f.byHand, f.stopping = false, false }),
			"kill event":  w.container(w.killEvent),
			"die event":   w.container(w.dieEvent),
			"start event": w.container(w.startEvent),
			"destroy":     w.destroyEvent,
			"connected": w.backend(func(t *rapid.T, b *Backend, f *fact) {
				w.registry.Connected(b, b.Address())
				f.reached, f.lost = true, false
			}),
			"unreachable": w.backend(func(t *rapid.T, b *Backend, f *fact) {
				w.registry.Unreachable(b, CauseRefused, "refused")
				f.lost = f.lost || f.reached
				f.reached = false
			}),
			"eject":     w.backend(func(t *rapid.T, b *Backend, f *fact) { w.registry.Eject(b, "it fails"); f.ejected = true }),
			"recovered": w.backend(func(t *rapid.T, b *Backend, f *fact) { w.registry.Recovered(b); f.ejected = false }),
			"check passes": w.backend(func(t *rapid.T, b *Backend, f *fact) {
				w.registry.Checked(b, "")
				f.checkPassed, f.checkFails = true, false
			}),
			"check fails": w.backend(func(t *rapid.T, b *Backend, f *fact) { w.registry.Checked(b, "it answers 500"); f.checkFails = true }),
			"":            w.compare,
		})
	})
}

func (w *world) tick() time.Time {
	w.clock = w.clock.Add(time.Millisecond)
	return w.clock
}

func (w *world) run(t *rapid.T) {
	w.serial++
	name := fmt.Sprint("web-", w.serial)
	e := backendOf(rapid.SampledFrom([]string{"shop", "blog", "api"}).Draw(t, "service"), name, created(int64(w.serial)))
	if rapid.IntRange(0, 3).Draw(t, "checked") == 0 {
		checkedAt("/healthz")(&e)
	}
	w.runs[rapid.SampledFrom([]string{engineA, engineB}).Draw(t, "engine")][name] = &e
}

// relabel changes what a container's service claims; some of it another one may
// claim too.
func (w *world) relabel(t *rapid.T, e *Entry) {
	e.Paths = rapid.SampledFrom([]string{"/", "/api"}).Draw(t, "path")
	also := rapid.SampledFrom([]string{"", ",*", ",all.example", ",*.example"}).Draw(t, "host")
	e.Hosts, e.Priority = e.Service+".localhost"+also, 0
	if also != ",*" { // with a priority it would take the others' hosts
		e.Priority = rapid.IntRange(0, 1).Draw(t, "priority")
	}
	e.CatchAll = rapid.Bool().Draw(t, "catch-all")
}

// pick draws one of the containers that exist.
func (w *world) pick(t *rapid.T) (engine, key string, e *Entry) {
	engine = rapid.SampledFrom([]string{engineA, engineB}).Draw(t, "engine")
	if len(w.runs[engine]) == 0 {
		t.Skip("it runs nothing")
	}
	var keys []string
	for key := range w.runs[engine] {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	key = rapid.SampledFrom(keys).Draw(t, "container")
	return engine, key, w.runs[engine][key]
}

func (w *world) remove(t *rapid.T) {
	engine, key, _ := w.pick(t)
	delete(w.runs[engine], key)
}

func (w *world) change(how func(t *rapid.T, e *Entry)) func(*rapid.T) {
	return func(t *rapid.T) {
		_, _, e := w.pick(t)
		how(t, e)
	}
}

// running changes the state of a container that has a process.
func (w *world) running(e *Entry, state EngineState) {
	if e.Engine != EngineStopped {
		e.Engine = state
	}
}

func (w *world) start(t *rapid.T, e *Entry) {
	if e.Engine == EngineStopped {
		w.serial++
		e.Engine, e.Candidates = EngineRunning, Candidates(fmt.Sprintf("10.0.%d.%d:8080", w.serial/256, w.serial%256))
	}
}

func (w *world) health(t *rapid.T, e *Entry) {
	w.running(e, rapid.SampledFrom([]EngineState{EngineRunning, EngineStarting, EngineUnhealthy}).Draw(t, "health"))
}

func (w *world) poll(t *rapid.T) {
	engine := rapid.SampledFrom([]string{engineA, engineB}).Draw(t, "engine")
	var roll []Entry
	present := map[recordKey]bool{}
	for _, e := range w.runs[engine] { // in an order that means nothing
		roll = append(roll, *e)
		key := recordKey{e.ContainerID, e.Service}
		present[key] = true
		f := w.known[key]
		switch {
		case f == nil:
			f = &fact{entry: *e}
			w.known[key], w.sources[key] = f, engine
		case f.entry.Spec != e.Spec:
			*f = fact{entry: *e, byHand: f.byHand, stopping: f.stopping}
		}
		f.entry, f.new = *e, false
		if e.Engine == EngineStopped {
			f.stopping = false
		}
	}
	for key := range w.known {
		if w.sources[key] == engine && !present[key] {
			delete(w.known, key)
			delete(w.sources, key)
		}
	}
	w.registry.Replace(engine, roll)
	version := w.registry.Snapshot().Version
	w.registry.Replace(engine, roll)
	if now := w.registry.Snapshot().Version; now != version {
		t.Fatalf("an equal roll was published: version %d became %d", version, now)
	}
}

// draw picks one of the backends that the registry should know.
func (w *world) draw(t *rapid.T) (recordKey, *fact) {
	if len(w.known) == 0 {
		t.Skip("none is known")
	}
	var keys []recordKey
	for key := range w.known {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b recordKey) int {
		return cmp.Or(cmp.Compare(a.containerID, b.containerID), cmp.Compare(a.service, b.service))
	})
	key := rapid.SampledFrom(keys).Draw(t, "backend")
	return key, w.known[key]
}

func (w *world) container(act func(t *rapid.T, id string, f *fact)) func(*rapid.T) {
	return func(t *rapid.T) {
		key, f := w.draw(t)
		act(t, key.containerID, f)
	}
}

// backend acts on a backend that runs; nobody connects to another one.
func (w *world) backend(act func(t *rapid.T, b *Backend, f *fact)) func(*rapid.T) {
	return func(t *rapid.T) {
		_, f := w.draw(t)
		if f.entry.Candidates == "" || f.backend == nil {
			t.Skip("it does not run")
		}
		act(t, f.backend, f)
	}
}

func (w *world) killEvent(t *rapid.T, id string, f *fact) {
	w.registry.Stopping(id, "SIGTERM", w.tick(), time.Now().Add(time.Hour))
	if !f.byHand && f.entry.Engine != EngineStopped {
		f.stopping = true
	}
}

func (w *world) dieEvent(t *rapid.T, id string, f *fact) {
	w.registry.Died(id, w.tick(), time.Now().Add(time.Hour))
	if !f.byHand && f.entry.Engine != EngineStopped {
		f.stopping, f.new = true, true
	}
}

func (w *world) startEvent(t *rapid.T, id string, f *fact) {
	w.registry.Restarted(id, w.tick())
	*f = fact{entry: f.entry, backend: f.backend, byHand: f.byHand, new: true}
}

func (w *world) destroyEvent(t *rapid.T) {
	key, _ := w.draw(t)
	w.registry.Remove(key.containerID)
	delete(w.known, key)
	delete(w.sources, key)
}

// compare is called after each step.
func (w *world) compare(t *rapid.T) {
	s := w.registry.Snapshot()
	if n := len(w.versions); n > 0 && w.versions[n-1] != s {
		last := w.versions[n-1]
		if last.Version >= s.Version {
			t.Fatalf("version %d came after %d", s.Version, last.Version)
		}
		select {
		case <-last.Superseded():
		default:
			t.Fatalf("version %d does not say that it is superseded", last.Version)
		}
	}
	w.versions = append(w.versions, s)
	if w.registry.Len() != len(w.known) {
		t.Fatalf("the registry has %d backends, the model %d", w.registry.Len(), len(w.known))
	}
	healthy, unhealthy := map[string]int{}, map[string]int{}
	for key, f := range w.known {
		i := slices.IndexFunc(s.Members(), func(m Member) bool { return m.ContainerID == key.containerID && m.Service == key.service })
		if i < 0 {
			t.Fatalf("%s is not in the registry", f.entry.Name)
		}
		m := s.Members()[i]
		if f.backend == nil {
			f.backend = m.Backend
		}
		if m.Backend != f.backend || m.Spec != f.entry.Spec || m.Name != f.entry.Name {
			t.Fatalf("%s is another backend: %+v, want %+v", f.entry.Name, m.Spec, f.entry.Spec)
		}
		if want := f.state(); m.State != want {
			t.Fatalf("%s is %v (%s), the model says %v: %+v", m.Name, m.State, m.Reason, want, *f)
		}
		switch {
		case m.State == Healthy:
			healthy[m.Service]++
		case m.State == Unhealthy && (f.reached || f.new):
			unhealthy[m.Service]++
		}
	}
	for _, service := range s.Services() {
		want := cmp.Or(healthy[service.Name], unhealthy[service.Name])
		if len(service.usable) != want {
			t.Fatalf("%s has %d usable backends, the model says %d", service, len(service.usable), want)
		}
		if route := s.Route(service.Name+".localhost", service.Lead.Paths); route == nil || route.Service != service {
			t.Fatalf("%s has no route", service.Name)
		}
	}
	sorted := slices.IsSortedFunc(s.Members(), func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Created, b.Created), cmp.Compare(a.ContainerID, b.ContainerID))
	})
	if fault := unlikeBuiltAnew(s); fault != "" {
		t.Fatal(fault)
	}
	if !sorted {
		t.Fatal("the list is not sorted")
	}
}

// unlikeBuiltAnew tells what a snapshot, most of which is taken from the one
// before, has otherwise than if it were made from its members alone; "" if nothing.
func unlikeBuiltAnew(s *Snapshot) string {
	services := groupServices(s.Members())
	if len(services) != len(s.services) {
		return fmt.Sprintf("%d services, not %d", len(s.services), len(services))
	}
	for i, service := range services {
		is := s.services[i]
		if is.Name != service.Name || is.Lead != service.Lead || is.Oldest != service.Oldest || !slices.Equal(is.Members, service.Members) ||
			!slices.Equal(is.usable, service.usable) || !slices.Equal(is.trials, service.trials) || !slices.Equal(is.lastHope, service.lastHope) {
			return fmt.Sprintf("%v is %+v, not %+v", service.Name, is, service)
		}
	}
	if s.Version == 0 {
		return ""
	}
	table, conflicts := newRouteTable(s.services)
	if !slices.Equal(conflicts, s.Conflicts) {
		return fmt.Sprintf("conflicts %v, not %v", s.Conflicts, conflicts)
	}
	return tablesDiffer(s.routes, table)
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{1, 3, 100} {
		b.Run(fmt.Sprintf("%d backends", n), func(b *testing.B) {
			r := NewRegistry(quiet(), time.Minute)
			var roll []Entry
			for i := range n {
				roll = append(roll, backendOf("shop", fmt.Sprint("web-", i)))
			}
			r.Replace(engineA, roll)
			connectAll(r)
			s := r.Snapshot()
			var x Exchange
			startExchange(&x, r, &Patience{}, s, s.Service("shop"))
			b.ReportAllocs()
			for b.Loop() {
				if s.Service("shop").Pick(&x) == nil {
					b.Fatal("none")
				}
			}
		})
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	r := newTestRegistry(t)
	r.Replace(engineA, []Entry{backendOf("shop", "web-1"), backendOf("shop", "web-2")})
	connectAll(r)
	s := r.Snapshot()
	service := s.Service("shop")
	var x Exchange
	startExchange(&x, r, &Patience{}, s, service)
	if n := testing.AllocsPerRun(100, func() { service.Pick(&x) }); n != 0 {
		t.Errorf("a pick makes %v allocations", n)
	}
}
