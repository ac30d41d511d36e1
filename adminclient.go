package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// adminClient asks the admin listener of the daemon that runs on this host.
type adminClient struct {
	addr  string
	token string // "" for none
}

// adminTimeout bounds one question. It is shorter than the 30 s that Docker
// gives a HEALTHCHECK, so that the reason is seen.
const adminTimeout = 5 * time.Second

// do asks, and decodes the answer into value. An answer that is no success is an
// error with the daemon's own words.
func (c adminClient) do(ctx context.Context, method, path string, value any) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+path, nil)
	if err != nil {
		return err
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	// A proxy named in the environment has no business between the two.
	client := &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{}).DialContext, DisableKeepAlives: true}}
	response, err := client.Do(request)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no rollcall listens on %s: start one, or name its admin listener with --admin", c.addr)
	case err != nil:
		return fmt.Errorf("the admin listener %s does not answer: %s", c.addr, reasonOf(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("the admin listener %s broke off: %w", c.addr, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", problemOf(body))
	}
	if value == nil {
		return nil
	}
	if err := json.Unmarshal(body, value); err != nil {
		return fmt.Errorf("the answer of %s is not rollcall's: %w", c.addr, err)
	}
	return nil
}

// problemOf takes the sentence out of an error's body, JSON or text.
func problemOf(body []byte) string {
	var problem problemView
	if json.Unmarshal(body, &problem) == nil && problem.Error != "" {
		return problem.Error
	}
	return oneLine(string(body))
}
