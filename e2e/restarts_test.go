package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"rollcall/e2e/lab"
)

// Containers that restart one by one, slowly, cost no request.
func TestNoRequestFailsWhileContainersRestart(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "rolling", lab.App)
	var containers []*lab.Container
	for range 3 {
		containers = append(containers, engine.Run(t, image, "--env", "HELLO_START_DELAY=500ms", "--env", "HELLO_STOP_DELAY=500ms"))
	}
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", containers...)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex // guards the following variables
	sent, failures := 0, []string{}
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				answer, err := rollcall.TryGet(t.Context(), "", "/?delay=10ms")
				mu.Lock()
				sent++
				if err != nil {
					failures = append(failures, err.Error())
				} else if answer.Status != http.StatusOK {
					failures = append(failures, answer.String())
				}
				mu.Unlock()
			}
		})
	}
	for _, c := range containers {
		c.Restart(t)
		rollcall.AwaitServedBy(t, "", "/", containers...)
	}
	containers[0].Kill(t, "KILL")
	rollcall.AwaitState(t, containers[0], "stopped")
	lab.Await(t, "300 requests were sent", func() error {
		mu.Lock()
		defer mu.Unlock()
		if sent < 300 {
			return fmt.Errorf("%d were", sent)
		}
		return nil
	})
	stop()
	clients.Wait()
	t.Logf("%d requests", sent)
	if len(failures) > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", len(failures), sent, failures[0])
	}
}

// With a single container a restart is seen as latency only.
func TestSingleContainerRestartIsLatencyOnly(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "single", lab.App)
	c := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image, "--hold", lab.Patience.String())
	rollcall.AwaitServedBy(t, "", "/", c)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan string, 1)
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			if answer, err := rollcall.TryGet(t.Context(), "", "/"); err != nil || answer.Status != http.StatusOK {
				done <- fmt.Sprintf("request %d: %v %s", n, err, answer)
				return
			}
		}
	}()
	c.Restart(t)
	rollcall.AwaitServedBy(t, "", "/", c)
	stop()
	if failure := <-done; failure != "" {
		t.Error(failure)
	}
}
