package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"
)

// Run prints the backends that the running daemon knows.
func (c *psCommand) Run(ctx context.Context, std streams) error {
	var backends []backendView
	if err := c.client().do(ctx, http.MethodGet, "/v1/backends", &backends); err != nil {
		return fmt.Errorf("ps: %w", err)
	}
	return printBackends(std.Out, backends, c.JSON)
}

// Run takes a container out of rotation.
func (c *drainCommand) Run(ctx context.Context, std streams) error {
	return c.change(ctx, std, "drain")
}

// Run puts a container back into rotation.
func (c *undrainCommand) Run(ctx context.Context, std streams) error {
	return (*drainCommand)(c).change(ctx, std, "undrain")
}

// change asks the daemon for a change and prints the container's backends as
// they are then.
func (c *drainCommand) change(ctx context.Context, std streams, what string) error {
	var backends []backendView
	if err := c.client().do(ctx, http.MethodPost, "/v1/backends/"+url.PathEscape(c.Container)+"/"+what, &backends); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return printBackends(std.Out, backends, c.JSON)
}

func printBackends(w io.Writer, backends []backendView, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(backends)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tCONTAINER\tID\tSTATE\tADDRESS\tIN FLIGHT\tREQUESTS\tFAILURES\tSINCE\tREASON")
	for _, b := range backends {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", b.Service, b.Container, short(b.ContainerID), b.State, b.Address,
			b.InFlight, b.Requests, b.Failures, age(time.Since(b.Since)), b.Reason)
	}
	return table.Flush()
}

// age is a duration in its largest unit, as tables show it: "42s", "3m", "5h".
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
