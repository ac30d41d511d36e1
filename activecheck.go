package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"
)

// failuresToFail is how many active checks in a row must fail before the
// backend does: one lost answer is not a sick backend. One that passes heals it.
const failuresToFail = 2

// withDefaults fills in what no label says. A check without a path is none.
func (c HealthCheck) withDefaults() HealthCheck {
	if c.Path == "" {
		return HealthCheck{}
	}
	c.Interval = cmp.Or(c.Interval, 5*time.Second)
	c.Timeout = cmp.Or(c.Timeout, 2*time.Second)
	if c.StatusMin == 0 {
		c.StatusMin, c.StatusMax = 200, 399
	}
	return c
}

// check asks b at once and then each interval until ctx is done, in the way
// that requests go.
func (h *Health) check(ctx context.Context, b *Backend) {
	tick := time.NewTicker(b.Check.Interval)
	defer tick.Stop()
	failures := 0
	for {
		problem := b.Check.ask(ctx, b)
		if ctx.Err() != nil {
			return
		}
		if problem == "" {
			failures = 0
		} else {
			failures++
		}
		if failures == 0 || failures >= failuresToFail {
			h.registry.Checked(b, problem)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask makes one check and returns what is wrong, "" if it passes.
func (c *HealthCheck) ask(ctx context.Context, to http.RoundTripper) (problem string) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://health.check"+c.Path, nil)
	if err != nil {
		return fmt.Sprintf("its health check %s can't be asked: %v", c.Path, err)
	}
	request.Header.Set("User-Agent", "rollcall-check")
	response, err := to.RoundTrip(request)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Sprintf("its health check %s does not answer within %s", c.Path, c.Timeout)
		}
		return fmt.Sprintf("its health check %s fails: %s", c.Path, reasonOf(err))
	}
	defer response.Body.Close()
	if response.StatusCode < c.StatusMin || response.StatusCode > c.StatusMax {
		return fmt.Sprintf("its health check %s answers %d, not %d-%d", c.Path, response.StatusCode, c.StatusMin, c.StatusMax)
	}
	return ""
}
