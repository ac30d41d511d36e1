package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"rollcall/e2e/lab"
)

// heldAnswer is the body of an answer that has begun and waits for the app to be
// asked for /release.
type heldAnswer struct {
	*bufio.Reader
	close bool // the server said that it closes the connection
}

func hold(t *testing.T, rollcall *lab.Rollcall) heldAnswer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, rollcall.URL+"/hold", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	held := heldAnswer{bufio.NewReader(response.Body), response.Close}
	if line, err := held.ReadString('\n'); line != "held\n" {
		t.Fatalf("%s, %q, %v", response.Status, line, err)
	}
	return held
}

func TestSIGTERMFinishesRequestsInFlight(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "sigterm", lab.App)
	c := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", c)
	answer := hold(t, rollcall)
	rollcall.Signal(t, syscall.SIGTERM)
	lab.Await(t, "it accepts no more connections", func() error {
		conn, err := net.Dial("tcp", strings.TrimPrefix(rollcall.URL, "http://"))
		if err != nil {
			return nil
		}
		conn.Close()
		return errors.New("it still does")
	})
	select {
	case <-rollcall.Ended():
		t.Fatal("it ended with a request in flight")
	default:
	}
	askApp(t, c, http.MethodGet, "/release")
	if rest, err := io.ReadAll(answer); string(rest) != "released\n" || err != nil {
		t.Errorf("the rest of the answer is %q, %v", rest, err)
	}
	if state := rollcall.AwaitEnd(t); state.ExitCode() != 0 {
		t.Errorf("it ended with %v", state)
	}
}

func TestSIGTERMWithoutRequestsEndsAtOnce(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "idle", lab.App)
	c := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", c) // leaves idle connections on both sides
	rollcall.Signal(t, syscall.SIGTERM)
	if state := rollcall.AwaitEnd(t); state.ExitCode() != 0 {
		t.Errorf("it ended with %v", state)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "second-signal", lab.App)
	c := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image, "--drain", "1h")
	rollcall.AwaitServedBy(t, "", "/", c)
	answer := hold(t, rollcall)
	rollcall.Signal(t, syscall.SIGTERM)
	rollcall.Log.Await(t, "rollcall stops")
	rollcall.Signal(t, syscall.SIGTERM)
	if state := rollcall.AwaitEnd(t); state.ExitCode() == 0 {
		t.Errorf("it ended with %v", state)
	}
	if rest, err := io.ReadAll(answer); err == nil {
		t.Errorf("the answer came to an end: %q", rest)
	}
}

func TestDrainBoundsTheEnd(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "drain", lab.App)
	c := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image, "--drain", "200ms")
	rollcall.AwaitServedBy(t, "", "/", c)
	hold(t, rollcall)
	rollcall.Signal(t, syscall.SIGTERM)
	if state := rollcall.AwaitEnd(t); state.ExitCode() != 0 {
		t.Errorf("it ended with %v", state)
	}
}

func TestReadyzSaysNoWhileItStops(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "leaving", lab.App)
	c := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", c)
	answer := hold(t, rollcall)
	rollcall.Signal(t, syscall.SIGTERM)
	lab.Await(t, "/readyz says no", func() error {
		if status := rollcall.GetAdmin(t, "/readyz").Status; status != http.StatusServiceUnavailable {
			return fmt.Errorf("it is %d", status)
		}
		return nil
	})
	askApp(t, c, http.MethodGet, "/release")
	if _, err := io.Copy(io.Discard, answer); err != nil {
		t.Error(err)
	}
	rollcall.AwaitEnd(t)
}

// A client that gives up costs the backend nothing: its request ends as well.
func TestClientThatLeavesFreesTheBackend(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "leaver", lab.App)
	c := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", c)
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := rollcall.TryGet(ctx, "", "/?delay=1h")
		gone <- err
	}()
	inFlight := func() error { return want(fmt.Sprint(rollcall.Backends(t, c)[0].InFlight), "1") }
	lab.Await(t, "the request is in flight", inFlight)
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}
	lab.Await(t, "the request is no longer in flight", func() error { return want(fmt.Sprint(rollcall.Backends(t, c)[0].InFlight), "0") })
}
