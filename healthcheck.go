package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// healthcheckTimeout is shorter than Docker's own default of 30 s, so that the
// reason is seen.
const healthcheckTimeout = 3 * time.Second

// Run asks the local daemon whether it is ready. With the admin listener off,
// all that can be asked is whether the proxy accepts connections.
func (c *healthcheckCommand) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	if c.Admin == adminOff {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.Listen.client())
		if err != nil {
			return fmt.Errorf("healthcheck: the proxy does not listen on %s: %s", c.Listen.client(), reasonOf(err))
		}
		return conn.Close()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Admin.client()+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("healthcheck: no rollcall answers on its admin listener %s (--admin): %s", c.Admin.client(), reasonOf(err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("healthcheck: %s", strings.TrimSpace(string(body)))
	}
	return nil
}
