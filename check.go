package main

import (
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
		report := newReport(ctx, "", verdicts, conflictsOf(verdicts))
		if err := report.write(std.Out, c.JSON); err != nil || report.clean() {
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
	verdicts, err := callRoll(ctx, engine, &rules, interfaces)
	if err != nil {
		return err
	}
	return newReport(ctx, engine.Host(), verdicts, conflictsOf(verdicts)).write(std.Out, c.JSON)
}

// conflictsOf finds the routes that two of the services would claim, were all
// their containers healthy.
func conflictsOf(verdicts []Verdict) []Conflict {
	var members []Member
	for _, v := range verdicts {
		for _, entry := range v.Entries {
			members = append(members, Member{Backend: NewBackend(entry.Spec), Name: entry.Name, State: Healthy})
		}
	}
	slices.SortFunc(members, byService)
	_, conflicts := newRouteTable(groupServices(members))
	return conflicts
}

// report is what check prints.
type report struct {
	Engine     string            `json:"engine"` // "" for a compose file
	Containers []containerReport `json:"containers"`
	Conflicts  []string          `json:"conflicts"` // routes that two services claim
}

type containerReport struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Used     bool            `json:"used"`
	Reason   string          `json:"reason"`
	Warnings []string        `json:"warnings"`
	Services []serviceReport `json:"services"`
}

type serviceReport struct {
	Service  string   `json:"service"`
	Routes   []string `json:"routes"`
	Port     uint16   `json:"port"`
	PortWhy  string   `json:"port_why"`
	Address  string   `json:"address"` // "" if the container does not run, or none answers
	AddrWhy  string   `json:"address_why"`
	Skipped  []string `json:"skipped"` // addresses that were not tried, with the reason
	Problems []string `json:"problems"`
}

func newReport(ctx context.Context, engine string, verdicts []Verdict, conflicts []Conflict) *report {
	r := &report{Engine: engine, Containers: []containerReport{}, Conflicts: []string{}}
	for _, conflict := range conflicts {
		r.Conflicts = append(r.Conflicts, conflict.String())
	}
	for _, v := range verdicts {
		c := containerReport{ID: v.ContainerID, Name: v.Name, Used: v.Used, Reason: v.Reason, Warnings: append([]string{}, v.Warnings...), Services: []serviceReport{}}
		for i, entry := range v.Entries {
			c.Services = append(c.Services, newServiceReport(ctx, entry, v.Choices[i]))
		}
		r.Containers = append(r.Containers, c)
	}
	return r
}

func newServiceReport(ctx context.Context, entry Entry, choice Choice) serviceReport {
	s := serviceReport{Service: entry.Service, Routes: []string{}, Port: choice.Port, PortWhy: choice.PortWhy, Skipped: append([]string{}, choice.Skipped...), Problems: []string{}}
	for _, host := range splitList(entry.Hosts) {
		for _, path := range splitList(entry.Paths) {
			s.Routes = append(s.Routes, host+path)
		}
	}
	if entry.CatchAll {
		s.Routes = append(s.Routes, "any host that no other service claims")
	}
	if entry.ContainerID == entry.Name {
		return s // of a compose file: there is no container yet
	}
	switch entry.Engine {
	case EngineStopped:
		s.Problems = append(s.Problems, "the container does not run")
		return s
	case EnginePaused:
		s.Problems = append(s.Problems, "the container is paused")
		return s
	case EngineUnhealthy:
		s.Problems = append(s.Problems, "its HEALTHCHECK fails")
	case EngineStarting:
		s.Problems = append(s.Problems, "its HEALTHCHECK has not passed yet")
	}
	health := &Health{dial: (&net.Dialer{}).DialContext}
	addrs := make([]netip.AddrPort, len(choice.Candidates))
	for i, candidate := range choice.Candidates {
		addrs[i] = candidate.Addr
	}
	bounded, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	answering, err := health.connect(bounded, addrs)
	if err != nil {
		s.Problems = append(s.Problems, fmt.Sprintf("no connection to %s succeeds: %s", entry.Candidates, reasonOf(err)))
		return s
	}
	s.Address = answering.String()
	for _, candidate := range choice.Candidates {
		if candidate.Addr == answering {
			s.AddrWhy = candidate.Why
		}
	}
	return s
}

// clean tells whether there is nothing to warn of.
func (r *report) clean() bool {
	return len(r.Conflicts) == 0 && !slices.ContainsFunc(r.Containers, func(c containerReport) bool { return len(c.Warnings) > 0 })
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

func (r *report) print(w io.Writer) {
	used := 0
	for _, c := range r.Containers {
		if r.Engine == "" {
			fmt.Fprintf(w, "%s: %s\n", c.Name, c.Reason)
		} else {
			fmt.Fprintf(w, "%s (%s): %s\n", c.Name, short(c.ID), c.Reason)
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
			fmt.Fprintf(w, "  warning: %s\n", warning)
		}
		if c.Used {
			used++
		}
	}
	for _, conflict := range r.Conflicts {
		fmt.Fprintf(w, "warning: %s\n", conflict)
	}
	if r.Engine == "" {
		fmt.Fprintf(w, "%d of %d services of the compose file would be used\n", used, len(r.Containers))
		return
	}
	fmt.Fprintf(w, "%d of %d containers of the engine at %s are used\n", used, len(r.Containers), r.Engine)
}
