package main

import (
	"flag"
	"os"
	"testing"
	"time"

	"rollcall/e2e/lab"
)

// ground is where the test stands; nil when it is to be skipped.
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

// The short form. How long things take is printed and does not count: other
// tests run at the same time.
func TestNoRequestIsLost(t *testing.T) {
	if ground == nil {
		t.Skip("this test works a real Docker engine: run it with ROLLCALL_E2E=1")
	}
	report := play(t, ground, Options{Short: true, Rate: 300, Margin: time.Second}, t.Output())
	report.Print(t.Output())
	if broken := report.Broken(); len(broken) > 0 {
		for _, b := range broken {
			t.Errorf("broken: %s", b)
		}
		dir := t.ArtifactDir()
		if err := report.Write(dir); err != nil {
			t.Error(err)
		}
		t.Logf("table, plot and logs are in %s (kept with go test -artifacts)", dir)
	}
}
