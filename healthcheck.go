package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
)

// Run asks the local daemon whether it is ready. With the admin listener off,
// all that can be asked is whether the proxy accepts connections.
func (c *healthcheckCommand) Run(ctx context.Context) error {
	if c.Admin == adminOff {
		ctx, cancel := context.WithTimeout(ctx, adminTimeout)
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.Listen.client())
		if err != nil {
			return fmt.Errorf("healthcheck: the proxy does not listen on %s: %s", c.Listen.client(), reasonOf(err))
		}
		return conn.Close()
	}
	if err := c.client().do(ctx, http.MethodGet, "/readyz", nil); err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	return nil
}
