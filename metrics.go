package main

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are rollcall's figures for Prometheus. What requests count is read
// from the snapshot when Prometheus asks, so that a request pays only for its
// own counters, and a series goes when its backend goes.
type Metrics struct {
	registry *Registry
	proxy    *Proxy
	roll     func() *Roll

	collected    *prometheus.Registry
	polls        *prometheus.CounterVec
	pollDuration *prometheus.HistogramVec
}

// NewMetrics returns the metrics of a running rollcall, in a registry of their
// own.
func NewMetrics(registry *Registry, proxy *Proxy, roll func() *Roll) *Metrics {
	m := &Metrics{
		registry:  registry,
		proxy:     proxy,
		roll:      roll,
		collected: prometheus.NewRegistry(),
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_polls_total", Help: "Polls of an engine, by result: ok or failed."}, []string{"engine", "result"}),
		pollDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rollcall_poll_duration_seconds", Help: "Time that a poll of an engine took.", Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 10)}, []string{"engine"}),
	}
	m.collected.MustRegister(m, m.polls, m.pollDuration, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Polled counts a poll.
func (m *Metrics) Polled(engine string, took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.polls.WithLabelValues(engine, result).Inc()
	m.pollDuration.WithLabelValues(engine).Observe(took.Seconds())
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.collected, promhttp.HandlerOpts{})
}

var (
	descRequests = prometheus.NewDesc("rollcall_requests_total", "Requests answered, by service (empty: no route) and status code.", []string{"service", "code"}, nil)
	descDuration = prometheus.NewDesc("rollcall_request_duration_seconds", "Time from a request's head to its answer's end.", []string{"service"}, nil)
	descLeft     = prometheus.NewDesc("rollcall_requests_abandoned_total", "Requests whose client left before an answer.", []string{"service"}, nil)
	descRetries  = prometheus.NewDesc("rollcall_retries_total", "Attempts that went to another backend, by the failure before.", []string{"service", "reason"}, nil)
	descState    = prometheus.NewDesc("rollcall_backend_state", "1 for the state that a backend is in.", []string{"service", "backend", "state"}, nil)
	descInFlight = prometheus.NewDesc("rollcall_backend_in_flight", "Requests that a backend works on.", []string{"service", "backend"}, nil)
	descHeld     = prometheus.NewDesc("rollcall_requests_held", "Requests that wait for a usable backend.", nil, nil)
	descDropped  = prometheus.NewDesc("rollcall_access_log_dropped_total", "Lines of the access log that were lost because standard output did not take them in time.", nil, nil)
	descVersion  = prometheus.NewDesc("rollcall_registry_version", "Version of the registry's snapshot.", nil, nil)
	descAge      = prometheus.NewDesc("rollcall_registry_age_seconds", "Time since the last good poll of the engine.", nil, nil)
)

// Describe is of prometheus.Collector.
func (m *Metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRequests, descDuration, descLeft, descRetries, descState, descInFlight, descHeld, descDropped, descVersion, descAge} {
		descs <- d
	}
}

// Collect is of prometheus.Collector.
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	snapshot := m.registry.Snapshot()
	gauge(descVersion, float64(snapshot.Version))
	gauge(descHeld, float64(m.proxy.patience.Waiting()))
	if at := m.roll().At; !at.IsZero() {
		gauge(descAge, time.Since(at).Seconds())
	}
	if log := m.proxy.accessLog; log != nil {
		metrics <- prometheus.MustNewConstMetric(descDropped, prometheus.CounterValue, float64(log.Dropped()))
	}
	m.proxy.unrouted.collect("", metrics)
	for _, s := range snapshot.Services() {
		s.traffic.collect(s.Name, metrics)
	}
	for _, member := range snapshot.Members() {
		id := short(member.ContainerID)
		gauge(descInFlight, float64(member.InFlight()), member.Service, id)
		for state, name := range stateNames {
			value := 0.0
			if State(state) == member.State {
				value = 1
			}
			gauge(descState, value, member.Service, id, name)
		}
	}
}

// collect hands out the counters of one service.
func (t *Traffic) collect(service string, metrics chan<- prometheus.Metric) {
	counter := func(desc *prometheus.Desc, value uint64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	for code := range t.codes {
		if n := t.codes[code].Load(); n > 0 {
			counter(descRequests, n, service, strconv.Itoa(code))
		}
	}
	counter(descLeft, t.gone.Load(), service)
	for kind, reason := range retryReasons {
		counter(descRetries, t.retries[kind].Load(), service, reason)
	}
	cumulative, buckets := uint64(0), make(map[float64]uint64, len(latencyBounds))
	for i, bound := range latencyBounds {
		cumulative += t.latency[i].Load()
		buckets[bound.Seconds()] = cumulative
	}
	cumulative += t.latency[len(latencyBounds)].Load()
	sum := time.Duration(t.nanos.Load()).Seconds()
	metrics <- prometheus.MustNewConstHistogram(descDuration, cumulative, sum, buckets, service)
}
