package docker

import (
	"strconv"
	"strings"
)

// Linux's numbers, whatever this program runs on: they come from the engine.
var signalNames = [...]string{
	1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 5: "TRAP", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL",
	10: "USR1", 11: "SEGV", 12: "USR2", 13: "PIPE", 14: "ALRM", 15: "TERM", 16: "STKFLT", 17: "CHLD",
	18: "CONT", 19: "STOP", 20: "TSTP", 21: "TTIN", 22: "TTOU", 23: "URG", 24: "XCPU", 25: "XFSZ",
	26: "VTALRM", 27: "PROF", 28: "WINCH", 29: "IO", 30: "PWR", 31: "SYS",
}

var signalAliases = map[string]string{"IOT": "ABRT", "CLD": "CHLD", "POLL": "IO", "UNUSED": "SYS"}

// The real-time signals, as the engine numbers and names them.
const sigRTMin, sigRTMax = 34, 64

// signalName gives a signal, in whichever form the engine has it ("15", "TERM",
// "sigterm", "RTMIN+3", "37"), one name: "SIGTERM", "SIGRTMIN+3". What it doesn't
// know it leaves as it is.
func signalName(s string) string {
	name := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(s)), "SIG")
	n, err := strconv.Atoi(name)
	if err != nil {
		n = realTimeNumber(name)
	}
	switch {
	case name == "":
		return ""
	case n > 0 && n < len(signalNames):
		return "SIG" + signalNames[n]
	case n == sigRTMin:
		return "SIGRTMIN"
	case n == sigRTMax:
		return "SIGRTMAX"
	case n > sigRTMin && n < sigRTMin+16:
		return "SIGRTMIN+" + strconv.Itoa(n-sigRTMin)
	case n >= sigRTMin+16 && n < sigRTMax:
		return "SIGRTMAX-" + strconv.Itoa(sigRTMax-n)
	case err == nil:
		return s
	}
	if known, ok := signalAliases[name]; ok {
		name = known
	}
	return "SIG" + name
}

// realTimeNumber is the number of "RTMIN+3" or "RTMAX-1"; 0 for any other name.
func realTimeNumber(name string) int {
	base, rest := sigRTMin, strings.TrimPrefix(name, "RTMIN")
	if rest == name {
		base, rest = sigRTMax, strings.TrimPrefix(name, "RTMAX")
	}
	if rest == name {
		return 0
	}
	if rest == "" {
		return base
	}
	offset, err := strconv.Atoi(rest) // with its sign
	if n := base + offset; err == nil && n >= sigRTMin && n <= sigRTMax {
		return n
	}
	return 0
}
