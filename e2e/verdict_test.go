package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"testing"

	"rollcall/e2e/lab"
)

// verdict is what rollcall check says of a container.
type verdict struct {
	ID, Name, Reason string
	Used             bool
	Warnings         []string
	Services         []struct{ Address string }
}

func verdictOf(t *testing.T, engine *lab.Engine, c *lab.Container, flags ...string) verdict {
	t.Helper()
	check := ground.Outcome(t, append([]string{"check", "--json", "--docker-host", engine.Host}, flags...)...)
	if check.Code != 0 {
		t.Fatalf("check: %+v", check)
	}
	var report struct{ Containers []verdict }
	if err := json.Unmarshal([]byte(check.Out), &report); err != nil {
		t.Fatalf("check: %v: %s", err, check.Out)
	}
	for _, v := range report.Containers {
		if v.ID == c.ID {
			return v
		}
	}
	t.Fatalf("check says nothing of container %s: %s", c.Hostname(), check.Out)
	return verdict{}
}

// want returns an error unless got is as wanted, for lab.Await.
func want(got, want string) error {
	if got != want {
		return fmt.Errorf("it is %q, not %q", got, want)
	}
	return nil
}

// freeAddress is one that nothing listens on at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// withoutContext is a test for use in its cleanups, when its context is done.
type withoutContext struct{ *testing.T }

func (t withoutContext) Context() context.Context { return context.WithoutCancel(t.T.Context()) }
