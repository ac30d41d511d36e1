package main

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// Balancer chooses among the usable backends of one service. It belongs to the
// service, not to a snapshot: its state survives polls. Safe for concurrent use.
type Balancer interface {
	// Pick returns a backend of the service that the exchange has not tried, or
	// nil when there is none. It must not allocate.
	Pick(s *Service, x *Exchange) *Backend

	// Key returns what of a request decides, 0 if nothing does. rules tell
	// who its client is.
	Key(r *http.Request, rules *ForwardedRules) uint64
}

// balancers makes a balancer by its name in the label rollcall.balance. What
// follows a name's colon is its argument.
var balancers = map[string]func(argument string) (Balancer, error){
	"round-robin":    func(string) (Balancer, error) { return &roundRobin{}, nil },
	"least-requests": func(string) (Balancer, error) { return &leastRequests{}, nil },
	"random-two":     func(string) (Balancer, error) { return randomTwo{}, nil },
	"hash":           newHash,
}

// newBalancer makes the balancer that a label names.
func newBalancer(name string) (Balancer, error) {
	algorithm, argument, hasArgument := strings.Cut(name, ":")
	construct := balancers[algorithm]
	if construct == nil || hasArgument != (algorithm == "hash") {
		return nil, fmt.Errorf("it takes round-robin, least-requests, random-two, hash:ip, hash:header:NAME or hash:cookie:NAME")
	}
	return construct(argument)
}

// roundRobin takes one after the other. When the pool changes, the count goes
// on: over time each backend gets its share, whatever the pool's size was.
type roundRobin struct{ count atomic.Uint64 }

func newRoundRobin() Balancer { return &roundRobin{} }

func (rr *roundRobin) Key(*http.Request, *ForwardedRules) uint64 { return 0 }

func (rr *roundRobin) Pick(s *Service, x *Exchange) *Backend {
	return firstUntried(s.usable, rr.count.Add(1)-1, x)
}

// firstUntried returns the first backend from a place on that x has not tried,
// nil if there is none.
func firstUntried(pool []*Backend, from uint64, x *Exchange) *Backend {
	// One pool, one length: the index can't outrun it, whatever a poll does meanwhile.
	n := uint64(len(pool))
	for i := range n {
		if b := pool[(from+i)%n]; !x.Tried(b) {
			return b
		}
	}
	return nil
}

// leastRequests takes the backend with the fewest requests in flight for its
// weight; among equals, one after the other, each as often as its weight says.
type leastRequests struct{ count atomic.Uint64 }

func (l *leastRequests) Key(*http.Request, *ForwardedRules) uint64 { return 0 }

func (l *leastRequests) Pick(s *Service, x *Exchange) *Backend {
	from := l.count.Add(1) - 1
	best := firstUntried(s.usable, from, x)
	if best == nil {
		return nil
	}
	for i, n := uint64(0), uint64(len(s.backends)); i < n; i++ {
		if b := s.backends[(from+i)%n]; b.load() < best.load() && !x.Tried(b) {
			best = b
		}
	}
	return best
}

// load is the requests in flight for the backend's weight.
func (b *Backend) load() float64 { return float64(b.inFlight.Load()) / float64(max(b.Weight, 1)) }

// randomTwo takes two at random, and of them the one with fewer requests in
// flight: nearly as even as leastRequests, without looking at all.
type randomTwo struct{}

func (randomTwo) Key(*http.Request, *ForwardedRules) uint64 { return 0 }

func (randomTwo) Pick(s *Service, x *Exchange) *Backend {
	a := firstUntried(s.usable, rand.Uint64(), x)
	b := firstUntried(s.usable, rand.Uint64(), x)
	if a == nil || b.load() < a.load() {
		return b
	}
	return a
}

// hash keeps what is alike together: requests with the same key go to the same
// backend. It is rendezvous hashing (Thaler and Ravishankar, 1998): each backend
// draws a lot for the key, the highest wins, so that a backend's coming or going
// moves only its own share. The load is bounded (Mirrokni, Thorup and Zadimoghaddam,
// 2016): a backend with more than 1.25 of its fair share in flight passes on.
type hash struct {
	key func(r *http.Request, rules *ForwardedRules) uint64
}

// newHash takes "ip", "header:NAME" or "cookie:NAME".
func newHash(of string) (Balancer, error) {
	kind, name, _ := strings.Cut(of, ":")
	h := &hash{}
	switch {
	case of == "ip":
		h.key = func(r *http.Request, rules *ForwardedRules) uint64 {
			ip := rules.client(r).As16()
			return hashOf(ip[:])
		}
	case kind == "header" && isToken(name):
		name = http.CanonicalHeaderKey(name)
		h.key = func(r *http.Request, _ *ForwardedRules) uint64 {
			if name == "Host" { // net/http keeps it apart
				return hashOf(r.Host)
			}
			return keyOfText(first(r.Header[name], ""))
		}
	case kind == "cookie" && isToken(name):
		h.key = func(r *http.Request, _ *ForwardedRules) uint64 { return keyOfText(cookieValue(r, name)) }
	default:
		return nil, fmt.Errorf("hash takes hash:ip, hash:header:NAME or hash:cookie:NAME")
	}
	return h, nil
}

// keyOfText hashes what requests are told apart by. Those without it are spread.
func keyOfText(text string) uint64 {
	if text == "" {
		return rand.Uint64()
	}
	return hashOf(text)
}

func (h *hash) Key(r *http.Request, rules *ForwardedRules) uint64 { return h.key(r, rules) }

func (h *hash) Pick(s *Service, x *Exchange) *Backend {
	inFlight, weight := int64(1), 0
	for _, b := range s.backends {
		inFlight += b.inFlight.Load()
		weight += max(b.Weight, 1)
	}
	share := boundedLoad * float64(inFlight) / float64(max(weight, 1)) // for each unit of weight
	var best, spare *Backend
	var bestLot, spareLot float64
	for _, b := range s.backends {
		if x.Tried(b) {
			continue
		}
		lot := b.lot(x.key)
		if spare == nil || lot > spareLot {
			spare, spareLot = b, lot
		}
		if bound := math.Ceil(share * float64(max(b.Weight, 1))); float64(b.inFlight.Load()) < bound && (best == nil || lot > bestLot) {
			best, bestLot = b, lot
		}
	}
	if best == nil {
		return spare
	}
	return best
}

const boundedLoad = 1.25

// lot draws b's lot for a key, fairly for its weight: a backend of weight w wins
// as often as w backends of weight 1 would.
func (b *Backend) lot(key uint64) float64 {
	uniform := float64(mix(key^b.identity)>>11+1) / (1 << 53) // in (0, 1]
	return -float64(max(b.Weight, 1)) / math.Log(uniform)
}

// mix spreads 64 bits (the finaliser of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// hashOf is FNV-1a: the same in every process, so that several rollcalls, and
// one that was restarted, send a key to the same backend.
func hashOf[T string | []byte](s T) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// schedule lists the backends as often as their weights say, evenly mixed.
// Without weights it is the backends themselves. Where it would be long,
// weights are rounded, so that it has about scheduleLength places, or
// scheduleShare for each backend.
func schedule(backends []*Backend) []*Backend {
	total, divisor := 0, 0
	for _, b := range backends {
		total += max(b.Weight, 1)
		divisor = greatestCommonDivisor(divisor, max(b.Weight, 1))
	}
	if total == divisor*len(backends) {
		return backends // their weights are equal
	}
	scale := max(float64(divisor), float64(total)/float64(max(scheduleLength, scheduleShare*len(backends))))
	type turn struct {
		at float64 // of one round, in which each backend's turns are as far apart as they can be
		b  *Backend
	}
	var turns []turn
	for _, b := range backends {
		n := max(1, math.Round(float64(max(b.Weight, 1))/scale))
		for i := range int(n) {
			turns = append(turns, turn{(float64(i) + 0.5) / n, b})
		}
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(a.at, b.at) })
	places := make([]*Backend, len(turns))
	for i := range turns {
		places[i] = turns[i].b
	}
	return places
}

const (
	scheduleLength = 2048
	scheduleShare  = 64
)

func greatestCommonDivisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// isToken tells whether s can be the name of a header field or a cookie
// (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && strings.Trim(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
