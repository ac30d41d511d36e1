package e2e

import (
	"testing"

	"rollcall/internal/docker/dockertest"
)

// The fake engine of the other tests is worth what this one says: that a real
// engine does the same.
func TestFakeEngineIsLikeTheRealOne(t *testing.T) {
	engine := begin(t)
	dockertest.Conformance(t, dockertest.NewReal(t, engine.Host))
}
