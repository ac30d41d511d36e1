package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// manyServices is a snapshot with n services, each of two hosts, one of them a
// wildcard, and two paths; with priorities, every tenth has one of its own.
func manyServices(n int, priorities bool) *Snapshot {
	roll := make([]Entry, n)
	for i := range roll {
		host := fmt.Sprintf("shop-%d.example.com", i)
		roll[i] = backendOf(fmt.Sprint("service-", i), fmt.Sprint("web-", i), hosts(host+",*."+host), paths("/,/api/v1"))
		if priorities && i%10 == 0 {
			roll[i].Priority = i + 1
		}
	}
	return asIfConnected(roll)
}

// lookups are requests of all kinds for services spread over all of n.
func lookups(n int) (requests [][2]string) {
	for i := range 100 {
		host := fmt.Sprintf("shop-%d.example.com", i*n/100)
		requests = append(requests, [2]string{host, "/cart/7"}, [2]string{host + ":8080", "/api/v1/users/7/orders"},
			[2]string{"www." + host, "/"}, [2]string{"other.example.com", "/a/b/c/d"})
	}
	return requests
}

func BenchmarkRoute(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		for _, priorities := range []bool{false, true} {
			name := fmt.Sprintf("%d services", n)
			if priorities {
				name += fmt.Sprintf(", %d priorities", n/10+1)
			}
			b.Run(name, func(b *testing.B) {
				s, requests := manyServices(n, priorities), lookups(n)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					r := requests[i%len(requests)]
					s.Route(r[0], r[1])
				}
			})
		}
	}
}

// A lookup must cost the same however many services there are. What it costs is
// compared at its best, because other programs run here, too.
func TestRouteCostsTheSameAmongMany(t *testing.T) {
	if raceDetector {
		t.Skip("scripts/test measures without the race detector")
	}
	few, many := manyServices(10, true), manyServices(10000, true)
	fewRequests, manyRequests := lookups(10), lookups(10000)
	best := func(s *Snapshot, requests [][2]string, least time.Duration) time.Duration {
		began := time.Now()
		for range 5 {
			for _, r := range requests {
				s.Route(r[0], r[1])
			}
		}
		return min(least, time.Since(began))
	}
	took, tookMany := time.Hour, time.Hour
	for try := range 500 {
		took, tookMany = best(few, fewRequests, took), best(many, manyRequests, tookMany)
		if try >= 5 && tookMany <= 2*took {
			return
		}
	}
	t.Errorf("a lookup among 10,000 services takes %.1f times what it takes among 10", float64(tookMany)/float64(took))
}

func TestRouteDoesNotAllocate(t *testing.T) {
	s := manyServices(1000, true)
	for _, r := range lookups(1000) {
		if n := testing.AllocsPerRun(10, func() { s.Route(r[0], r[1]) }); n != 0 {
			t.Errorf("a lookup of %s%s makes %v allocations", r[0], r[1], n)
		}
	}
}

// A host of many labels or a path of many segments, as only an attacker sends
// them, costs no more than the longest route makes necessary.
func TestRouteOfLongRequestsIsBounded(t *testing.T) {
	s := manyServices(1000, true)
	for what, request := range map[string][2]string{
		"host": {strings.Repeat("a.", 30<<10) + "example.com", "/"},
		"path": {"shop-1.example.com", strings.Repeat("/a", 30<<10)},
	} {
		began := time.Now()
		for range 100 {
			s.Route(request[0], request[1])
		}
		if took := time.Since(began) / 100; took > 10*time.Millisecond {
			t.Errorf("a %s of 60 KiB takes %s", what, took)
		}
	}
}

// naiveRoute looks at each route there is, as the README says it.
func naiveRoute(s *Snapshot, host, path string) *Route {
	var best *Route
	claimed := false
	for _, r := range s.Routes() {
		switch {
		case r.Host == "", r.Host == "*", r.Host == host, r.Host[0] == '*' && len(host) >= len(r.Host) && strings.HasSuffix(host, r.Host[1:]):
		default:
			continue
		}
		claimed = claimed || r.Host != "*" && r.Host != ""
		if r.Path != "/" && path != r.Path && !strings.HasPrefix(path, r.Path+"/") {
			continue
		}
		if r.Host != "" && (best == nil || cmp.Or(cmp.Compare(r.Priority, best.Priority), cmp.Compare(rank(r.Host), rank(best.Host)), cmp.Compare(len(r.Path), len(best.Path))) > 0) {
			best = r
		}
	}
	if best == nil && !claimed {
		for _, r := range s.Routes() {
			if r.Host == "" {
				return r
			}
		}
	}
	return best
}

// rank is how special a host pattern is.
func rank(host string) int {
	switch {
	case host == "*":
		return 0
	case host[0] == '*':
		return len(host)
	}
	return 1000
}

// anyRoll draws a roll of which everything may collide.
func anyRoll(t *rapid.T) []Entry {
	hostList := rapid.SliceOfN(rapid.SampledFrom([]string{"a.example.com", "b.a.example.com", "*.example.com", "*.a.example.com", "*.com", "*", "example.com"}), 1, 3)
	pathList := rapid.SliceOfN(rapid.SampledFrom([]string{"/", "/a", "/a/b", "/a/b/c", "/ab", "/b"}), 1, 3)
	var roll []Entry
	for i := range rapid.IntRange(1, 12).Draw(t, "containers") {
		e := backendOf(rapid.SampledFrom([]string{"one", "two", "three", "four"}).Draw(t, "service"), fmt.Sprint("web-", i),
			hosts(strings.Join(hostList.Draw(t, "hosts"), ",")), paths(strings.Join(pathList.Draw(t, "paths"), ",")), created(rapid.Int64Range(1, 4).Draw(t, "created")))
		e.Priority = rapid.SampledFrom([]int{0, 0, 0, 1, -1, 7}).Draw(t, "priority")
		e.CatchAll = rapid.IntRange(0, 3).Draw(t, "catch-all") == 0
		e.Doubtful = rapid.IntRange(0, 4).Draw(t, "doubtful") == 0
		if state := rapid.SampledFrom([]EngineState{EngineRunning, EngineRunning, EngineUnhealthy, EngineStopped, EngineStarting}).Draw(t, "engine"); state != EngineRunning {
			engineSays(state)(&e)
		}
		roll = append(roll, e)
	}
	return roll
}

func snapshotOf(roll []Entry) *Snapshot {
	r := NewRegistry(quiet(), time.Minute)
	r.Replace(engineA, roll)
	connectAll(r)
	return r.Snapshot()
}

func TestRouteAgainstANaiveOne(t *testing.T) {
	hostNames := []string{"a.example.com", "b.a.example.com", "c.example.com", "c.b.a.example.com", "example.com", "com", "x.org", ""}
	pathNames := []string{"/", "/a", "/a/", "/a/b", "/a/b/c/d", "/ab", "/abc", "/b/a", "/c"}
	rapid.Check(t, func(t *rapid.T) {
		s := snapshotOf(anyRoll(t))
		for _, host := range hostNames {
			for _, path := range pathNames {
				if got, want := s.Route(host, path), naiveRoute(s, host, path); got != want {
					t.Fatalf("%s%s goes to %v (%d), want %v (%d)\nof %v", host, path, got, got.priority(), want, want.priority(), s.Routes())
				}
			}
		}
	})
}

func (r *Route) priority() int {
	if r == nil {
		return 0
	}
	return r.Priority
}

// dump writes down all that routing knows of the services that are asked for.
func dump(s *Snapshot, of func(service string) bool) string {
	var text strings.Builder
	for _, r := range s.Routes() {
		if of(r.Service.Name) {
			fmt.Fprintf(&text, "route %s priority %d strip %t service %s\n", r, r.Priority, r.Strip(), r.Service.Name)
		}
	}
	for _, service := range s.Services() {
		if !of(service.Name) {
			continue
		}
		fmt.Fprintf(&text, "service %s led by %s since %d\n", service.Name, service.Lead.Name, service.Oldest)
		for _, b := range service.backends {
			fmt.Fprintf(&text, "  %+v\n", b.Spec)
		}
	}
	return text.String()
}

func everyService(string) bool { return true }

// The order in which an engine lists its containers means nothing.
func TestListOrderMeansNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roll := anyRoll(t)
		want := snapshotOf(roll)
		shuffled := slices.Clone(roll)
		for range 5 {
			rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			got := snapshotOf(shuffled)
			if a, b := dump(want, everyService), dump(got, everyService); a != b {
				t.Fatalf("in one order\n%sin another\n%s", a, b)
			}
			if !slices.Equal(want.Conflicts, got.Conflicts) {
				t.Fatalf("in one order %v, in another %v", want.Conflicts, got.Conflicts)
			}
		}
	})
}

// Nor does it where containers are judged.
func TestListOrderMeansNothingToVerdicts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var containers []listed
		for i := range rapid.IntRange(1, 8).Draw(t, "containers") {
			options := []containerOption{image(rapid.SampledFrom([]string{"hello", "app", "shop"}).Draw(t, "image")), bornAt(rapid.Int64Range(1, 3).Draw(t, "created"))}
			for range rapid.IntRange(0, 4).Draw(t, "labels") {
				options = append(options, labelled(rapid.SampledFrom([]string{
					composeProject + "=one", composeProject + "=two", composeService + "=web", composeService + "=shop", "rollcall.enable=true", "rollcall.host=shop.example.com",
					"rollcall.host=web.localhost", "rollcall.service=web", "rollcall.priority=1", "rollcall.hots=x", "rollcall.path=/api", "rollcall.web.path=/x",
				}).Draw(t, "label")))
			}
			containers = append(containers, hello(fmt.Sprint("web-", i), fmt.Sprintf("172.17.0.%d", i+2), options...))
		}
		want, wantVerdicts := judged(containers)
		for range 5 {
			rand.Shuffle(len(containers), func(i, j int) { containers[i], containers[j] = containers[j], containers[i] })
			got, verdicts := judged(containers)
			if verdicts != wantVerdicts {
				t.Fatalf("in one order\n%sin another\n%s", wantVerdicts, verdicts)
			}
			if a, b := dump(want, everyService), dump(got, everyService); a != b || !slices.Equal(want.Conflicts, got.Conflicts) {
				t.Fatalf("in one order\n%s%v\nin another\n%s%v", a, want.Conflicts, b, got.Conflicts)
			}
		}
	})
}

// judged is what becomes of containers: the snapshot, and the verdicts in words.
func judged(containers []listed) (*Snapshot, string) {
	vantage := fromHost(containers...)
	var roll []Entry
	var words []string
	for _, c := range containers {
		v := helloRules.judge(c.Container, c.config, vantage)
		roll = append(roll, v.Entries...)
		words = append(words, fmt.Sprintf("%s %t %s %v\n", v.Name, v.Used, v.Reason, v.Warnings))
	}
	slices.Sort(words)
	return snapshotOf(roll), strings.Join(words, "")
}
