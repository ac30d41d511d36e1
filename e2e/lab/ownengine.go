package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// OwnEngine is an engine of the lab's own, beside the machine's: with its own
// containerd, data, socket, bridge and addresses. It can be stopped, killed and
// frozen as a test likes. It needs root, and the commands dockerd, containerd and
// ip.
//
// It leaves the machine's packet filter alone (--iptables=false), so the host
// reaches its containers at their own addresses and at published ports, while
// containers reach nothing outside their network.
type OwnEngine struct {
	*Engine
	dir     string
	bridge  string        // of the machine's engine, "" if it has none here
	daemon  *exec.Cmd     // dockerd; nil before the first Start
	stopped chan struct{} // closed at the end of daemon
}

// engineDirs are where own engines live, in a run's directory.
const engineDirs = "engine-*"

// Files in an own engine's directory. removeOwnEngine finds there what it needs
// after the process that made the engine is gone.
const (
	socketFile     = "docker.sock"
	containerdFile = "containerd.sock"
	blockFile      = "addresses"      // its block of addresses, as a prefix
	daemonRunFile  = "dockerd.run"    // runOf dockerd
	runtimeRunFile = "containerd.run" // runOf containerd
	runtimeState   = "containerd-state"
)

// OwnEngine prepares an engine. It does not run yet; its Host is known. With
// liveRestore containers survive its daemon.
func (l *Lab) OwnEngine(t T, liveRestore bool) *OwnEngine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatalf("an engine of the test's own needs root: run this as root")
	}
	for _, command := range []string{"dockerd", "containerd", "ip"} {
		if _, err := exec.LookPath(command); err != nil {
			t.Fatalf("an engine of the test's own needs %s: on Debian and Ubuntu, apt-get install docker.io containerd iproute2", command)
		}
	}
	dir, err := os.MkdirTemp(l.Dir, engineDirs)
	if err != nil {
		t.Fatalf("%v", err)
	}
	o := &OwnEngine{Engine: &Engine{Host: "unix://" + filepath.Join(dir, socketFile), lab: l}, dir: dir}
	o.bridge, _ = l.machine.Try(t.Context(), "network", "inspect", "--format", `{{index .Options "com.docker.network.bridge.name"}}`, "bridge")
	if _, err := net.InterfaceByName(o.bridge); err != nil {
		o.bridge = "" // that engine is elsewhere, in a virtual machine perhaps
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of dockerd's log:\n%s", o.logEnd())
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Patience)
		defer cancel()
		if err := removeOwnEngine(ctx, dir); err != nil {
			t.Logf("cleaning up: %v", err)
		}
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v", err)
		}
	}
	// A user who is not root may look for the socket.
	must(os.Chmod(dir, 0o755))

	block, err := freeBlock(t.Context())
	must(err)
	must(os.WriteFile(filepath.Join(dir, blockFile), []byte(block.String()), 0o644))
	bridge := fmt.Sprintf("rce%x", rand.Uint32())
	// With an address of its own: else it takes one of its ports', and loses it,
	// with all connections through it, when that container ends.
	mac := fmt.Sprintf("02:42:0a:%02x:%02x:%02x", rand.N(256), rand.N(256), rand.N(256))
	must(ip(t.Context(), "link", "add", bridge, "address", mac, "type", "bridge"))
	gateway := netip.PrefixFrom(block.Addr().Next(), 24)
	o.block = block
	must(ip(t.Context(), "address", "add", gateway.String(), "dev", bridge))
	must(ip(t.Context(), "link", "set", bridge, "up"))

	// No default-address-pools: with them, and without live-restore, a dockerd that
	// starts anew deletes the link docker0, whoever's it is.
	config := map[string]any{
		"hosts":        []string{o.Host},
		"containerd":   filepath.Join(dir, containerdFile),
		"data-root":    filepath.Join(dir, "data"),
		"exec-root":    filepath.Join(dir, "exec"),
		"pidfile":      filepath.Join(dir, "dockerd.pid"),
		"bridge":       bridge,
		"iptables":     false,
		"ip6tables":    false,
		"ip-masq":      false,
		"ip-forward":   false,
		"live-restore": liveRestore,
	}
	// Where the machine's engine can't use the kernel's overlay, neither can this.
	if l.machine.Docker(t, "info", "--format", "{{.Driver}}") == "fuse-overlayfs" {
		config["storage-driver"] = "fuse-overlayfs"
	}
	text, err := json.MarshalIndent(config, "", "\t")
	must(err)
	must(os.WriteFile(filepath.Join(dir, "daemon.json"), text, 0o644))

	// No plugin but what dockerd uses: it starts faster, and asks nothing of the
	// machine.
	must(os.WriteFile(filepath.Join(dir, "containerd.toml"), []byte("version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n"), 0o644))
	_, _, err = o.start("containerd", runtimeRunFile,
		"--config", filepath.Join(dir, "containerd.toml"), "--root", filepath.Join(dir, "containerd-root"),
		"--state", filepath.Join(dir, runtimeState), "--address", filepath.Join(dir, containerdFile))
	must(err)
	Await(t, "containerd listens", func() error {
		_, err := os.Stat(filepath.Join(dir, containerdFile))
		return err
	})
	return o
}

// start starts a program of the engine's and notes it for removeOwnEngine.
func (o *OwnEngine) start(program, runFile string, args ...string) (*exec.Cmd, chan struct{}, error) {
	log, err := os.OpenFile(filepath.Join(o.dir, program+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	// An interrupt at the terminal is not for it: it would end before its
	// containers are removed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}()
	run, err := runOf(cmd.Process.Pid)
	if err != nil {
		return nil, nil, err
	}
	return cmd, ended, os.WriteFile(filepath.Join(o.dir, runFile), []byte(run), 0o644)
}

// Start starts the engine and waits until it answers.
func (o *OwnEngine) Start(t T) {
	t.Helper()
	// What was killed has left its files, and dockerd minds.
	for _, file := range []string{"dockerd.pid", socketFile} {
		_ = os.Remove(filepath.Join(o.dir, file))
	}
	var err error
	o.daemon, o.stopped, err = o.start("dockerd", daemonRunFile, "--config-file", filepath.Join(o.dir, "daemon.json"))
	if err != nil {
		t.Fatalf("%v", err)
	}
	Await(t, "the engine answers", func() error {
		select {
		case <-o.stopped:
			t.Fatalf("dockerd ended:\n%s", o.logEnd())
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := o.Try(ctx, "version")
		return err
	})
	if o.bridge != "" {
		if _, err := net.InterfaceByName(o.bridge); err != nil {
			t.Fatalf("%s, the bridge of the machine's engine, is gone since the test's own engine started: %v", o.bridge, err)
		}
	}
}

// Stop ends the engine's daemon the way a service manager does. Without
// live-restore all its containers end.
func (o *OwnEngine) Stop(t T) {
	t.Helper()
	o.end(t, syscall.SIGTERM)
}

// Kill ends the engine's daemon as a crash would.
func (o *OwnEngine) Kill(t T) {
	t.Helper()
	o.end(t, syscall.SIGKILL)
}

func (o *OwnEngine) end(t T, signal syscall.Signal) {
	t.Helper()
	o.signal(t, signal)
	select {
	case <-o.stopped:
	case <-time.After(Patience):
		t.Fatalf("dockerd did not end within %v", Patience)
	}
}

// Freeze stops the engine's daemon in its tracks: its socket accepts connections
// and nothing answers.
func (o *OwnEngine) Freeze(t T) {
	t.Helper()
	o.signal(t, syscall.SIGSTOP)
}

// Thaw lets a frozen daemon go on.
func (o *OwnEngine) Thaw(t T) {
	t.Helper()
	o.signal(t, syscall.SIGCONT)
}

func (o *OwnEngine) signal(t T, signal syscall.Signal) {
	t.Helper()
	if err := o.daemon.Process.Signal(signal); err != nil {
		t.Fatalf("%v to dockerd: %v", signal, err)
	}
}

func (o *OwnEngine) logEnd() string {
	log, err := os.ReadFile(filepath.Join(o.dir, "dockerd.log"))
	if err != nil {
		return err.Error()
	}
	const most = 4 << 10
	return string(log[max(0, len(log)-most):])
}

// ip runs the command of that name.
func ip(ctx context.Context, args ...string) error {
	_, err := try(exec.CommandContext(ctx, "ip", args...))
	return err
}

// freeBlock finds private addresses that no route of this machine knows, in a
// range that neither Docker nor common home networks use.
func freeBlock(ctx context.Context) (netip.Prefix, error) {
	routes, err := try(exec.CommandContext(ctx, "ip", "-4", "route", "show", "table", "all"))
	if err != nil {
		return netip.Prefix{}, err
	}
	var used []netip.Prefix
	for field := range strings.FieldsSeq(routes) {
		if prefix, err := netip.ParsePrefix(field); err == nil && prefix.Bits() > 0 {
			used = append(used, prefix)
		}
		if addr, err := netip.ParseAddr(field); err == nil {
			used = append(used, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	for _, n := range rand.Perm(256) {
		block := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(208 + n/16), byte(n % 16 * 16), 0}), 20)
		if !slices.ContainsFunc(used, block.Overlaps) {
			return block, nil
		}
	}
	return netip.Prefix{}, errors.New("all of 10.208.0.0/12 is in use: there is no address for an engine of the test's own")
}

// FreeSubnet returns addresses that nothing on this machine uses, for a network
// with --subnet: 10.208.0.0/20 or the like.
func FreeSubnet(t T) netip.Prefix {
	t.Helper()
	block, err := freeBlock(t.Context())
	if err != nil {
		t.Fatalf("%v", err)
	}
	return block
}

// removeOwnEngine ends an engine with all its containers and processes, and
// removes what is left of it on this machine. It works from the engine's
// directory alone.
func removeOwnEngine(ctx context.Context, dir string) error {
	var problems []error
	daemon, runtime := runIn(dir, daemonRunFile), runIn(dir, runtimeRunFile)
	if alive(daemon) {
		_ = signalRun(daemon, syscall.SIGCONT)
		// As long as it answers, it knows best how.
		e := &Engine{Host: "unix://" + filepath.Join(dir, socketFile)}
		problems = append(problems, removeAll(ctx, e, []string{"ps", "--all", "--quiet", "--no-trunc"}, []string{"rm", "--force", "--volumes"}))
	}
	problems = append(problems, endRun(ctx, daemon))
	problems = append(problems, killTasks(dir))
	problems = append(problems, endRun(ctx, runtime))
	problems = append(problems, killPrograms(dir))
	problems = append(problems, unmountAll(dir))
	problems = append(problems, deleteLinks(ctx, dir))
	problems = append(problems, os.RemoveAll(dir))
	return errors.Join(problems...)
}

func runIn(dir, file string) string {
	run, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return "" // it was never started
	}
	return string(run)
}
