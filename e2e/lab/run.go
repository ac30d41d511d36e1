package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// runOf names the run of a process: by its ID and by the time it started (in
// ticks since the boot), because IDs come again.
func runOf(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The second field, the program's name, may hold anything but ends with the
	// last parenthesis; the start time is field 22.
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	if fields[0] == "Z" {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return fmt.Sprintf("%d-%s", pid, fields[19]), nil
}

// alive tells whether the process of a run still exists.
func alive(run string) bool {
	pid, _, _ := strings.Cut(run, "-")
	n, err := strconv.Atoi(pid)
	if err != nil {
		return false
	}
	now, err := runOf(n)
	return err == nil && now == run
}

func runDir(run string) string { return filepath.Join(os.TempDir(), prefix+run) }
