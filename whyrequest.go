package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// explainRequest says where a request would go.
func (e *Explainer) explainRequest(x *Explanation, host, path string) {
	route := e.Snapshot.Route(host, path)
	if e.Snapshot.Ambiguous(host, path) {
		x.say("ask for it without a .. in its path", "%s%s is refused: its path can be read as one of several services", host, path)
		x.Details = append(x.Details, e.nearRoutes(host, path, nil)...)
		return
	}
	if route == nil {
		e.explainNoRoute(x, host, path)
		x.Details = append(x.Details, e.nearRoutes(host, path, nil)...)
		return
	}
	s := route.Service
	x.Service, x.Route = s.Name, route.String()
	e.judgeService(x, s, host+path)
	x.detail("route %s of service %s matches", route, s.Name)
	for _, m := range s.Members {
		x.detail("%s is %s: %s", m.Name, m.State, m.Reason)
	}
	x.Details = append(x.Details, e.nearRoutes(host, path, route)...)
	for _, d := range e.Snapshot.Differences {
		if d.Service == s.Name {
			x.detail("%s", d)
		}
	}
	e.detailAlike(x, s)
	if !strings.Contains(x.Target, ".") && strings.Trim(x.Target, "/") == x.Target && x.Target == host {
		x.detail("no container is called %s, so it was taken for a host", x.Target)
	}
}

// judgeService gives the verdict on a request for a service.
func (e *Explainer) judgeService(x *Explanation, s *Service, target string) {
	next, certain := s.Peek()
	if next == nil {
		// The member that is nearest to being usable is the one to help.
		nearest := slices.MaxFunc(s.Members, func(a, b Member) int { return cmp.Compare(a.State, b.State) })
		reason, advice := e.trouble(&nearest)
		x.say(advice, "service %s has no usable backend (%s): %s is %s: %s", s.Name, s, nearest.Name, nearest.State, reason)
		return
	}
	x.Good = true
	where := fmt.Sprintf("one of %d backends, as %s chooses", len(s.backends), s.Lead.Balance)
	if s.Lead.Sticky != "" {
		where += " or the cookie " + s.Lead.Sticky + " says"
	}
	if certain {
		x.Backend = next.Name
		where = next.Name + " at " + next.Address()
	}
	x.say("", "%s goes to service %s; the next request would reach %s", target, s.Name, where)
	if next.State == Unhealthy {
		_, x.Advice = e.trouble(next)
		x.Verdict += fmt.Sprintf(", although it is unhealthy, as all of them are: %s", next.Reason)
	}
}

// detailAlike adds that clients can't be told apart, where that decides.
func (e *Explainer) detailAlike(x *Explanation, s *Service) {
	if s.Lead.Balance != "hash:ip" || e.Roll.Self == "" {
		return
	}
	if self, _ := e.container(e.Roll.Self); self != nil && len(self.Warnings) > 0 {
		x.detail("%s balances by hash:ip, and for rollcall %s", s.Name, self.Warnings[0])
	}
}

// explainNoRoute finds the most likely reason why nothing answers.
func (e *Explainer) explainNoRoute(x *Explanation, host, path string) {
	for _, guess := range []func(x *Explanation, host, path string) bool{
		e.neverAnswered, e.unusedClaims, e.labelMeans, e.otherPaths, e.bareDomain, e.defaultHost, e.typingError, e.unreadHost, e.silentEngine, e.nothingUsed,
	} {
		if guess(x, host, path) {
			return
		}
	}
	x.say("give the container that should answer the label rollcall.host="+host, "no service answers to %s; services answer to %s", host, some(e.hosts()))
}

func (e *Explainer) neverAnswered(x *Explanation, host, _ string) bool {
	if !e.Roll.At.IsZero() {
		return false
	}
	why := "it has not been asked yet"
	if e.Roll.Err != nil {
		why = e.Roll.Err.Error()
	}
	x.say("see that the engine runs, and that rollcall may open its socket or port (--docker-host)",
		"no service answers to %s: the engine at %s has not answered yet: %s", host, e.Roll.Engine, why)
	return true
}

// unusedClaims finds a container that claims the host, and is not used.
func (e *Explainer) unusedClaims(x *Explanation, host, _ string) bool {
	for i := range e.Roll.Verdicts {
		v := &e.Roll.Verdicts[i]
		if !v.Used && slices.ContainsFunc(v.Claims, func(pattern string) bool { return hostMatches(pattern, host) }) {
			x.say(v.Advice, "no service answers to %s: container %s claims it, but is %s", host, v.Name, v.Reason)
			return true
		}
	}
	return false
}

// labelMeans finds a label that means the host, and is wrong.
func (e *Explainer) labelMeans(x *Explanation, host, _ string) bool {
	for i := range e.Roll.Verdicts {
		v := &e.Roll.Verdicts[i]
		means := func(w Warning) bool {
			return slices.ContainsFunc(splitList(w.Hosts), func(pattern string) bool { return hostMatches(pattern, host) })
		}
		if w := slices.IndexFunc(v.Warnings, means); w >= 0 {
			x.say(v.Warnings[w].Advice, "no service answers to %s: container %s means to, but %s", host, v.Name, v.Warnings[w])
			return true
		}
		if means(Warning{Hosts: v.Means}) {
			x.say(v.Advice, "no service answers to %s: container %s means to, but is %s", host, v.Name, v.Reason)
			return true
		}
	}
	return false
}

func (e *Explainer) otherPaths(x *Explanation, host, path string) bool {
	var paths []string
	for _, r := range e.Snapshot.Routes() {
		if r.Host == host {
			paths = append(paths, r.Path)
		}
	}
	if len(paths) == 0 {
		return false
	}
	x.say("ask for one of these paths, or let a service claim "+path+" with the label rollcall.path",
		"no service answers to %s%s: %s has routes only for %s", host, path, host, some(paths))
	return true
}

// bareDomain finds *.example.com where example.com is asked for.
func (e *Explainer) bareDomain(x *Explanation, host, _ string) bool {
	for _, r := range e.Snapshot.Routes() {
		if r.Host == "*."+host {
			x.say(fmt.Sprintf("claim both: rollcall.host=%s,%s", host, r.Host),
				"no service answers to %s: service %s answers to %s, which covers only the names below it", host, r.Service.Name, r.Host)
			return true
		}
	}
	return false
}

// defaultHost finds the service that a host's first label names, and that answers
// to another host.
func (e *Explainer) defaultHost(x *Explanation, host, _ string) bool {
	name, _, _ := strings.Cut(host, ".")
	routes := e.routesOf(name)
	if len(routes) == 0 {
		return false
	}
	x.say("ask for that, or add the host to the label rollcall.host", "no service answers to %s: service %s answers to %s", host, name, some(routes))
	return true
}

func (e *Explainer) typingError(x *Explanation, host, _ string) bool {
	if near := nearest(host, e.hosts()); near != "" {
		x.say("is one of the two a typing error?", "no service answers to %s; one does to %s", host, near)
		return true
	}
	if strings.Contains(host, ".") {
		return false
	}
	var names []string
	for _, v := range e.Roll.Verdicts {
		names = append(names, v.Name)
	}
	if near := nearest(host, names); near != "" {
		x.say("rollcall why "+near, "%s is neither a host that a service answers to nor a container; there is a container %s", host, near)
		return true
	}
	return false
}

// unreadHost finds any container whose host can't be read, or that is not used
// against its will: with nothing better to say, it may be the one.
func (e *Explainer) unreadHost(x *Explanation, host, _ string) bool {
	for i := range e.Roll.Verdicts {
		v := &e.Roll.Verdicts[i]
		if w := slices.IndexFunc(v.Warnings, func(w Warning) bool { return w.Key == "host" }); w >= 0 {
			x.say(v.Warnings[w].Advice, "no service answers to %s; perhaps container %s should: %s", host, v.Name, v.Warnings[w])
			return true
		}
	}
	for i := range e.Roll.Verdicts {
		if v := &e.Roll.Verdicts[i]; v.Wanted && !v.Used {
			x.say(v.Advice, "no service answers to %s; perhaps container %s should, but it is %s", host, v.Name, v.Reason)
			return true
		}
	}
	return false
}

func (e *Explainer) silentEngine(x *Explanation, host, _ string) bool {
	if e.Roll.Err == nil {
		return false
	}
	x.say("see to the engine first; until then rollcall goes on with what it knows",
		"no service answers to %s, and what has started in the last %s is not known: the engine at %s does not answer: %v",
		host, age(time.Since(e.Roll.At)), e.Roll.Engine, e.Roll.Err)
	return true
}

func (e *Explainer) nothingUsed(x *Explanation, host, _ string) bool {
	if e.Snapshot.Len() > 0 {
		return false
	}
	x.say("start a container of an --image, or one with the label rollcall.host="+host, "no service answers to %s: %s", host, noneUsed(len(e.Roll.Verdicts)))
	return true
}

// noneUsed says that of so many containers none is used.
func noneUsed(containers int) string {
	if containers == 0 {
		return "the engine has no container"
	}
	return fmt.Sprintf("none of the engine's %d containers is used", containers)
}

// some lists a few of many words.
func some(words []string) string {
	const few = 5
	if len(words) > few {
		return strings.Join(words[:few], ", ") + fmt.Sprintf(" and %d more", len(words)-few)
	}
	return strings.Join(words, ", ")
}

// hosts lists the hosts that have a route, sorted.
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

// nearRoutes tells of routes that nearly matched, or matched and lost: of the
// same host with another path, the same path on another host; a handful of each
// at most.
func (e *Explainer) nearRoutes(host, path string, matched *Route) []string {
	const few = 5
	var near []string
	path = normalPath(path)
	tell := func(r *Route, how string) {
		usable := ""
		if next, _ := r.Service.Peek(); next == nil {
			usable = ", which has no usable backend"
		}
		if len(near) < few {
			near = append(near, fmt.Sprintf("%s: %s goes to service %s%s", how, r, r.Service.Name, usable))
		}
	}
	for _, r := range e.Snapshot.Routes() {
		sameHost, samePath := hostMatches(r.Host, host), pathMatches(r.Path, path)
		switch {
		case r == matched:
		case sameHost && samePath && r.Priority < matched.Priority:
			tell(r, fmt.Sprintf("matches, but has the priority %d and not %d", r.Priority, matched.Priority))
		case sameHost && samePath:
			tell(r, "matches, but is less specific")
		case r.Host == host:
			tell(r, "nearly, the same host with another path")
		case samePath && r.Path != "/":
			tell(r, "nearly, the same path on another host")
		}
	}
	for _, c := range e.Snapshot.Conflicts {
		if c.Host == host {
			near = append(near, c.String())
		}
	}
	return near
}

// hostMatches tells whether a route's host covers a host, both as routes are
// compared.
func hostMatches(pattern, host string) bool {
	suffix, wildcard := strings.CutPrefix(pattern, "*")
	return pattern == "" || pattern == host || wildcard && strings.HasSuffix(host, suffix) && len(host) > len(suffix)
}

// pathMatches tells whether a route's path is a prefix of a path, by whole
// segments.
func pathMatches(prefix, path string) bool {
	return prefix == "/" || path == prefix || strings.HasPrefix(path, prefix+"/")
}
