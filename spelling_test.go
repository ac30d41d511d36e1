package main

import (
	"strings"
	"testing"
)

func TestMisspelledLabels(t *testing.T) {
	for _, c := range []struct{ label, meant string }{
		{"rolcall.port", "rollcall.port"},
		{"rollcal.host", "rollcall.host"},
		{"Rollcall.host", "rollcall.host"},
		{"ROLLCALL.HOST", "rollcall.host"},
		{"rolecall.web.prot", "rollcall.web.port"},
		{"rollcall-host", "rollcall.host"},
		{"rollcall_health.path", "rollcall.health.path"},
		{"rollcall/host", "rollcall.host"},
		{"rollcall", "rollcall.enable"},
		{"rollcall.Host", "rollcall.host"},
		{"rollcall.web.Port", "rollcall.web.port"},
		{"rollcall.hosts", "rollcall.host"},
		{"rollcall.health.pth", "rollcall.health.path"},
		{"rollcall.port.web", "rollcall.web.port"},
		{"rollcall-backup", ""},
		{"rollcall-e2e", ""},
		{"e2e.rollcall", ""},
		{"rollcalls", ""},
		{"roll.host", ""},
		{"com.example.host", ""},
		{"traefik.port", ""},
		{"", ""},
		{".", ""},
	} {
		t.Run(c.label, func(t *testing.T) {
			v := judge(hello("web-1", "172.17.0.2", label(c.label, "true")))
			said := strings.Join(sentences(v.Warnings), "\n")
			switch {
			case c.meant == "" && said != "":
				t.Errorf("it warns: %s", said)
			case c.meant != "" && !strings.Contains(said, "did you mean "+c.meant+"?"):
				t.Errorf("it says %q, not %s", said, c.meant)
			}
		})
	}
}
