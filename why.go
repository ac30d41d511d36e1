package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Explanation answers "why": which backend a request would reach, or what
// stops it; or what a container does here. It is meant to be read from the top
// and left as soon as it is clear.
type Explanation struct {
	Target  string   `json:"target"`
	Good    bool     `json:"good"`    // the request would reach a backend, the container gets requests
	Verdict string   `json:"verdict"` // one sentence with the root cause
	Advice  string   `json:"advice"`  // what to change, "" if there is nothing to
	Details []string `json:"details"` // a sentence each, the nearest to the matter first

	Service string `json:"service"` // "" without a route
	Route   string `json:"route"`   // that matches
	Backend string `json:"backend"` // the container that the next request would reach; "" if chance or the request decides
}

// say sets the verdict and the advice.
func (x *Explanation) say(advice, verdict string, args ...any) {
	x.Verdict, x.Advice = fmt.Sprintf(verdict, args...), advice
}

func (x *Explanation) detail(format string, args ...any) {
	x.Details = append(x.Details, fmt.Sprintf(format, args...))
}

// Explainer knows what an explanation needs: one snapshot, and the roll that it
// comes from.
type Explainer struct {
	Snapshot *Snapshot
	Roll     *Roll
}

// Explain explains a URL, a host, or a container by its name, its ID or the
// beginning of its ID.
func (e *Explainer) Explain(target string) *Explanation {
	target = strings.TrimSpace(target)
	x := &Explanation{Target: target, Details: []string{}}
	if word := strings.TrimPrefix(target, "/"); word != "" && !strings.Contains(word, "/") {
		v, others := e.container(word)
		switch {
		case len(others) > 0:
			x.say("give more of it", "%q is the beginning of more than one container's ID: %s", word, strings.Join(others, ", "))
			return x
		case v != nil:
			e.explainContainer(x, v)
			e.mentionSilence(x)
			return x
		}
	}
	host, path, err := splitTarget(target)
	if err != nil {
		x.say("ask for a URL such as http://shop.example.com/cart, a host, or a container", "%v", err)
		return x
	}
	e.explainRequest(x, host, path)
	e.mentionSilence(x)
	return x
}

// ExplainRequest explains a request by its host and its decoded path.
func (e *Explainer) ExplainRequest(host, path string) *Explanation {
	x := &Explanation{Target: host + path}
	e.explainRequest(x, normalHost(host), path)
	return x
}

// mentionSilence adds that what is known is old.
func (e *Explainer) mentionSilence(x *Explanation) {
	if e.Roll.Err != nil && !e.Roll.At.IsZero() {
		x.detail("the engine at %s has not answered for %s (%v); what it said last counts", e.Roll.Engine, age(time.Since(e.Roll.At)), e.Roll.Err)
	}
}

// splitTarget takes a URL apart, with or without its scheme.
func splitTarget(target string) (host, path string, err error) {
	full := target
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" {
		return "", "", fmt.Errorf("%q is neither a URL nor a host nor a container that the engine lists", target)
	}
	host, err = parseHost(u.Host) // people may ask for it in their own script
	if err != nil {
		host = normalHost(u.Host)
	}
	return host, cmp.Or(u.EscapedPath(), "/"), nil
}

// container returns the verdict on a container, nil if none is meant; or the
// names of several whose IDs begin with the word.
func (e *Explainer) container(word string) (found *Verdict, others []string) {
	for i := range e.Roll.Verdicts {
		v := &e.Roll.Verdicts[i]
		switch {
		case v.Name == word, v.ContainerID == word:
			return v, nil
		case len(word) >= 4 && strings.HasPrefix(v.ContainerID, word):
			found = v
			others = append(others, v.Name)
		}
	}
	if len(others) > 1 {
		return nil, others
	}
	return found, nil
}

// routesOf lists what a service answers to.
func (e *Explainer) routesOf(service string) []string {
	var routes []string
	for _, r := range e.Snapshot.Routes() {
		if r.Service.Name == service {
			routes = append(routes, r.String())
		}
	}
	return routes
}

// lostRoutes returns the conflicts in which a service lost a route.
func (e *Explainer) lostRoutes(service string) []Conflict {
	var lost []Conflict
	for _, c := range e.Snapshot.Conflicts {
		if c.Loser == service {
			lost = append(lost, c)
		}
	}
	return lost
}

// trouble says why a member gets no requests, and what to change.
func (e *Explainer) trouble(m *Member) (reason, advice string) {
	v, _ := e.container(m.ContainerID)
	if v == nil {
		return m.Reason, m.Cause.Advice(m.Name, &m.Spec)
	}
	return v.trouble(m.Cause, m.Reason, &m.Spec)
}

// trouble says why a backend of a container gets no requests, and what to change.
// If nothing listens on its port, a label that is wrong about that is to blame.
func (v *Verdict) trouble(c Cause, reason string, spec *Spec) (why, advice string) {
	if c == CauseRefused || c == CauseClosed {
		for _, w := range v.Warnings {
			if w.Key == "port" {
				return reason + "; " + w.Text, w.Advice
			}
		}
	}
	return reason, c.Advice(v.Name, spec)
}

// Run asks the running daemon why, and prints the answer: the verdict first, then
// what to change, then the details. Its exit code says whether all is good.
func (c *whyCommand) Run(ctx context.Context, std streams) error {
	var x Explanation
	if err := c.client().do(ctx, http.MethodGet, "/v1/why?target="+url.QueryEscape(c.Target), &x); err != nil {
		return fmt.Errorf("why: %w", err)
	}
	if c.JSON {
		encoder := json.NewEncoder(std.Out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(&x); err != nil {
			return err
		}
	} else {
		x.print(std.Out)
	}
	if !x.Good {
		return errNo
	}
	return nil
}

func (x *Explanation) print(w io.Writer) {
	fmt.Fprintln(w, printable(x.Verdict))
	if x.Advice != "" {
		fmt.Fprintln(w, printable(x.Advice))
	}
	for _, detail := range x.Details {
		fmt.Fprintln(w, "  "+printable(detail))
	}
}

// printable keeps what a label says from moving a terminal's cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
