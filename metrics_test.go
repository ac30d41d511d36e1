package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"rollcall/internal/http1"
)

// metricsStand is a stand whose backends have had every kind of thing happen.
func metricsStand(t *testing.T) *adminStand {
	s := newAdminStand(t, hello("web-1", "172.17.0.2"), hello("web-2", "172.17.0.3"))
	s.engine.fails(errors.New("no engine"))
	s.poll()
	s.engine.fails(nil)
	s.poll()
	traffic := &s.Snapshot().Service("hello").traffic
	traffic.count(200, 3*time.Millisecond)
	traffic.count(502, time.Minute)
	traffic.count(0, time.Second)
	traffic.retried(http1.Dial)
	member(t, s.Registry, "web-1").Begin()
	return s
}

func (s *adminStand) scrape() string {
	answer, body := s.ask("GET", "/metrics")
	if answer.StatusCode != 200 {
		s.t.Fatalf("/metrics: %d %s", answer.StatusCode, body)
	}
	return string(body)
}

func TestMetrics(t *testing.T) {
	scrape := metricsStand(t).scrape()
	one, two := short(idOf("web-1")), short(idOf("web-2"))
	for _, line := range []string{
		`rollcall_requests_total{code="200",service="hello"} 1`,
		`rollcall_requests_total{code="502",service="hello"} 1`,
		`rollcall_requests_abandoned_total{service="hello"} 1`,
		`rollcall_request_duration_seconds_bucket{service="hello",le="0.0025"} 0`,
		`rollcall_request_duration_seconds_bucket{service="hello",le="0.005"} 1`,
		`rollcall_request_duration_seconds_bucket{service="hello",le="30"} 1`,
		`rollcall_request_duration_seconds_bucket{service="hello",le="+Inf"} 2`,
		`rollcall_request_duration_seconds_sum{service="hello"} 60.003`,
		`rollcall_retries_total{reason="connect",service="hello"} 1`,
		`rollcall_backend_state{backend="` + one + `",service="hello",state="healthy"} 1`,
		`rollcall_backend_state{backend="` + one + `",service="hello",state="draining"} 0`,
		`rollcall_backend_in_flight{backend="` + one + `",service="hello"} 1`,
		`rollcall_backend_in_flight{backend="` + two + `",service="hello"} 0`,
		`rollcall_requests_held 0`,
		`rollcall_polls_total{engine="unix:///in/memory",result="ok"} 2`,
		`rollcall_polls_total{engine="unix:///in/memory",result="failed"} 1`,
		`rollcall_poll_duration_seconds_count{engine="unix:///in/memory"} 3`,
	} {
		if !strings.Contains(scrape, line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	for _, name := range []string{"rollcall_registry_version", "rollcall_registry_age_seconds", "go_goroutines", "process_open_fds"} {
		if !strings.Contains(scrape, "\n"+name+" ") {
			t.Errorf("there is no %s", name)
		}
	}
	if t.Failed() {
		t.Log(scrape)
	}
}

func TestMetricsFollowPrometheusCustoms(t *testing.T) {
	scrape := metricsStand(t).scrape()
	problems, err := promlint.New(strings.NewReader(scrape)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	// The linter must be able to fail.
	bad := "# TYPE rollcall_polls counter\nrollcall_polls 1\n"
	if problems, err := promlint.New(strings.NewReader(bad)).Lint(); err != nil || len(problems) == 0 {
		t.Errorf("a counter without _total and help passes: %v", err)
	}
}

func TestSeriesGoWithTheirBackend(t *testing.T) {
	s := metricsStand(t)
	one, two := short(idOf("web-1")), short(idOf("web-2"))
	s.engine.runs(hello("web-2", "172.17.0.3"))
	s.poll()
	if scrape := s.scrape(); strings.Contains(scrape, one) || !strings.Contains(scrape, two) {
		t.Errorf("with one of two backends left:\n%s", scrape)
	}
	s.engine.runs()
	s.poll()
	if scrape := s.scrape(); strings.Contains(scrape, two) || strings.Contains(scrape, `service="hello"`) {
		t.Errorf("with no backend left:\n%s", scrape)
	}
}

// What a scrape says is never torn between two snapshots, and is never an error,
// whatever the registry does meanwhile.
func TestScrapesWhileBackendsComeAndGo(t *testing.T) {
	s := metricsStand(t)
	for n := range 50 {
		if n%2 == 0 {
			s.engine.runs(hello("web-2", "172.17.0.3"))
		} else {
			s.engine.runs(hello("web-1", "172.17.0.2"), hello("web-2", "172.17.0.3"))
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.poll()
		}()
		scrape := s.scrape()
		states := strings.Count(scrape, "\nrollcall_backend_state{")
		if flights := strings.Count(scrape, "\nrollcall_backend_in_flight{"); states != flights*len(stateNames) || flights < 1 || flights > 2 {
			t.Errorf("%d series of states and %d in flight", states, flights)
		}
		<-done
	}
}

// countOne is all the counting that a request to a healthy backend causes.
func countOne(t *Traffic, b *Backend) {
	b.Begin()
	b.answer(200, 3*time.Millisecond)
	t.count(200, 3*time.Millisecond)
	b.End()
}

func TestCountingAllocatesNothing(t *testing.T) {
	traffic, b := &Traffic{}, NewBackend(backendOf("shop", "web-1").Spec)
	if n := testing.AllocsPerRun(1000, func() { countOne(traffic, b) }); n != 0 {
		t.Errorf("%v allocations for each request", n)
	}
}

func BenchmarkCounting(b *testing.B) {
	traffic, backend := &Traffic{}, NewBackend(backendOf("shop", "web-1").Spec)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			countOne(traffic, backend)
		}
	})
}

// A scrape of a large installation: 200 services with 10 backends each.
func BenchmarkScrape(b *testing.B) {
	registry := NewRegistry(quiet(), time.Minute)
	registry.Replace(engineA, manyBackends(200, 10))
	metrics := NewMetrics(registry, NewProxy(registry, time.Second, ForwardedRules{}, quiet()), func() *Roll { return &Roll{} })
	b.ReportAllocs()
	for b.Loop() {
		families, err := metrics.collected.Gather()
		if err != nil || len(families) == 0 {
			b.Fatal(err)
		}
	}
}
