package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall/internal/docker"
	"rollcall/internal/docker/dockertest"
)

var helloRules = Rules{Images: []string{"hello"}, Domain: "localhost", Address: AddressAuto}

const testInterval = 3 * time.Second

// rollcallInMemory is a rollcall without its listeners, in a synctest bubble.
type rollcallInMemory struct {
	*Registry
	registrar *Registrar
	engine    *engineInMemory
	stop      func() error // ends it and waits for that
}

func newRollcallInMemory(t testing.TB, log *slog.Logger, engine *engineInMemory) *rollcallInMemory {
	r := &rollcallInMemory{Registry: NewRegistry(log, 30*time.Second), engine: engine}
	r.registrar = NewRegistrar(engine, r.Registry, helloRules, testInterval, log)
	r.registrar.window = dockerBridge
	return r
}

// start runs registrar and health checks.
func (r *rollcallInMemory) start(t testing.TB) {
	ctx, cancel := context.WithCancel(t.Context())
	health := NewHealth(r.Registry)
	health.dial = r.engine.dial(t)
	var group errgroup.Group
	r.registrar.poll(ctx)
	group.Go(func() error { return r.registrar.Run(ctx) })
	group.Go(func() error { return health.Run(ctx) })
	r.stop = func() error {
		cancel()
		return group.Wait()
	}
	synctest.Wait()
}

// states is what the registry knows, as "web-1 healthy, web-2 stopped".
func (r *rollcallInMemory) states() string {
	var list []string
	for _, m := range r.List() {
		list = append(list, m.Name+" "+m.State.String())
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func (r *rollcallInMemory) want(t testing.TB, when, states string) {
	t.Helper()
	if got := r.states(); got != states {
		t.Errorf("%s: the registry knows %q, want %q", when, got, states)
	}
}

// inBubble runs a test with time of its own against a running rollcall.
func inBubble(t *testing.T, containers []listed, test func(t *testing.T, r *rollcallInMemory, e *engineInMemory)) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngineInMemory(containers...)
		r := newRollcallInMemory(t, logTo(t), e)
		r.start(t)
		pass(100 * time.Millisecond)
		test(t, r, e)
		if err := r.stop(); err != nil {
			t.Errorf("Run ended with an error: %v", err)
		}
	})
}

func TestPollFindsContainers(t *testing.T) {
	stopped := hello("web-3", "172.17.0.4", inState("exited"), configured(8080))
	inBubble(t, []listed{hello("web-1", "172.17.0.2"), hello("web-2", "172.17.0.3"), stopped, container("db", image("postgres"))},
		func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
			r.want(t, "at first", "web-1 healthy, web-2 healthy, web-3 stopped")
			if got := member(t, r.Registry, "web-1").Address(); got != "172.17.0.2:8080" {
				t.Errorf("web-1 is at %s", got)
			}
		})
}

// The basic design ignores the error of a list, and takes the nil list for an
// engine without containers.
func TestFailingListKeepsTheRoll(t *testing.T) {
	inBubble(t, []listed{hello("web-1", "172.17.0.2")}, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
		before := r.Snapshot()
		e.fails(errors.New("no engine"))
		pass(time.Hour)
		if r.Snapshot() != before {
			t.Errorf("the failing list changed the registry: %s", r.states())
		}
		if roll := r.registrar.Roll(); roll.Err == nil || len(roll.Verdicts) != 1 || roll.At.IsZero() {
			t.Errorf("the roll is %+v", roll)
		}
		if err := r.registrar.Ready(); err != nil {
			t.Errorf("rollcall is not ready any more: %v", err)
		}
		e.fails(nil)
		e.runs(hello("web-2", "172.17.0.3"))
		pass(testInterval)
		r.want(t, "one poll after the engine is back", "web-2 healthy")
		if roll := r.registrar.Roll(); roll.Err != nil {
			t.Errorf("the roll says %v", roll.Err)
		}
	})
}

func TestRemovedContainerIsGoneAfterOnePoll(t *testing.T) {
	inBubble(t, []listed{hello("web-1", "172.17.0.2"), hello("web-2", "172.17.0.3")}, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
		e.runs(hello("web-2", "172.17.0.3"))
		pass(testInterval)
		r.want(t, "after docker rm -f web-1", "web-2 healthy")
		e.runs()
		pass(testInterval)
		r.want(t, "after docker rm -f web-2", "")
	})
}

func TestRemovedContainerIsGoneAtOnceWithEvents(t *testing.T) {
	inBubble(t, []listed{hello("web-1", "172.17.0.2"), hello("web-2", "172.17.0.3")}, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
		e.isSlow(time.Second) // the poll is not what makes it quick
		e.tell("destroy", "web-1")
		synctest.Wait()
		r.want(t, "at the destroy event", "web-2 healthy")
	})
}

// The basic design has each tick start a poll, whether or not the last one has
// ended.
func TestSlowPollsDoNotPileUp(t *testing.T) {
	inBubble(t, []listed{hello("web-1", "172.17.0.2")}, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
		e.isSlow(10 * testInterval)
		before, _, _ := e.calls()
		for range 100 {
			e.tell("start", "web-9")
			pass(testInterval)
		}
		lists, most, _ := e.calls()
		if most != 1 {
			t.Errorf("%d lists at one time", most)
		}
		if n := lists - before; n < 9 || n > 12 {
			t.Errorf("%d lists in the time of 10", n)
		}
	})
}

// The basic design's loop can't be stopped.
func TestLoopEnds(t *testing.T) {
	cases := map[string]func(e *engineInMemory){
		"idle":            func(*engineInMemory) {},
		"within a list":   func(e *engineInMemory) { e.isSlow(time.Hour) },
		"engine is down":  func(e *engineInMemory) { e.fails(errors.New("no engine")) },
		"stream is down":  func(e *engineInMemory) { e.mu.Lock(); e.deaf = errors.New("no stream"); e.mu.Unlock(); e.cut() },
		"nobody connects": func(e *engineInMemory) { e.runs(hello("web-1", "172.17.0.99")) },
	}
	for name, trouble := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, []listed{hello("web-1", "172.17.0.2")}, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
				trouble(e)
				pass(testInterval + time.Second)
				before := time.Now()
				if err := r.stop(); err != nil {
					t.Error(err)
				}
				// A bubble that ends with goroutines in it fails by itself.
				if took := time.Since(before); took > dialTimeout {
					t.Errorf("it took %s to end", took)
				}
				lists, _, _ := e.calls()
				pass(time.Hour)
				if after, _, _ := e.calls(); after != lists {
					t.Error("it polls on after its end")
				}
			})
		})
	}
}

func TestEventsMakeThePollComeSooner(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
		before, _, _ := e.calls()
		e.runs(hello("web-1", "172.17.0.2"))
		e.tell("start", "web-1")
		pass(50 * time.Millisecond)
		r.want(t, "50 ms after the start event", "web-1 healthy")
		if lists, _, _ := e.calls(); lists == before {
			t.Error("no poll was made")
		}
	})
}

func TestEventsAreCoalesced(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
		before, _, _ := e.calls()
		for i := range 100 {
			e.tell("start", fmt.Sprint("web-", i))
		}
		pass(500 * time.Millisecond)
		if lists, _, _ := e.calls(); lists-before < 1 || lists-before > 3 {
			t.Errorf("100 events made %d polls", lists-before)
		}
		before, _, _ = e.calls()
		for i := range 100 { // spread over a second, as compose up does
			e.tell("start", fmt.Sprint("web-", i))
			pass(10 * time.Millisecond)
		}
		if lists, _, _ := e.calls(); lists-before > 55 {
			t.Errorf("100 events in a second made %d polls", lists-before)
		}
	})
}

func TestLostStreamIsOpenedAgain(t *testing.T) {
	inBubble(t, []listed{hello("web-1", "172.17.0.2")}, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
		e.mu.Lock()
		e.deaf = errors.New("refused")
		e.mu.Unlock()
		e.cut()
		before, _, watches := e.calls()
		pass(time.Minute)
		lists, _, again := e.calls()
		if n := lists - before; n < 20 {
			t.Errorf("%d polls in a minute without events, want at least 20", n)
		}
		// 100 ms, 200 ms … 5 s
		if n := again - watches; n < 10 || n > 25 {
			t.Errorf("the stream was opened %d times in a minute", n)
		}
		e.mu.Lock()
		opened, longest := e.opened, time.Duration(0)
		e.deaf = nil
		e.mu.Unlock()
		for i := range opened[1:] {
			longest = max(longest, opened[i+1].Sub(opened[i]))
		}
		if longest > 5*time.Second {
			t.Errorf("the longest pause before a new stream is %s", longest)
		}
		pass(6 * time.Second)
		e.runs(hello("web-1", "172.17.0.2"), hello("web-2", "172.17.0.3"))
		e.tell("start", "web-2")
		pass(50 * time.Millisecond)
		r.want(t, "50 ms after an event on the new stream", "web-1 healthy, web-2 healthy")
	})
}

func TestHoursOfPolling(t *testing.T) {
	inBubble(t, []listed{hello("web-1", "172.17.0.2")}, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
		before := r.Snapshot()
		lists, _, _ := e.calls()
		pass(10 * time.Hour)
		after, _, _ := e.calls()
		if n, want := after-lists, int(10*time.Hour/testInterval); n < want-1 || n > want+1 {
			t.Errorf("%d polls in ten hours, want %d", n, want)
		}
		if r.Snapshot() != before {
			t.Error("something was published though nothing changed")
		}
	})
}

func TestOnlyChangesOfTheEngineAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, book := logToBook(t, slog.LevelInfo)
		e := newEngineInMemory(hello("web-1", "172.17.0.2", label("rollcall.prot", "80")))
		r := newRollcallInMemory(t, log, e)
		r.start(t)
		pass(time.Hour)
		e.fails(errors.New("no engine"))
		pass(time.Hour)
		e.fails(errors.New("permission denied"))
		pass(time.Hour)
		e.fails(nil)
		pass(time.Hour)
		for words, want := range map[string]int{
			"engine answers": 2, "engine answers again": 1, "no engine": 1, "permission denied": 1, "rollcall.prot": 1,
		} {
			if got := book.count(words); got != want {
				t.Errorf("%d lines with %q, want %d", got, words, want)
			}
		}
		if lines := strings.Count(book.String(), "\n"); lines > 10 {
			t.Errorf("%d lines in four hours:\n%s", lines, book)
		}
		r.stop()
	})
}

// The basic design never looks at a known ID again; a container that restarts
// has another address under it.
func TestRestartedContainerHasItsNewAddress(t *testing.T) {
	for _, how := range []string{"unseen", "seen stopped"} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, []listed{hello("web-1", "172.17.0.2")}, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
				if how == "seen stopped" {
					e.runs(hello("web-1", "172.17.0.2", inState("exited"), configured(8080)))
					pass(testInterval)
					r.want(t, "after docker stop", "web-1 stopped")
				}
				e.runs(hello("web-1", "172.17.0.7"))
				pass(testInterval + 100*time.Millisecond)
				r.want(t, "after docker start", "web-1 healthy")
				if got := member(t, r.Registry, "web-1").Address(); got != "172.17.0.7:8080" {
					t.Errorf("requests go to %s, it is at 172.17.0.7", got)
				}
			})
		})
	}
}

// The basic design loses a container as soon as its tag names another image: the
// list then shows an ID.
func TestRebuiltTagKeepsTheContainer(t *testing.T) {
	inBubble(t, []listed{hello("web-1", "172.17.0.2")}, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
		before := member(t, r.Registry, "web-1").Backend
		e.runs(hello("web-1", "172.17.0.2", rebuilt("hello")), hello("web-2", "172.17.0.3", bornAt(2000)), container("db", rebuilt("postgres")))
		pass(testInterval + 100*time.Millisecond)
		r.want(t, "after docker build -t hello", "web-1 healthy, web-2 healthy")
		if member(t, r.Registry, "web-1").Backend != before {
			t.Error("the running container became another backend")
		}
	})
}

func TestStoppedContainersStayKnown(t *testing.T) {
	for _, state := range []string{"created", "exited", "restarting", "removing", "dead"} {
		t.Run(state, func(t *testing.T) {
			inBubble(t, []listed{hello("web-1", "172.17.0.2")}, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
				e.runs(hello("web-1", "172.17.0.2", inState(state), configured(8080)))
				pass(testInterval)
				r.want(t, "when it is "+state, "web-1 stopped")
				if r.Snapshot().Route("hello.localhost", "/") == nil {
					t.Error("its service has no route any more")
				}
			})
		})
	}
}

func TestPausedContainerLeaves(t *testing.T) {
	inBubble(t, []listed{hello("web-1", "172.17.0.2")}, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
		e.runs(hello("web-1", "172.17.0.2", inState("paused")))
		e.tell("pause", "web-1")
		pass(50 * time.Millisecond)
		r.want(t, "50 ms after docker pause", "web-1 paused")
		e.runs(hello("web-1", "172.17.0.2"))
		e.tell("unpause", "web-1")
		pass(50 * time.Millisecond)
		r.want(t, "50 ms after docker unpause", "web-1 healthy")
	})
}

func TestKillEventDrainsAtOnce(t *testing.T) {
	quits := func(c *listed) { c.config.StopSignal = "SIGQUIT" }
	cases := []struct {
		signal, container string
		want              State
	}{
		{"SIGTERM", "web-1", Draining},
		{"SIGKILL", "web-1", Draining},
		{"SIGHUP", "web-1", Healthy},
		{"SIGUSR1", "web-1", Healthy},
		{"SIGQUIT", "web-1", Healthy},
		{"SIGQUIT", "quits", Draining},
		{"SIGTERM", "quits", Draining},
	}
	for _, c := range cases {
		t.Run(c.signal+" to "+c.container, func(t *testing.T) {
			inBubble(t, []listed{hello("web-1", "172.17.0.2"), hello("quits", "172.17.0.3", quits)}, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
				e.isSlow(time.Second) // the list knows nothing of it anyway
				e.tell("kill", c.container, c.signal)
				synctest.Wait()
				if m := member(t, r.Registry, c.container); m.State != c.want {
					t.Errorf("it is %v: %s", m.State, m.Reason)
				}
			})
		})
	}
}

func TestContainerThatIgnoresItsStopComesBack(t *testing.T) {
	patient := func(c *listed) { c.config.StopTimeout = 30 * time.Second }
	inBubble(t, []listed{hello("web-1", "172.17.0.2", patient)}, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
		e.tell("kill", "web-1", "SIGTERM")
		pass(30 * time.Second)
		r.want(t, "within its stop timeout", "web-1 draining")
		pass(3 * time.Second)
		r.want(t, "after its stop timeout", "web-1 healthy")
	})
}

// A new life whose start event was lost: the list says running, as it did all
// the time.
func TestLostStartEventIsMadeUpFor(t *testing.T) {
	inBubble(t, []listed{hello("web-1", "172.17.0.2")}, func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
		e.tell("kill", "web-1", "SIGTERM")
		synctest.Wait()
		r.want(t, "at the kill event", "web-1 draining")
		pass(500 * time.Millisecond)
		e.mu.Lock()
		e.started[idOf("web-1")] = time.Now()
		e.mu.Unlock()
		pass(testInterval + 100*time.Millisecond)
		r.want(t, "one poll after docker restart", "web-1 healthy")
	})
}

func TestOfOtherContainersOnlyTheListIsAsked(t *testing.T) {
	inBubble(t, []listed{container("db", image("postgres")), container("cache", image("redis:7"))},
		func(t *testing.T, r *rollcallInMemory, e *engineInMemory) {
			pass(time.Minute)
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.inspects != 0 {
				t.Errorf("%d inspects of containers that are no backends", e.inspects)
			}
			if len(e.kept) != 2 {
				t.Errorf("the cache keeps %d of 2 containers", len(e.kept))
			}
		})
}

func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngineInMemory(hello("web-1", "172.17.0.2"))
		r := newRollcallInMemory(t, logTo(t), e)
		if r.registrar.Ready() == nil {
			t.Error("ready before the engine was asked")
		}
		e.fails(errors.New("no engine"))
		r.start(t)
		pass(time.Minute)
		if err := r.registrar.Ready(); err == nil || !strings.Contains(err.Error(), "no engine") {
			t.Errorf("without an engine it says %v", err)
		}
		if r.Len() != 0 {
			t.Error("it found something all the same")
		}
		e.fails(nil)
		pass(testInterval + 100*time.Millisecond)
		if err := r.registrar.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		r.want(t, "when the engine came", "web-1 healthy")
		r.stop()
	})
}

func TestPollsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngineInMemory()
		r := newRollcallInMemory(t, logTo(t), e)
		var good, bad int
		r.registrar.polled = func(engine string, took time.Duration, err error) {
			if engine != e.Host() || took != time.Second {
				t.Errorf("a poll of %s took %s", engine, took)
			}
			if err != nil {
				bad++
			} else {
				good++
			}
		}
		e.isSlow(time.Second)
		r.registrar.poll(t.Context())
		e.fails(errors.New("no engine"))
		r.registrar.poll(t.Context())
		if good != 1 || bad != 1 {
			t.Errorf("%d good and %d failed polls", good, bad)
		}
	})
}

// The following ask an engine over HTTP, in real time.

// newRegistrarAt returns a registrar of the fake engine that speaks the real
// API.
func newRegistrarAt(t *testing.T, engine *dockertest.Engine, timeout time.Duration) *Registrar {
	client, err := docker.New(docker.Options{Host: engine.Host(), Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	r := NewRegistrar(client, newTestRegistry(t), helloRules, 100*time.Millisecond, logTo(t))
	r.window = dockerBridge
	return r
}

func TestEngineTrouble(t *testing.T) {
	troubles := []struct {
		name  string
		begin func(e *dockertest.Engine)
	}{
		{"down", (*dockertest.Engine).Down},
		{"killed", (*dockertest.Engine).DownHard},
		{"lists fail", func(e *dockertest.Engine) { e.FailLists(-1, 500) }},
		{"lists are cut off", func(e *dockertest.Engine) { e.TruncateLists(-1) }},
		{"lists are null", func(e *dockertest.Engine) { e.GarbleLists(-1, "null") }},
		{"lists are no JSON", func(e *dockertest.Engine) { e.GarbleLists(-1, "<html>proxy error</html>") }},
		{"lists hang", func(e *dockertest.Engine) { e.HangLists(-1) }},
	}
	for _, trouble := range troubles {
		t.Run(trouble.name, func(t *testing.T) {
			engine := dockertest.New(t)
			engine.Add(dockertest.Name("web-1"), dockertest.Exposed("8080/tcp"))
			r := newRegistrarAt(t, engine, 200*time.Millisecond)
			if err := r.poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := r.registry.Snapshot()
			if before.Len() != 1 {
				t.Fatalf("the registry has %d backends, not 1", before.Len())
			}
			trouble.begin(engine)
			for range 2 {
				err := r.poll(t.Context())
				if err == nil {
					t.Fatal("the poll succeeded")
				}
				if text := err.Error(); strings.ContainsAny(text, "\n") {
					t.Errorf("the error is more than one line: %q", text)
				}
			}
			if r.registry.Snapshot() != before {
				t.Error("it changed the registry")
			}
			if err := r.Ready(); err != nil {
				t.Errorf("rollcall is not ready any more: %v", err)
			}
			engine.Heal()
			engine.Add(dockertest.Name("web-2"), dockertest.Exposed("8080/tcp"))
			if err := r.poll(t.Context()); err != nil {
				t.Fatalf("one poll after it is healed: %v", err)
			}
			if r.registry.Len() != 2 {
				t.Errorf("one poll after it is healed, the registry has %d backends, not 2", r.registry.Len())
			}
		})
	}
}

func TestStartWithoutEngine(t *testing.T) {
	engine := dockertest.New(t)
	engine.Add(dockertest.Name("web-1"), dockertest.Exposed("8080/tcp"))
	engine.Down()
	r := newRegistrarAt(t, engine, time.Second)
	r.poll(t.Context())
	if err := r.Ready(); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(engine.Host(), "unix://")) {
		t.Errorf("without an engine it says %v; want the socket's path in it", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group errgroup.Group
	group.Go(func() error { return r.Run(ctx) })
	engine.Up()
	eventually(t, "rollcall is ready when the engine is there", func() bool { return r.Ready() == nil })
	engine.AwaitStreams(1)
	id := engine.Add(dockertest.Name("web-2"), dockertest.Exposed("8080/tcp"))
	eventually(t, "web-2 is in the registry", func() bool { return len(r.registry.Lookup(id)) == 1 })
	engine.Remove(id, true)
	eventually(t, "web-2 is gone", func() bool { return len(r.registry.Lookup(id)) == 0 })
	cancel()
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// A bubble has no sockets; this is TestRebuiltTagKeepsTheContainer with the
// engine's own way of showing it.
func TestRebuiltTagOverHTTP(t *testing.T) {
	engine := dockertest.New(t)
	id := engine.Add(dockertest.Name("web-1"), dockertest.Image("hello:v1"), dockertest.Exposed("8080/tcp"))
	other := engine.Add(dockertest.Name("db"), dockertest.Image("othello"), dockertest.Exposed("8080/tcp"))
	r := newRegistrarAt(t, engine, 5*time.Second)
	r.poll(t.Context())
	before := r.registry.Snapshot()
	engine.Rebuild("hello:v1")
	engine.Rebuild("othello")
	r.poll(t.Context())
	if len(r.registry.Lookup(id)) != 1 || r.registry.Snapshot() != before {
		t.Error("the container left, or became another backend, when its tag was rebuilt")
	}
	if len(r.registry.Lookup(other)) != 0 {
		t.Error("othello is taken for hello")
	}
}
