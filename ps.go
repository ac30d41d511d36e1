package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Run prints the backends that the running daemon knows.
func (c *psCommand) Run(ctx context.Context, std streams) error {
	if c.Watch {
		watch := &psWatch{client: c.client(), screen: newScreen(std.Out), json: c.JSON}
		if c.JSON {
			watch.screen = &screen{Writer: std.Out}
		}
		if err := watch.run(ctx); err != nil {
			return fmt.Errorf("ps: %w", err)
		}
		return nil
	}
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
	_, err := fmt.Fprintln(w, strings.Join(backendTable(newScreen(w), backends, time.Now()), "\n"))
	return err
}
