package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"rollcall/internal/docker"
)

// Run asks the engine once and prints a verdict per container.
func (c *checkCommand) Run(ctx context.Context, std streams) error {
	engine, err := docker.New(docker.Options{Host: c.DockerHost})
	if err != nil {
		return errUsage{err}
	}
	defer engine.Close()
	interfaces, err := hostInterfaces()
	if err != nil {
		return err
	}
	rules := c.rules()
	verdicts, err := callRoll(ctx, engine, &rules, interfaces)
	if err != nil {
		return err
	}
	report := newReport(ctx, engine.Host(), verdicts)
	if c.JSON {
		encoder := json.NewEncoder(std.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report)
	}
	report.print(std.Out)
	return nil
}

// report is what check prints.
type report struct {
	Engine     string            `json:"engine"`
	Containers []containerReport `json:"containers"`
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

func newReport(ctx context.Context, engine string, verdicts []Verdict) *report {
	r := &report{Engine: engine, Containers: []containerReport{}}
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

func (r *report) print(w io.Writer) {
	used := 0
	for _, c := range r.Containers {
		fmt.Fprintf(w, "%s (%s): %s\n", c.Name, short(c.ID), c.Reason)
		for _, s := range c.Services {
			fmt.Fprintf(w, "  service %s, port %d (%s)", s.Service, s.Port, s.PortWhy)
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
	fmt.Fprintf(w, "%d of %d containers of the engine at %s are used\n", used, len(r.Containers), r.Engine)
}
