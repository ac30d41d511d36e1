package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"rollcall/e2e/lab"
)

// Binaries are the programs of a run.
type Binaries struct {
	Rollcall, Nginx, HAProxy, Caddy, Naive, Backend string
}

// caddyModule is what Caddy is built from. It is no part of this module.
const caddyModule = "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9"

// makeBinaries builds what is built and looks for what is installed.
func makeBinaries(t lab.T, o *Options, dir string) *Binaries {
	t.Helper()
	bin := &Binaries{
		Rollcall: filepath.Join(dir, "rollcall"),
		Naive:    filepath.Join(dir, "naive"),
		Backend:  filepath.Join(dir, "backend"),
		Caddy:    o.Caddy,
	}
	say("building rollcall and what it is compared with")
	// As make build does it.
	flags := []string{"build", "-trimpath", "-ldflags", "-s -w -X main.release=" + gitVersion(), "-o", dir + "/"}
	if o.Profile != "" {
		flags = append(flags, "-overlay", profilingOverlay(t, dir))
	}
	goCommand(t, "CGO_ENABLED=0", append(flags, ".")...)
	goCommand(t, "CGO_ENABLED=0", "build", "-trimpath", "-o", dir+"/", "./bench/naive", "./bench/backend")
	if isNamed(o.Contestants, nginx) || isNamed(o.Contestants, nginxTuned) {
		bin.Nginx = installed(t, "nginx", "nginx-light")
	}
	if isNamed(o.Contestants, haproxy) {
		bin.HAProxy = installed(t, "haproxy", "haproxy")
	}
	if bin.Caddy == "" && isNamed(o.Contestants, caddy) {
		say("building Caddy (the first time takes some minutes)")
		goCommand(t, "GOBIN="+dir, "install", caddyModule)
		bin.Caddy = filepath.Join(dir, "caddy")
	}
	return bin
}

func goCommand(t lab.T, variable string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), variable)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// installed finds a program where Debian puts daemons, also if that is not in
// the user's path.
func installed(t lab.T, program, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + program)
	}
	if err != nil {
		t.Fatalf("%s is not installed: run make bench, which installs the package %s, or leave it out with -contestants", program, pkg)
	}
	return path
}

func gitVersion() string {
	said, err := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(said))
}
