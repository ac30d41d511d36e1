package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
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
	Backend string `json:"backend"` // the container that the next request would reach
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
	if !strings.Contains(target, "/") {
		if v := e.container(target); v != nil {
			e.explainContainer(x, v)
			return x
		}
	}
	host, path, err := splitTarget(target)
	if err != nil {
		x.Verdict, x.Advice = err.Error(), "ask for a URL such as http://shop.example.com/cart, a host, or a container"
		return x
	}
	e.explainRequest(x, host, path)
	return x
}

// splitTarget takes a URL apart, with or without its scheme.
func splitTarget(target string) (host, path string, err error) {
	if !strings.Contains(target, "://") {
		target = "http://" + target
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return "", "", fmt.Errorf("%q is neither a URL nor a host nor a container that the engine lists", target)
	}
	return normalHost(u.Host), cmp.Or(u.Path, "/"), nil
}

// container returns the verdict on a container, nil if none is meant.
func (e *Explainer) container(word string) *Verdict {
	var found *Verdict
	for i := range e.Roll.Verdicts {
		v := &e.Roll.Verdicts[i]
		switch {
		case v.Name == word, v.ContainerID == word:
			return v
		case len(word) >= 4 && strings.HasPrefix(v.ContainerID, word):
			found = v
		}
	}
	return found
}

// explainContainer says what a container does here.
func (e *Explainer) explainContainer(x *Explanation, v *Verdict) {
	x.Details = append(x.Details, v.Warnings...)
	if !v.Used {
		x.Verdict = fmt.Sprintf("%s is %s", v.Name, v.Reason)
		x.Advice = adviceOnUnused(v)
		return
	}
	for i, entry := range v.Entries {
		choice := v.Choices[i]
		x.Details = append(x.Details, fmt.Sprintf("service %s, port %d: %s", entry.Service, choice.Port, choice.PortWhy))
		for _, c := range choice.Candidates {
			x.Details = append(x.Details, fmt.Sprintf("address %s: %s", c.Addr, c.Why))
		}
		for _, skipped := range choice.Skipped {
			x.Details = append(x.Details, "address left out: "+skipped)
		}
	}
	members := e.membersOf(v.ContainerID)
	if len(members) == 0 {
		x.Verdict, x.Advice = v.Name+" is "+v.Reason+", and not in the registry yet", "ask again in a moment"
		return
	}
	worst := slices.MinFunc(members, func(a, b Member) int { return cmp.Compare(a.State, b.State) })
	x.Service = worst.Service
	x.Details = append(x.Details, v.Reason)
	x.Details = append(x.Details, e.routesOf(worst.Service)...)
	if worst.State == Healthy {
		x.Good = true
		x.Backend = v.Name
		x.Verdict = fmt.Sprintf("%s gets requests for service %s, at %s", v.Name, worst.Service, worst.Address())
		if lost := e.lostRoutes(worst.Service); len(lost) > 0 && len(e.routesOf(worst.Service)) == 0 {
			x.Good = false
			x.Verdict = fmt.Sprintf("%s gets no requests: %s", v.Name, lost[0])
			x.Advice = "give the two services different hosts or paths"
		}
		return
	}
	x.Verdict = fmt.Sprintf("%s gets no requests, it is %s: %s", v.Name, worst.State, worst.Reason)
	x.Advice = adviceOnState(worst)
}

func (e *Explainer) membersOf(containerID string) []Member {
	var members []Member
	for _, m := range e.Snapshot.Members {
		if m.ContainerID == containerID {
			members = append(members, m)
		}
	}
	return members
}

func (e *Explainer) routesOf(service string) []string {
	var routes []string
	for _, r := range e.Snapshot.Routes() {
		if r.Service.Name == service {
			routes = append(routes, "service "+service+" answers to "+r.String())
		}
	}
	return routes
}

// lostRoutes returns the conflicts in which a service lost a route.
func (e *Explainer) lostRoutes(service string) []string {
	var lost []string
	for _, c := range e.Snapshot.Conflicts {
		if c.Loser == service {
			lost = append(lost, c.String())
		}
	}
	return lost
}

// explainRequest says where a request would go.
func (e *Explainer) explainRequest(x *Explanation, host, path string) {
	route := e.Snapshot.Route(host, path)
	if route == nil {
		e.explainNoRoute(x, host, path)
		return
	}
	x.Service, x.Route = route.Service.Name, route.String()
	x.Details = append(x.Details, fmt.Sprintf("route %s of service %s matches", route, route.Service.Name))
	for _, m := range route.Service.Members {
		x.Details = append(x.Details, fmt.Sprintf("%s is %s: %s", m.Name, m.State, m.Reason))
	}
	x.Details = append(x.Details, e.nearRoutes(host, path, route)...)
	if next := route.Service.Peek(); next != nil {
		x.Good = true
		x.Backend = next.Name
		x.Verdict = fmt.Sprintf("%s%s goes to service %s; the next request would reach %s at %s", host, path, route.Service.Name, next.Name, next.Address())
		if next.State == Unhealthy {
			x.Advice = "all its backends are unhealthy and used all the same: " + next.Reason
		}
		return
	}
	// The member that is nearest to being usable is the one to help.
	nearest := slices.MaxFunc(route.Service.Members, func(a, b Member) int { return cmp.Compare(a.State, b.State) })
	x.Verdict = fmt.Sprintf("service %s has no usable backend (%s): %s is %s: %s", route.Service.Name, route.Service, nearest.Name, nearest.State, nearest.Reason)
	x.Advice = adviceOnState(nearest)
}

// explainNoRoute finds the most likely reason why nothing answers.
func (e *Explainer) explainNoRoute(x *Explanation, host, path string) {
	x.Details = append(x.Details, e.nearRoutes(host, path, nil)...)
	for i := range e.Roll.Verdicts {
		v := &e.Roll.Verdicts[i]
		if !v.Used && slices.Contains(v.Claims, host) {
			x.Verdict = fmt.Sprintf("no service answers to %s: container %s claims it, but is %s", host, v.Name, v.Reason)
			x.Advice = adviceOnUnused(v)
			return
		}
	}
	if paths := e.pathsOf(host); len(paths) > 0 {
		x.Verdict = fmt.Sprintf("no service answers to %s%s: %s has routes only for %s", host, path, host, strings.Join(paths, ", "))
		x.Advice = "ask for one of these paths, or let a service claim " + path + " with the label rollcall.path"
		return
	}
	for i := range e.Roll.Verdicts {
		v := &e.Roll.Verdicts[i]
		for _, warning := range v.Warnings {
			if strings.Contains(warning, host) || strings.Contains(warning, "did you mean rollcall.host") {
				x.Verdict = fmt.Sprintf("no service answers to %s: container %s has a warning: %s", host, v.Name, warning)
				x.Advice = "correct that label, and start the container anew"
				return
			}
		}
	}
	if near := nearest(host, e.hosts()); near != "" {
		x.Verdict = fmt.Sprintf("no service answers to %s; one does to %s", host, near)
		x.Advice = "is one of the two a typing error?"
		return
	}
	if len(e.Snapshot.Members) == 0 {
		x.Verdict = fmt.Sprintf("no service answers to %s: none of the engine's %d containers is used", host, len(e.Roll.Verdicts))
		if e.Roll.Err != nil && e.Roll.At.IsZero() {
			x.Verdict = fmt.Sprintf("no service answers to %s: the engine has not answered yet: %v", host, e.Roll.Err)
		}
		x.Advice = "start a container of an --image, or one with the label rollcall.host=" + host
		return
	}
	x.Verdict = fmt.Sprintf("no service answers to %s", host)
	x.Advice = "give the container that should answer the label rollcall.host=" + host
}

// pathsOf returns the paths that have a route on a host.
func (e *Explainer) pathsOf(host string) []string {
	var paths []string
	for _, r := range e.Snapshot.Routes() {
		if r.Host == host {
			paths = append(paths, r.Path)
		}
	}
	return paths
}

func (e *Explainer) hosts() []string {
	var hosts []string
	for _, r := range e.Snapshot.Routes() {
		if r.Host != "" && r.Host != "*" {
			hosts = append(hosts, r.Host)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// nearRoutes tells of routes that nearly matched: the same host with another
// path, the same path on another host; at most a handful.
func (e *Explainer) nearRoutes(host, path string, matched *Route) []string {
	var near []string
	path = normalPath(path)
	for _, r := range e.Snapshot.Routes() {
		switch {
		case r == matched || len(near) == 5:
		case r.Host == host:
			near = append(near, fmt.Sprintf("nearly: %s goes to service %s, another path on the same host", r, r.Service.Name))
		case r.Path != "/" && (path == r.Path || strings.HasPrefix(path, r.Path+"/")):
			near = append(near, fmt.Sprintf("nearly: %s goes to service %s, the same path on another host", r, r.Service.Name))
		}
	}
	for _, c := range e.Snapshot.Conflicts {
		if c.Host == host {
			near = append(near, c.String())
		}
	}
	return near
}

// adviceOnUnused says how to make a container a backend.
func adviceOnUnused(v *Verdict) string {
	for _, warning := range v.Warnings {
		if strings.Contains(warning, "did you mean") {
			return warning
		}
	}
	switch {
	case strings.Contains(v.Reason, labelEnable+"=false"):
		return "remove the label " + labelEnable + "=false"
	case strings.Contains(v.Reason, "matches no --image"):
		return "give it a label such as rollcall.host=NAME, or name its image with --image"
	case strings.Contains(v.Reason, "one-off"):
		return "nothing to do, unless it should serve: then give it the label " + labelEnable + "=true"
	}
	return "" // the reason says what to do
}

// adviceOnState says how to make a backend usable.
func adviceOnState(m Member) string {
	switch {
	case m.State == Stopped:
		return "start it: docker start " + m.Name
	case m.State == Paused:
		return "docker unpause " + m.Name
	case m.State == Draining && !m.stopping:
		return "rollcall undrain " + m.Name
	case m.State == Draining:
		return "it is being stopped; start another one"
	case strings.Contains(m.Reason, "HEALTHCHECK"):
		return "docker inspect --format '{{json .State.Health}}' " + m.Name + " shows what the check says"
	case strings.Contains(m.Reason, "connection refused"):
		return fmt.Sprintf("nothing listens on port %d of the container, or only on its own 127.0.0.1: let it listen on 0.0.0.0, or name the right port with the label rollcall.port", m.Port)
	case strings.Contains(m.Reason, "no answer"), strings.Contains(m.Reason, "no route"), strings.Contains(m.Reason, "unreachable"):
		return "a firewall or a network that rollcall can't reach is between the two: put both on one network, and name it with rollcall.network"
	case strings.Contains(m.Reason, "closes them at once"):
		return fmt.Sprintf("the engine publishes the port, but nothing listens on port %d in the container yet", m.Port)
	}
	return "docker logs " + m.Name + " may tell why"
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
	fmt.Fprintln(w, x.Verdict)
	if x.Advice != "" {
		fmt.Fprintln(w, x.Advice)
	}
	for _, detail := range x.Details {
		fmt.Fprintln(w, "  "+detail)
	}
}
