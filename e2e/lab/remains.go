package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// signalRun sends a signal to the process of a run, if it still is that.
func signalRun(run string, signal syscall.Signal) error {
	if !alive(run) {
		return nil
	}
	pid, _, _ := strings.Cut(run, "-")
	n, err := strconv.Atoi(pid)
	if err != nil {
		return err
	}
	if err := syscall.Kill(n, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// endRun ends the process of a run, gently at first, and waits for its end.
func endRun(ctx context.Context, run string) error {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := signalRun(run, signal); err != nil {
			return err
		}
		if awaitDeath(ctx, run, 20*time.Second) {
			return nil
		}
	}
	return fmt.Errorf("process %s does not end", run)
}

func awaitDeath(ctx context.Context, run string, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for alive(run) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// killTasks kills what runs in containers whose daemon is gone. The runtime keeps
// a directory for each, with the process's ID and the socket of its shim.
func killTasks(dir string) error {
	var problems []error
	bundles, _ := filepath.Glob(filepath.Join(dir, runtimeState, "io.containerd.runtime.v2.task", "*", "*"))
	for _, bundle := range bundles {
		pid, err := os.ReadFile(filepath.Join(bundle, "init.pid"))
		if err != nil {
			continue // it is being made or removed
		}
		// An ID may have come again; the container's own is in its cgroup's name.
		cgroup, err := os.ReadFile(fmt.Sprintf("/proc/%s/cgroup", pid))
		if n, bad := strconv.Atoi(string(pid)); bad == nil && err == nil && bytes.Contains(cgroup, []byte(filepath.Base(bundle))) {
			if err := syscall.Kill(n, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				problems = append(problems, err)
			}
		}
		if address, err := os.ReadFile(filepath.Join(bundle, "address")); err == nil {
			if socket, ok := strings.CutPrefix(string(address), "unix://"); ok {
				_ = os.Remove(socket) // the shim that is killed next can't
			}
		}
	}
	return errors.Join(problems...)
}

// killPrograms kills what is left of the engine in dir: its daemon and runtime, if
// they were too young to be noted, and its shims, which outlive both.
func killPrograms(dir string) error {
	return killWhere(func(program string, args []string) bool {
		return (program == "dockerd" || strings.HasPrefix(program, "containerd")) &&
			slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, dir+"/") })
	})
}

// killCommands kills the docker commands of a run, such as a build, which would
// go on to make what nobody removes.
func killCommands(run string) error {
	return killWhere(func(program string, args []string) bool {
		return program == "docker" && slices.Contains(args, Label+"="+run)
	})
}

// killWhere kills the processes of which the predicate holds. args includes the
// program's name as it was called.
func killWhere(ours func(program string, args []string) bool) error {
	var problems []error
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		args := strings.Split(string(line), "\x00")
		if !ours(filepath.Base(args[0]), args) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				problems = append(problems, err)
			}
		}
	}
	return errors.Join(problems...)
}

// unmountAll unmounts what is mounted below dir, the last first.
func unmountAll(dir string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var points []string
	for line := range strings.Lines(string(table)) {
		// The path has spaces and the like as \040; none of the lab's has any.
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			points = append(points, fields[4])
		}
	}
	slices.Reverse(points)
	var problems []error
	for _, point := range points {
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			problems = append(problems, fmt.Errorf("unmount %s: %w", point, err))
		}
	}
	return errors.Join(problems...)
}

// deleteLinks deletes the bridges of the engine in dir: its own, which has an
// address of its block, and those of its networks, whose names are in its
// database.
func deleteLinks(ctx context.Context, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, blockFile))
	if err != nil {
		return nil // it had got no further
	}
	block, err := netip.ParsePrefix(string(text))
	if err != nil {
		return err
	}
	database, _ := os.ReadFile(filepath.Join(dir, "data", "network", "files", "local-kv.db"))
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	var problems []error
	for _, link := range interfaces {
		addrs, _ := link.Addrs()
		ours := slices.ContainsFunc(addrs, func(addr net.Addr) bool {
			p, err := netip.ParsePrefix(addr.String())
			return err == nil && block.Contains(p.Addr())
		})
		if ours || strings.HasPrefix(link.Name, "br-") && bytes.Contains(database, []byte(`"`+link.Name+`"`)) {
			problems = append(problems, ip(ctx, "link", "delete", link.Name))
		}
	}
	return errors.Join(problems...)
}
