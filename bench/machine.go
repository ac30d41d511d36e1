package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Machine is what a run was made on, as a report says it.
type Machine struct {
	Processor string
	Kernel    string
	Memory    string
	Go        string
	Rollcall  string // as git describes it
	When      time.Time
}

func thisMachine() Machine {
	m := Machine{Processor: "unknown", Go: runtime.Version(), Rollcall: gitVersion(), When: time.Now()}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.Processor = strings.TrimSpace(value)
				break
			}
		}
	}
	m.Processor = fmt.Sprintf("%d × %s", processors, m.Processor)
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(release))
	}
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err == nil {
		m.Memory = fmt.Sprintf("%.0f GiB", float64(info.Totalram)*float64(info.Unit)/(1<<30))
	}
	return m
}
