package e2e

import (
	"flag"
	"os"
	"testing"

	"rollcall/e2e/lab"
)

// ground is where all tests stand; nil when they are to be skipped.
var ground *lab.Lab

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv("ROLLCALL_E2E") == "" && os.Getenv("CI") != "true" {
		os.Exit(m.Run())
	}
	os.Exit(lab.Main(func(l *lab.Lab) int {
		ground = l
		return m.Run()
	}))
}

// begin is the beginning of each test. The tests wait more than they work, so
// most run beside each other.
func begin(t *testing.T) *lab.Engine {
	t.Helper()
	if ground == nil {
		t.Skip("this test works a real Docker engine: run it with ROLLCALL_E2E=1")
	}
	t.Parallel()
	return ground.Machine()
}
