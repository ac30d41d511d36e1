package dockertest_test

import (
	"os"
	"testing"

	"rollcall/internal/docker/dockertest"
)

func TestConformance(t *testing.T) {
	dockertest.Conformance(t, dockertest.New(t))
}

func TestConformanceInMemory(t *testing.T) {
	dockertest.Conformance(t, dockertest.New(t, dockertest.InMemory()))
}

// TestConformanceReal runs the same steps on the engine that
// DOCKERTEST_ENGINE names, e.g. unix:///var/run/docker.sock.
func TestConformanceReal(t *testing.T) {
	host := os.Getenv("DOCKERTEST_ENGINE")
	if host == "" {
		t.Skip("DOCKERTEST_ENGINE names no engine")
	}
	dockertest.Conformance(t, dockertest.NewReal(t, host))
}
