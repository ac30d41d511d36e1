package main

import (
	"bufio"
	"bytes"
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
	response, err := c.send(ctx, method, path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("the admin listener %s broke off: %w", c.addr, err)
	}
	if value == nil {
		return nil
	}
	if err := json.Unmarshal(body, value); err != nil {
		return fmt.Errorf("the answer of %s is not rollcall's: %w", c.addr, err)
	}
	return nil
}

// send sends a request and returns the answer if that is a success. Its body is to
// be closed.
func (c adminClient) send(ctx context.Context, method, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+path, nil)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	// A proxy named in the environment has no business between the two.
	client := &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{}).DialContext, DisableKeepAlives: true}}
	response, err := client.Do(request)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("no rollcall listens on %s: start one, or name its admin listener with --admin", c.addr)
	case err != nil:
		return nil, fmt.Errorf("the admin listener %s does not answer: %s", c.addr, reasonOf(err))
	case response.StatusCode == http.StatusOK:
		return response, nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("the admin listener %s broke off: %w", c.addr, err)
	}
	return nil, errors.New(problemOf(body))
}

// watchEvent is one event of /v1/watch.
type watchEvent struct {
	name string
	data []byte
}

// watch calls on with each event of /v1/watch until ctx is done or the stream
// ends, for which the error says why. A daemon whose heartbeat stays away is gone.
func (c adminClient) watch(ctx context.Context, on func(watchEvent)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(2*watchHeartbeat, cancel)
	defer silent.Stop()
	response, err := c.send(ctx, http.MethodGet, "/v1/watch")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	event := watchEvent{}
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("the admin listener %s broke off: %s", c.addr, reasonOf(err))
		}
		silent.Reset(2 * watchHeartbeat)
		field, value, _ := bytes.Cut(bytes.TrimRight(line, "\n"), []byte(": "))
		switch string(field) {
		case "event":
			event.name = string(value)
		case "data":
			event.data = value
		case "":
			if event.name != "" {
				on(event)
			}
			event = watchEvent{}
		}
	}
}

// problemOf takes the sentence out of an error's body, JSON or text.
func problemOf(body []byte) string {
	var problem problemView
	if json.Unmarshal(body, &problem) == nil && problem.Error != "" {
		return problem.Error
	}
	return oneLine(string(body))
}
