package main

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func weighs(n int) entryOption { return func(e *Entry) { e.Weight = n } }

// pool is a service of n backends, all connected to, with a balancer.
func pool(t testing.TB, balance string, n int, options ...func(i int) entryOption) (*Registry, []Entry) {
	r := NewRegistry(quiet(), time.Minute)
	var roll []Entry
	for i := range n {
		e := backendOf("shop", fmt.Sprint("web-", i), balancedBy(balance), created(int64(i)))
		for _, option := range options {
			option(i)(&e)
		}
		roll = append(roll, e)
	}
	r.Replace(engineA, roll)
	connectAll(r)
	return r, roll
}

// pickFor picks for a request from that address, with that text in a field and
// a cookie.
func pickFor(t testing.TB, r *Registry, key string) *Backend {
	t.Helper()
	request := httptest.NewRequest("GET", "/", nil)
	request.RemoteAddr = key + ":999"
	request.Header = http.Header{"X-User": {key}, "Cookie": {"a=b; session=" + key}}
	var x Exchange
	s := r.Snapshot()
	x.start(r, &Patience{}, s, s.Service("shop"), request, &ForwardedRules{})
	b := s.Service("shop").Pick(&x)
	if b == nil {
		t.Fatal("no backend")
	}
	return b
}

// keysOf are n clients.
func keysOf(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255))
	}
	return keys
}

var hashes = []string{"hash:ip", "hash:header:x-user", "hash:cookie:session"}

func TestHashMovesOnlyTheShareOfWhatChanges(t *testing.T) {
	for _, balance := range hashes {
		t.Run(balance, func(t *testing.T) {
			const n, backends = 2000, 10
			r, roll := pool(t, balance, backends)
			before, counts := map[string]string{}, map[string]int{}
			for _, key := range keysOf(n) {
				id := pickFor(t, r, key).ContainerID
				before[key] = id
				counts[id]++
				if again := pickFor(t, r, key).ContainerID; again != id {
					t.Fatalf("%s goes to two backends", key)
				}
			}
			for id, count := range counts {
				if count < n/backends*8/10 || count > n/backends*12/10 {
					t.Errorf("%s gets %d of %d keys", short(id), count, n)
				}
			}
			moves := func(what string, stays func(old, now string) bool, roll []Entry) {
				t.Helper()
				r.Replace(engineA, roll)
				connectAll(r)
				moved := 0
				for key, old := range before {
					if now := pickFor(t, r, key).ContainerID; now != old {
						moved++
						if stays(old, now) {
							t.Fatalf("%s: %s moved from %s to %s", what, key, short(old), short(now))
						}
					}
				}
				if moved < n/20 || moved > n*3/20 {
					t.Errorf("%s: %d of %d keys moved", what, moved, n)
				}
			}
			gone := roll[3].ContainerID
			moves("one goes", func(old, _ string) bool { return old != gone }, slices.Delete(slices.Clone(roll), 3, 4))
			come := backendOf("shop", "another", balancedBy(balance))
			moves("one comes", func(_, now string) bool { return now != come.ContainerID }, append(slices.Clone(roll), come))
		})
	}
}

// Several rollcalls, and one that was started again, agree.
func TestHashIsTheSameEverywhere(t *testing.T) {
	one, roll := pool(t, "hash:ip", 7)
	slices.Reverse(roll)
	other := NewRegistry(quiet(), time.Minute)
	other.Replace(engineB, roll)
	connectAll(other)
	for _, key := range keysOf(200) {
		if a, b := pickFor(t, one, key), pickFor(t, other, key); a.ContainerID != b.ContainerID {
			t.Fatalf("%s goes to %s here and to %s there", key, short(a.ContainerID), short(b.ContainerID))
		}
	}
}

// A key that everybody has must not bring its backend down: its load is bounded
// by its share, and what it passes on comes back when the load has gone.
func TestHashBoundsTheLoad(t *testing.T) {
	for _, weights := range [][]int{{1, 1, 1, 1}, {1, 1, 1, 5}} {
		r, _ := pool(t, "hash:header:x-user", len(weights), func(i int) entryOption { return weighs(weights[i]) })
		favourite := pickFor(t, r, "everybody")
		var busy []*Backend
		total := 0
		for _, w := range weights {
			total += w
		}
		for i := range 400 {
			b := pickFor(t, r, "everybody")
			b.Begin()
			busy = append(busy, b)
			for _, m := range r.List() {
				if bound := math.Ceil(1.25 * float64(i+1) * float64(m.Weight) / float64(total)); float64(m.InFlight()) > bound {
					t.Fatalf("weights %v: of %d requests %s has %d, more than %v", weights, i+1, m.Name, m.InFlight(), bound)
				}
			}
		}
		if share := 1.2 * 400 * float64(favourite.Weight) / float64(total); float64(favourite.InFlight()) < share {
			t.Errorf("weights %v: the key's own backend has only %d", weights, favourite.InFlight())
		}
		for _, b := range busy {
			b.End()
		}
		if again := pickFor(t, r, "everybody"); again != favourite {
			t.Errorf("weights %v: the key does not come back", weights)
		}
	}
}

// Requests without what decides are spread, and do not all go to one backend.
func TestHashSpreadsWhatHasNoKey(t *testing.T) {
	r, _ := pool(t, "hash:cookie:other", 4)
	counts := map[*Backend]int{}
	for range 4000 {
		counts[pickFor(t, r, "10.0.0.1")]++
	}
	for b, n := range counts {
		if n < 800 || n > 1200 {
			t.Errorf("%s got %d of 4000", short(b.ContainerID), n)
		}
	}
	if len(counts) != 4 {
		t.Errorf("only %d backends got any", len(counts))
	}
}

// Over time each backend gets what its weight says, in all balancers that don't go
// by the request; and in hashes each its share of the keys.
func TestWeights(t *testing.T) {
	weights := []int{1, 2, 7}
	for balance, exact := range map[string]bool{"round-robin": true, "least-requests": true, "random-two": false, "hash:ip": false} {
		t.Run(balance, func(t *testing.T) {
			r, _ := pool(t, balance, len(weights), func(i int) entryOption { return weighs(weights[i]) })
			counts := map[int]int{}
			for _, key := range keysOf(10000) {
				counts[pickFor(t, r, key).Weight]++
			}
			for _, w := range weights {
				if off := math.Abs(float64(counts[w]-w*1000)) / float64(w*1000); off > 0.15 || exact && off > 0 {
					t.Errorf("the one of weight %d got %d of 10000", w, counts[w])
				}
			}
		})
	}
}

// The extremes of what a label may say are kept, too.
func TestWeightsFarApart(t *testing.T) {
	for _, weights := range [][]int{{1, 1000}, {999, 1000}, {100, 200, 300}, {1, 1, 1000}} {
		r, _ := pool(t, "round-robin", len(weights), func(i int) entryOption { return weighs(weights[i]) })
		total, counts := 0, map[*Backend]int{}
		for _, w := range weights {
			total += w
		}
		for range total {
			counts[pickFor(t, r, "10.0.0.1")]++
		}
		for b, n := range counts {
			if n != b.Weight {
				t.Errorf("weights %v: in %d requests, the one of %d got %d", weights, total, b.Weight, n)
			}
		}
	}
	// A pool of many is rounded: it must not grow without end.
	var many []*Backend
	for i := range 200 {
		e := backendOf("shop", fmt.Sprint("web-", i), weighs(i*5+1))
		many = append(many, NewBackend(e.Spec))
	}
	if n := len(schedule(many)); n > 200*scheduleShare*11/10 {
		t.Errorf("the schedule of 200 has %d places", n)
	}
}

// A heavy backend's turns don't come all at once.
func TestWeightsAreMixed(t *testing.T) {
	r, _ := pool(t, "round-robin", 2, func(i int) entryOption { return weighs(1 + 2*i) })
	var turns []string
	for range 8 {
		turns = append(turns, fmt.Sprint(pickFor(t, r, "10.0.0.1").Weight))
	}
	if got := strings.Join(turns, ""); !strings.Contains("333133313331", got) {
		t.Errorf("the turns are %s", got)
	}
}

func TestLeastRequestsTakesTheIdlest(t *testing.T) {
	r, _ := pool(t, "least-requests", 4, func(i int) entryOption { return weighs(1 + i/3) }) // the last one has weight 2
	members := r.List()
	for i, busy := range []int{3, 1, 2, 3} {
		for range busy {
			members[i].Begin()
		}
	}
	for range 10 {
		if b := pickFor(t, r, "10.0.0.1"); b != members[1].Backend {
			t.Fatalf("%d requests in flight were preferred to 1", b.InFlight())
		}
	}
	members[1].Begin() // 3, 2, 2, 3 of weight 2
	if b := pickFor(t, r, "10.0.0.1"); b != members[3].Backend {
		t.Errorf("3 in flight of weight 2 count more than 2 of weight 1")
	}
	// Among idle ones turns go round, whoever was picked first.
	r, _ = pool(t, "least-requests", 4)
	r.List()[0].Begin()
	counts := map[*Backend]int{}
	for range 400 {
		counts[pickFor(t, r, "10.0.0.1")]++
	}
	for _, m := range r.List()[1:] {
		if n := counts[m.Backend]; n < 80 || n > 250 {
			t.Errorf("%s, idle as two others, got %d of 400", m.Name, n)
		}
	}
	if n := counts[r.List()[0].Backend]; n != 0 {
		t.Errorf("the busy one got %d", n)
	}
}

// random-two never takes the busiest, and all others.
func TestRandomTwo(t *testing.T) {
	r, _ := pool(t, "random-two", 4)
	for range 100 {
		r.List()[2].Begin()
	}
	counts := map[*Backend]int{}
	for range 4000 {
		counts[pickFor(t, r, "10.0.0.1")]++
	}
	for i, m := range r.List() {
		// It is taken when both lots fall on it: 1 in 16.
		if n := counts[m.Backend]; i == 2 && (n < 150 || n > 350) || i != 2 && (n < 1000 || n > 1500) {
			t.Errorf("%s with %d in flight got %d of 4000", m.Name, m.InFlight(), n)
		}
	}
}

func TestBalancersPickUntriedOnes(t *testing.T) {
	for _, balance := range append([]string{"round-robin", "least-requests", "random-two"}, hashes...) {
		r, _ := pool(t, balance, 5, func(i int) entryOption { return weighs(1 + i) })
		s := r.Snapshot()
		var x Exchange
		startExchange(&x, r, &Patience{}, s, s.Service("shop"))
		picked := map[*Backend]bool{}
		for b := s.Service("shop").Pick(&x); b != nil; b = s.Service("shop").Pick(&x) {
			if picked[b] {
				t.Fatalf("%s picks one twice", balance)
			}
			picked[b] = true
			x.begin(b)
		}
		if len(picked) != 5 {
			t.Errorf("%s picks %d of 5", balance, len(picked))
		}
	}
}

func TestBalancersDoNotAllocate(t *testing.T) {
	for _, balance := range append([]string{"round-robin", "least-requests", "random-two"}, hashes...) {
		r, _ := pool(t, balance, 5, func(i int) entryOption { return weighs(1 + i) })
		s := r.Snapshot()
		service := s.Service("shop")
		request := httptest.NewRequest("GET", "/", nil)
		request.Header = http.Header{"X-User": {"me"}, "Cookie": {"a=b; session=c"}}
		rules := &ForwardedRules{}
		var x Exchange
		if n := testing.AllocsPerRun(100, func() {
			x.start(r, &Patience{}, s, service, request, rules)
			service.Pick(&x)
		}); n > 1 { // the Patience
			t.Errorf("%s: %v allocations", balance, n)
		}
	}
}
