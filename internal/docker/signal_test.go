package docker

import "testing"

func TestSignalName(t *testing.T) {
	for s, want := range map[string]string{
		"":            "",
		"15":          "SIGTERM",
		"9":           "SIGKILL",
		"1":           "SIGHUP",
		"TERM":        "SIGTERM",
		"sigquit":     "SIGQUIT",
		"QUIT":        "SIGQUIT",
		"3":           "SIGQUIT",
		"SIGQUIT":     "SIGQUIT",
		" 28 ":        "SIGWINCH",
		"31":          "SIGSYS",
		"CLD":         "SIGCHLD",
		"SIGIOT":      "SIGABRT",
		"POLL":        "SIGIO",
		"34":          "SIGRTMIN",
		"37":          "SIGRTMIN+3",
		"RTMIN+3":     "SIGRTMIN+3",
		"SIGRTMIN+15": "SIGRTMIN+15",
		"49":          "SIGRTMIN+15",
		"50":          "SIGRTMAX-14",
		"RTMIN+16":    "SIGRTMAX-14",
		"RTMAX-14":    "SIGRTMAX-14",
		"RTMAX":       "SIGRTMAX",
		"64":          "SIGRTMAX",
		"SIGWHATEVER": "SIGWHATEVER",
		"99":          "99",
		"0":           "0",
		"32":          "32",
		"-1":          "-1",
		"RTMAX+9":     "SIGRTMAX+9",
	} {
		if got := signalName(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

func FuzzSignalName(f *testing.F) {
	f.Add("RTMIN+3")
	f.Add("15")
	f.Fuzz(func(t *testing.T, s string) {
		if once := signalName(s); signalName(once) != once {
			t.Errorf("%q: %q, then %q", s, once, signalName(once))
		}
	})
}
