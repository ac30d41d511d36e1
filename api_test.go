package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// shop is a stand with two services, one of them of two containers, and
// containers that are not used.
func shopStand(t testing.TB) *adminStand {
	return newAdminStand(t,
		hello("shop-2", "172.17.0.3", bornAt(2000), labelled("rollcall.service=shop", "rollcall.host=shop.example.com,*.shop.example.com", "rollcall.path=/,/cart", "rollcall.weight=3")),
		hello("shop-1", "172.17.0.2", bornAt(1000), labelled("rollcall.service=shop", "rollcall.host=shop.example.com,*.shop.example.com", "rollcall.path=/,/cart", "rollcall.weight=3")),
		hello("api", "172.17.0.4", bornAt(3000), labelled("rollcall.service=api", "rollcall.host=shop.example.com", "rollcall.path=/api", "rollcall.strip=true", "rollcall.priority=5", "rollcall.sticky=who", "rollcall.balance=hash:ip")),
		container("db", image("postgres:17")),
		hello("off", "172.17.0.9", labelled("rollcall.enable=false")),
		hello("typo", "172.17.0.8", bornAt(4000), labelled("rollcall.prot=80")),
	)
}

func TestServices(t *testing.T) {
	s := shopStand(t)
	var services []serviceView
	s.get("/v1/services", &services)
	var names []string
	for _, service := range services {
		names = append(names, service.Name)
	}
	if want := []string{"api", "hello", "shop"}; !slices.Equal(names, want) {
		t.Fatalf("services are %v, want %v", names, want)
	}
	shop := services[2]
	wantRoutes := []routeView{
		{"*.shop.example.com", "/", 0, false, "*.shop.example.com/"},
		{"*.shop.example.com", "/cart", 0, false, "*.shop.example.com/cart"},
		{"shop.example.com", "/", 0, false, "shop.example.com/"},
		{"shop.example.com", "/cart", 0, false, "shop.example.com/cart"},
	}
	if !reflect.DeepEqual(shop.Routes, wantRoutes) {
		t.Errorf("routes are %+v", shop.Routes)
	}
	if shop.Balance != "round-robin" || shop.Sticky != "" || !shop.Oldest.Equal(time.Unix(1000, 0)) || shop.Healthy != 2 {
		t.Errorf("the service is %+v", shop)
	}
	if len(shop.Backends) != 2 || shop.Backends[0].Container != "shop-1" || shop.Backends[1].Container != "shop-2" {
		t.Fatalf("its backends are %+v, want them by age", shop.Backends)
	}
	first := shop.Backends[0]
	if first.Address != "172.17.0.2:8080" || first.State != Healthy || first.Weight != 3 || first.Engine != "unix:///in/memory" ||
		first.ContainerID != idOf("shop-1") || first.Since.IsZero() || first.Since.Location() != time.UTC {
		t.Errorf("the first is %+v", first)
	}

	var one serviceView
	s.get("/v1/services/shop", &one)
	if !reflect.DeepEqual(one, shop) {
		t.Errorf("alone it is %+v", one)
	}
	s.get("/v1/services/api", &one)
	if one.Sticky != "who" || one.Balance != "hash:ip" || !reflect.DeepEqual(one.Routes, []routeView{{"shop.example.com", "/api", 5, true, "shop.example.com/api"}}) {
		t.Errorf("api is %+v", one)
	}
	if answer, body := s.ask("GET", "/v1/services/shoop"); answer.StatusCode != 404 || !strings.Contains(string(body), `no service has the name \"shoop\"`) {
		t.Errorf("an unknown one: %d %s", answer.StatusCode, body)
	}
}

func TestNothingIsAnEmptyList(t *testing.T) {
	s := newAdminStand(t)
	for _, path := range []string{"/v1/services", "/v1/backends", "/v1/containers", "/v1/prometheus"} {
		if _, body := s.ask("GET", path); strings.TrimSpace(string(body)) != "[]" {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestContainers(t *testing.T) {
	s := shopStand(t)
	var containers []containerView
	s.get("/v1/containers", &containers)
	if !slices.IsSortedFunc(containers, func(a, b containerView) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("they are not sorted: %+v", containers)
	}
	seen := map[string]containerView{}
	for _, c := range containers {
		seen[c.Name] = c
	}
	if db := seen["db"]; db.Used || !strings.Contains(db.Reason, "matches no --image") || !strings.Contains(db.Advice, "give it a label such as rollcall.host=") {
		t.Errorf("db is %+v", db)
	}
	if off := seen["off"]; off.Used || off.Advice != "remove the label rollcall.enable=false" {
		t.Errorf("off is %+v", off)
	}
	if typo := seen["typo"]; !typo.Used || typo.Advice != "" || len(typo.Warnings) != 1 || !slices.Equal(typo.Backends, []string{"hello"}) {
		t.Errorf("typo is %+v", typo)
	}
}

func TestWhyOverTheAPI(t *testing.T) {
	s := shopStand(t)
	var x Explanation
	s.get("/v1/why?target=http://shop.example.com/cart", &x)
	if !x.Good || x.Service != "shop" || x.Route != "shop.example.com/cart" {
		t.Errorf("%+v", x)
	}
	if answer, body := s.ask("GET", "/v1/why"); answer.StatusCode != 400 || !strings.Contains(string(body), "the parameter target is missing") {
		t.Errorf("without a target: %d %s", answer.StatusCode, body)
	}
}

func TestDrainOverTheAPI(t *testing.T) {
	s := shopStand(t)
	answer, body := s.ask("POST", "/v1/backends/shop-1/drain")
	if answer.StatusCode != 200 || !strings.Contains(string(body), `"draining"`) {
		t.Errorf("drain: %d %s", answer.StatusCode, body)
	}
	if version := fmt.Sprint(s.Snapshot().Version); answer.Header.Get("Rollcall-Version") != version {
		t.Errorf("the answer is of version %s, the registry has %s", answer.Header.Get("Rollcall-Version"), version)
	}
	if answer, body = s.ask("POST", "/v1/backends/"+idOf("shop-1")[:6]+"/undrain"); answer.StatusCode != 200 || !strings.Contains(string(body), `"healthy"`) {
		t.Errorf("undrain: %d %s", answer.StatusCode, body)
	}
	if answer, body = s.ask("POST", "/v1/backends/nobody/drain"); answer.StatusCode != 404 || !strings.Contains(string(body), "rollcall ps") {
		t.Errorf("an unknown container: %d %s", answer.StatusCode, body)
	}
}

func TestEngine(t *testing.T) {
	s := newAdminStand(t, hello("web-1", "172.17.0.2"))
	var good, lost, back engineView
	s.get("/v1/engine", &good)
	if !good.Good || good.Error != "" || good.Engine != "unix:///in/memory" || good.Since == nil || good.LastGoodPoll == nil || good.Age == nil || *good.Age > 60 || good.Interval != s.registrar.interval.Seconds() {
		t.Errorf("answering it is %+v", good)
	}
	s.engine.fails(errors.New("no engine"))
	s.poll()
	s.get("/v1/engine", &lost)
	if lost.Good || lost.Error != "no engine" || !lost.LastGoodPoll.Equal(*good.LastGoodPoll) || !lost.Since.After(*good.Since) {
		t.Errorf("lost it is %+v", lost)
	}
	s.engine.fails(nil)
	s.poll()
	s.get("/v1/engine", &back)
	if !back.Good || back.Error != "" || !back.Since.After(*lost.Since) {
		t.Errorf("back it is %+v", back)
	}
}

func TestEngineThatNeverAnswered(t *testing.T) {
	s := newAdminStand(t)
	s.registrar.roll.Store(&Roll{Engine: "unix:///in/memory"})
	var view engineView
	s.get("/v1/engine", &view)
	if view.Good || view.Error != "the engine has not been asked yet" || view.Since != nil || view.LastGoodPoll != nil || view.Age != nil {
		t.Errorf("before the first poll it is %+v", view)
	}
}

func TestEventsTellTheLifeOfABackend(t *testing.T) {
	s := newAdminStand(t, hello("web-1", "172.17.0.2"))
	id := idOf("web-1")
	b := member(t, s.Registry, "web-1").Backend
	s.Drain(id, "it was drained by hand")
	s.Undrain(id)
	s.Eject(b, "5 requests in a row failed")
	s.Recovered(b)
	s.engine.fails(errors.New("no engine"))
	s.poll()
	s.poll() // the same failure is no news
	s.engine.fails(nil)
	s.engine.runs(hello("web-1", "172.17.0.2", inState("exited"), configured(8080)))
	s.poll()
	s.engine.runs(hello("web-1", "172.17.0.2"))
	s.poll()
	s.engine.runs()
	s.poll()

	var events []Event
	s.get("/v1/events", &events)
	var told []string
	for i, e := range events {
		told = append(told, e.Kind+": "+e.Was+"→"+e.State)
		if e.ID != uint64(i+1) {
			t.Errorf("event %d has the ID %d", i+1, e.ID)
		}
		if isEngine := strings.HasPrefix(e.Kind, "engine-"); isEngine != (e.Container == "") || isEngine != (e.ContainerID == "") || isEngine != (e.Service == "") {
			t.Errorf("%+v", e)
		}
		if e.Reason == "" {
			t.Errorf("%s has no reason", e.Kind)
		}
	}
	want := []string{
		"started: →starting", "engine-back: →", "ready: starting→healthy",
		"draining: healthy→draining", "ready: draining→healthy",
		"ejected: healthy→unhealthy", "ready: unhealthy→healthy",
		"engine-lost: →", "engine-back: →",
		"stopped: healthy→stopped", "started: stopped→starting", "gone: starting→",
	}
	slices.Sort(want[:2]) // the first poll tells both
	slices.Sort(told[:2])
	if !slices.Equal(told, want) {
		t.Errorf("told: %q\nwant: %q", told, want)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	var h History
	if events := h.Events(); len(events) != 0 {
		t.Errorf("at first: %v", events)
	}
	for n := range 3*historyLength + 7 {
		h.add(Event{Reason: fmt.Sprint(n)})
		events := h.Events()
		if last := events[len(events)-1]; len(events) != min(n+1, historyLength) || last.Reason != fmt.Sprint(n) || last.ID != uint64(n+1) {
			t.Fatalf("after %d: %d events, the last is %+v", n+1, len(events), last)
		}
		for i, e := range events {
			if want := uint64(n + 2 - len(events) + i); e.ID != want {
				t.Fatalf("after %d: event %d has the ID %d, want %d", n+1, i, e.ID, want)
			}
		}
	}
}

func TestTargetsForPrometheus(t *testing.T) {
	s := newAdminStand(t, hello("web-1", "172.17.0.2"), hello("web-2", "172.17.0.3", inState("paused")), container("web-3", inState("exited"), configured(8080)))
	var groups []targetView
	s.get("/v1/prometheus", &groups)
	want := []targetView{}
	for _, c := range []struct{ name, address, state string }{{"web-1", "172.17.0.2:8080", "healthy"}, {"web-2", "172.17.0.3:8080", "paused"}} {
		want = append(want, targetView{[]string{c.address}, map[string]string{
			"__meta_rollcall_service": "hello", "__meta_rollcall_container": c.name, "__meta_rollcall_container_id": idOf(c.name),
			"__meta_rollcall_engine": "unix:///in/memory", "__meta_rollcall_state": c.state, "__meta_rollcall_scheme": "http"}})
	}
	slices.SortFunc(want, func(a, b targetView) int {
		return strings.Compare(a.Labels["__meta_rollcall_container_id"], b.Labels["__meta_rollcall_container_id"])
	})
	if !reflect.DeepEqual(groups, want) {
		t.Errorf("got %+v\nwant %+v", groups, want)
	}
}

func TestTheTagStandsForTheAnswer(t *testing.T) {
	s := shopStand(t)
	for _, path := range []string{"/v1/services", "/v1/services/shop", "/v1/backends", "/v1/containers", "/v1/why?target=shop-1", "/v1/events", "/v1/prometheus", "/v1/openapi.json"} {
		first, _ := s.ask("GET", path)
		tag := first.Header.Get("ETag")
		again, body := s.ask("GET", path, "If-None-Match", `"other", `+tag)
		if again.StatusCode != http.StatusNotModified || len(body) > 0 || again.Header.Get("ETag") != tag {
			t.Errorf("%s: the same again: %d %q", path, again.StatusCode, body)
		}
		if head, _ := s.ask("HEAD", path); head.StatusCode != 200 || head.Header.Get("ETag") != tag || head.ContentLength <= 0 {
			t.Errorf("%s: HEAD: %d, %v", path, head.StatusCode, head.Header)
		}
		if other, body := s.ask("GET", path, "If-None-Match", `"other"`, "Range", "bytes=0-3"); other.StatusCode != 200 || len(body) == 0 {
			t.Errorf("%s: another tag: %d %q", path, other.StatusCode, body)
		}
	}
	before, _ := s.ask("GET", "/v1/backends")
	member(t, s.Registry, "shop-1").Begin() // no new version, but another answer
	if answer, _ := s.ask("GET", "/v1/backends", "If-None-Match", before.Header.Get("ETag")); answer.StatusCode != 200 {
		t.Errorf("with another counter: %d", answer.StatusCode)
	}
	for _, path := range []string{"/v1/engine", "/v1/traffic"} {
		if answer, _ := s.ask("GET", path); answer.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept: %v", path, answer.Header)
		}
	}
}

// What goes through the proxy is counted at the backend that answered it.
func TestTraffic(t *testing.T) {
	s := newStand(t, time.Second)
	entered, leave := make(chan struct{}), make(chan struct{})
	s.serves(s.runs("shop", "web-1", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/malformed":
			conn, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(conn, "no HTTP\r\n\r\n")
			conn.Close()
		case "/failing":
			w.WriteHeader(503)
		case "/slow":
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			close(entered)
			<-leave
		}
	}))
	admin := newAdminStand(t)
	admin.admin.registry = s.registry
	s.ask("GET", "/", "shop.localhost", "")
	s.ask("GET", "/failing", "shop.localhost", "")
	s.ask("POST", "/malformed", "shop.localhost", "")
	var slow sync.WaitGroup
	slow.Go(func() { s.ask("GET", "/slow", "shop.localhost", "") })
	defer slow.Wait()
	defer close(leave)
	<-entered
	eventually(t, "the head of /slow has come", func() bool {
		view, heads := trafficView{}, uint64(0)
		admin.get("/v1/traffic", &view)
		b := view.Backends[0]
		for _, n := range b.Buckets {
			heads += n
		}
		if len(b.Buckets) != len(view.Bounds)+1 || b.Service != "shop" || b.ContainerID != idOf("web-1") {
			t.Fatalf("%+v", view)
		}
		// The head of an answer that goes on is counted.
		return heads == 3 && b.InFlight == 1 && b.Requests == 4 && b.Failures == 1 && b.Errors == 1
	})
}

// A retry's time counts from its own beginning, not from the request's.
func TestLatencyIsOfTheAttempt(t *testing.T) {
	b := NewBackend(backendOf("shop", "web-1").Spec)
	for _, took := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, 30 * time.Second, time.Hour} {
		b.answer(200, took)
	}
	view := newBackendTrafficView(b)
	want := make([]uint64, len(latencyBounds)+1)
	want[0], want[1], want[len(want)-2], want[len(want)-1] = 2, 1, 1, 1
	if !slices.Equal(view.Buckets, want) {
		t.Errorf("%v, want %v", view.Buckets, want)
	}
}

func TestCountersSurviveAStop(t *testing.T) {
	r := newTestRegistry(t)
	r.Replace(engineA, []Entry{backendOf("shop", "web-1")})
	b := member(t, r, "web-1").Backend
	b.Begin()
	b.answer(502, 2*time.Millisecond)
	b.End()
	b.failures.Add(3)
	r.Replace(engineA, []Entry{backendOf("shop", "web-1", engineSays(EngineStopped))})
	after := member(t, r, "web-1").Backend
	if after == b {
		t.Fatal("it is the same Backend")
	}
	if got, want := newBackendTrafficView(after), newBackendTrafficView(b); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
