package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"rollcall/internal/docker"
)

// Run prints a verdict per container: of those that the engine lists, or that a
// compose file would start. A compose file with warnings is a no.
func (c *checkCommand) Run(ctx context.Context, std streams) error {
	rules := c.rules()
	if c.File != "" {
		verdicts, err := checkComposeFile(ctx, c.File, &rules)
		if err != nil {
			return err
		}
		report := newReport("", verdicts)
		report.conclude()
		if err := report.write(std.Out, c.JSON); err != nil || report.Good {
			return err
		}
		return errNo
	}
	engine, err := docker.New(docker.Options{Host: c.DockerHost})
	if err != nil {
		return errUsage{err}
	}
	defer engine.Close()
	interfaces, err := hostInterfaces()
	if err != nil {
		return err
	}
	verdicts, _, err := callRoll(ctx, engine, &rules, interfaces)
	if err != nil {
		return err
	}
	report := newReport(engine.Host(), verdicts)
	report.connect(ctx, (&net.Dialer{}).DialContext)
	report.conclude()
	return report.write(std.Out, c.JSON)
}

// report is what check prints.
type report struct {
	Engine     string            `json:"engine"`  // "" for a compose file
	Good       bool              `json:"good"`    // there is nothing to warn of
	Verdict    string            `json:"verdict"` // one sentence with the gravest cause; the summary if there is none
	Advice     string            `json:"advice"`  // what to change, "" if there is nothing to
	Summary    string            `json:"summary"` // how many containers are used
	Containers []containerReport `json:"containers"`
	Conflicts  []string          `json:"conflicts"` // routes that two services claim, containers that differ

	blamed gravity
}

// gravity ranks what there is to blame.
type gravity uint8

const (
	gravityNone        gravity = iota
	gravityWarning             // something has no effect
	gravityDifference          // containers of a service differ
	gravityNoneUsed            // no container is meant to be used
	gravityConflict            // a service lost a route
	gravityUnreachable         // a container does not answer
	gravityUnused              // a container that is meant to be used is not
)

type containerReport struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Used     bool            `json:"used"`
	Reason   string          `json:"reason"`
	Advice   string          `json:"advice"`
	Warnings []string        `json:"warnings"` // a sentence each, and what to change
	Services []serviceReport `json:"services"`

	verdict *Verdict
}

type serviceReport struct {
	Service  string   `json:"service"`
	Routes   []string `json:"routes"`
	Port     uint16   `json:"port"`
	PortWhy  string   `json:"port_why"`
	Address  string   `json:"address"` // "" if the container does not run, or none answers
	AddrWhy  string   `json:"address_why"`
	Tried    []string `json:"tried"`   // addresses, best first, each with the reason
	Skipped  []string `json:"skipped"` // addresses that are not tried, with the reason
	Problems []string `json:"problems"`
}

func newReport(engine string, verdicts []Verdict) *report {
	r := &report{Engine: engine, Containers: []containerReport{}, Conflicts: []string{}}
	for i := range verdicts {
		r.Containers = append(r.Containers, newContainerReport(&verdicts[i]))
	}
	conflicts, differences := conflictsOf(verdicts)
	for _, c := range conflicts {
		r.Conflicts = append(r.Conflicts, c.String())
		if !c.harmless() {
			r.blame(gravityConflict, c.String(), c.Advice())
		}
	}
	for _, d := range differences {
		r.Conflicts = append(r.Conflicts, d.String())
		r.blame(gravityDifference, d.String(), d.Advice())
	}
	return r
}

func newContainerReport(v *Verdict) containerReport {
	c := containerReport{ID: v.ContainerID, Name: v.Name, Used: v.Used, Reason: v.Reason, Advice: v.Advice, Warnings: sentences(v.Warnings), Services: []serviceReport{}, verdict: v}
	for i, entry := range v.Entries {
		c.Services = append(c.Services, newServiceReport(entry, v.Choices[i]))
	}
	return c
}

func newServiceReport(entry Entry, choice Choice) serviceReport {
	s := serviceReport{Service: entry.Service, Routes: []string{}, Port: choice.Port, PortWhy: choice.PortWhy, Tried: []string{}, Skipped: append([]string{}, choice.Skipped...), Problems: []string{}}
	for _, candidate := range choice.Candidates {
		s.Tried = append(s.Tried, fmt.Sprintf("%s (%s)", candidate.Addr, candidate.Why))
	}
	for _, host := range splitList(entry.Hosts) {
		for _, path := range splitList(entry.Paths) {
			s.Routes = append(s.Routes, host+path)
		}
	}
	if entry.CatchAll {
		s.Routes = append(s.Routes, "any host that no other service claims")
	}
	return s
}

// conflictsOf finds the routes that two of the services would claim, and the
// containers of one service that differ, were all containers healthy.
func conflictsOf(verdicts []Verdict) (conflicts []Conflict, differences []Difference) {
	var members []Member
	for _, v := range verdicts {
		for _, entry := range v.Entries {
			state := Healthy
			if entry.Candidates == "" && entry.ContainerID != entry.Name {
				state = Stopped
			}
			members = append(members, Member{Backend: NewBackend(entry.Spec), Name: entry.Name, State: state})
		}
	}
	slices.SortFunc(members, byService)
	services := groupServices(members)
	for _, s := range services {
		differences = append(differences, s.differences()...)
	}
	_, conflicts = newRouteTable(services)
	return conflicts, differences
}

// connect tries the addresses of each container that runs, for a second at most.
func (r *report) connect(ctx context.Context, dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	health := &Health{dial: dial}
	for i := range r.Containers {
		c := &r.Containers[i]
		for j := range c.Services {
			s, entry := &c.Services[j], c.verdict.Entries[j]
			cause := s.connect(ctx, health, entry, c.verdict.Choices[j])
			if cause != NoCause && cause != CauseStopped {
				why, advice := c.verdict.trouble(cause, s.Problems[0], &entry.Spec)
				r.blame(gravityUnreachable, c.Name+": "+why, advice)
			}
		}
	}
}

// connect finds out which address of a container answers, and notes what keeps
// requests from it.
func (s *serviceReport) connect(ctx context.Context, health *Health, entry Entry, choice Choice) Cause {
	problem := func(text string) { s.Problems = append(s.Problems, text) }
	cause := NoCause
	switch entry.Engine {
	case EngineStopped:
		problem("the container does not run")
		return CauseStopped
	case EnginePaused:
		problem("the container is paused")
		return CausePaused
	case EngineUnhealthy:
		problem("its HEALTHCHECK fails")
		cause = CauseUnsound
	case EngineStarting:
		problem("its HEALTHCHECK has not passed yet")
		cause = CauseUnproven
	}
	addrs := make([]netip.AddrPort, len(choice.Candidates))
	for i, candidate := range choice.Candidates {
		addrs[i] = candidate.Addr
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	answering, err := health.connect(ctx, addrs, closeWatch)
	if err != nil {
		problem(fmt.Sprintf("no connection to %s succeeds: %s", entry.Candidates, reasonOf(err)))
		return cmp.Or(cause, causeOf(err))
	}
	s.Address = answering.String()
	for _, candidate := range choice.Candidates {
		if candidate.Addr == answering {
			s.AddrWhy = candidate.Why
		}
	}
	return cause
}

// blame makes this the report's verdict unless it has a graver one.
func (r *report) blame(g gravity, verdict, advice string) {
	if g > r.blamed {
		r.blamed, r.Verdict, r.Advice = g, verdict, advice
	}
}

// conclude makes the verdict, once all that there is to know is in the report.
func (r *report) conclude() {
	used := 0
	for _, c := range r.Containers {
		if c.Used {
			used++
		} else if c.verdict.Wanted {
			r.blame(gravityUnused, c.Name+" is "+c.Reason, c.Advice)
		}
		for _, w := range c.verdict.Warnings {
			r.blame(gravityWarning, c.Name+": "+w.Text, w.Advice)
		}
	}
	r.Summary = fmt.Sprintf("%d of %d containers of the engine at %s are used", used, len(r.Containers), r.Engine)
	if r.Engine == "" {
		r.Summary = fmt.Sprintf("%d of %d services of the compose file would be used", used, len(r.Containers))
	}
	switch {
	case used == 0 && len(r.Containers) == 1:
		r.blame(gravityNoneUsed, r.Containers[0].Name+" is "+r.Containers[0].Reason, r.Containers[0].Advice)
	case used == 0:
		r.blame(gravityNoneUsed, r.Summary, "start a container of an --image, or give one a label such as rollcall.host=shop.example.com")
	}
	if r.Good = r.blamed == gravityNone; r.Good {
		r.Verdict = r.Summary
	}
}

func (r *report) write(w io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	r.print(w)
	return nil
}

// print writes the verdict, what to change, and then what each container does.
func (r *report) print(w io.Writer) {
	fmt.Fprintln(w, printable(r.Verdict))
	if r.Advice != "" {
		fmt.Fprintln(w, printable(r.Advice))
	}
	fmt.Fprintln(w)
	for _, c := range r.Containers {
		c.print(w)
	}
	for _, conflict := range r.Conflicts {
		fmt.Fprintf(w, "warning: %s\n", printable(conflict))
	}
	if r.Summary != r.Verdict {
		fmt.Fprintln(w, r.Summary)
	}
}

func (c *containerReport) print(w io.Writer) {
	if c.ID == c.Name {
		fmt.Fprintf(w, "%s: %s\n", c.Name, printable(c.Reason)) // of a compose file
	} else {
		fmt.Fprintf(w, "%s (%s): %s\n", c.Name, short(c.ID), printable(c.Reason))
	}
	for _, s := range c.Services {
		if s.Port != 0 {
			fmt.Fprintf(w, "  service %s, port %d (%s)", s.Service, s.Port, s.PortWhy)
		} else {
			fmt.Fprintf(w, "  service %s, port %s", s.Service, s.PortWhy)
		}
		if s.Address != "" {
			fmt.Fprintf(w, ", at %s (%s)", s.Address, s.AddrWhy)
		}
		fmt.Fprintln(w)
		for _, route := range s.Routes {
			fmt.Fprintf(w, "    answers to %s\n", route)
		}
		for _, problem := range s.Problems {
			fmt.Fprintf(w, "    problem: %s\n", problem)
		}
		for _, skipped := range s.Skipped {
			fmt.Fprintf(w, "    not at %s\n", skipped)
		}
	}
	for _, warning := range c.Warnings {
		fmt.Fprintf(w, "  warning: %s\n", printable(warning))
	}
}
