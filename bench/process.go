package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rollcall/e2e/lab"
)

// process is a program that was started, with all that it starts itself.
type process struct {
	name  string
	pid   int
	ended chan struct{}
}

// startProcess starts a program that ends with t, or with this process. What it
// says on its standard error goes to a file beside the others, and is shown if
// t fails.
func startProcess(t lab.T, dir, name string, cmd *exec.Cmd) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		t.Fatalf("%v", err)
	}
	cmd.Stderr = log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// SIGTERM, so that a master process ends its workers.
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	// Not the terminal's interrupts: this process ends them in good order.
	cmd.SysProcAttr.Setpgid = true
	p := &process{name: name, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig comes when the thread that started it ends
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	p.pid = cmd.Process.Pid
	t.Cleanup(func() {
		p.stop()
		log.Close()
		if said, _ := os.ReadFile(log.Name()); t.Failed() && len(said) > 0 {
			t.Logf("%s said:\n%s", name, said)
		}
	})
	return p
}

// stop ends the process and waits for that.
func (p *process) stop() {
	_ = syscall.Kill(p.pid, syscall.SIGTERM) // it may have ended already
	select {
	case <-p.ended:
	case <-time.After(3 * time.Second):
	}
	_ = syscall.Kill(-p.pid, syscall.SIGKILL) // what is left of its group
	<-p.ended
}

func (p *process) running() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended", p.name)
	default:
		return nil
	}
}

// tree returns the process and its descendants.
func (p *process) tree() []int {
	children := map[int][]int{}
	entries, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range entries {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if fields, err := statFields(pid); err == nil {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], pid)
		}
	}
	all := []int{p.pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// statFields returns the fields of /proc/PID/stat behind the program's name,
// which may hold anything but ends with the last parenthesis: state is the first.
func statFields(pid int) ([]string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return nil, fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	return fields, nil
}

// tick is the unit of times in /proc; it is the same on every Linux that Go runs on.
const tick = time.Second / 100

// cpuTime is the processor time that the processes have taken: utime and stime.
func cpuTime(pids []int) (total time.Duration) {
	for _, pid := range pids {
		fields, err := statFields(pid)
		if err != nil {
			continue // it has ended; what it took is lost
		}
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		total += time.Duration(user+system) * tick
	}
	return total
}

// busyTime is the time that all processors together have not been idle, the time
// that a hypervisor gave to others included.
func busyTime() (total time.Duration) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, field := range strings.Fields(line) {
		// cpu user nice system idle iowait irq softirq steal, then what is in user
		if n, err := strconv.Atoi(field); err == nil && i != 4 && i != 5 && i <= 8 {
			total += time.Duration(n) * tick
		}
	}
	return total
}

// memory is the bytes that the processes have in memory; what several share
// counts once.
func memory(pids []int) (total int64) {
	for _, pid := range pids {
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(rollup)) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "Pss:" {
				kib, _ := strconv.ParseInt(fields[1], 10, 64)
				total += kib << 10
			}
		}
	}
	return total
}

// startBackends starts n of them and returns their addresses.
func startBackends(t lab.T, dir, program string, n int) (*process, []string) {
	t.Helper()
	cmd := exec.Command(program, "-n", strconv.Itoa(n))
	if _, err := cmd.StdinPipe(); err != nil { // it ends when this process does
		t.Fatalf("%v", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer read.Close()
	cmd.Stdout = write
	p := startProcess(t, dir, "backend", cmd)
	write.Close()
	var addresses []string
	lines := bufio.NewScanner(read)
	for len(addresses) < n && lines.Scan() {
		addresses = append(addresses, lines.Text())
	}
	if err := errors.Join(lines.Err(), p.running()); err != nil || len(addresses) < n {
		t.Fatalf("the backends did not start: %v", err)
	}
	return p, addresses
}
