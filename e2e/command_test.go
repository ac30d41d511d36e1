package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rollcall/e2e/lab"
)

func TestCheck(t *testing.T) {
	engine := begin(t)
	image, other := engine.Image(t, "check", lab.App), engine.Image(t, "check-other", lab.App)
	used := engine.Run(t, image)
	stopped := engine.Create(t, image)
	unused := engine.Run(t, other)
	// Nobody waits for it to listen: check itself tells whether it does.
	lab.Await(t, "the container answers", func() error {
		v := verdictOf(t, engine, used, "--image", image)
		if len(v.Services) == 0 {
			return fmt.Errorf("it has no service: %+v", v)
		}
		return want(v.Services[0].Address, used.IP(t, "bridge")+":8080")
	})
	check := ground.Outcome(t, "check", "--docker-host", engine.Host, "--image", image)
	if check.Code != 0 || check.Err != "" {
		t.Errorf("check: code %d, %s", check.Code, check.Err)
	}
	service := image[strings.LastIndexByte(image, '/')+1:]
	for _, text := range []string{
		used.Name(t) + " (" + used.Hostname() + "): used: its image " + image + " matches --image " + image + "\n",
		"  service " + service + ", port 8080 (the only exposed TCP port), at " + used.IP(t, "bridge") + ":8080 (on network bridge)\n",
		"    answers to " + service + ".localhost/\n",
		stopped.Name(t) + " (" + stopped.Hostname() + "): used: ",
		"    problem: the container does not run\n",
		unused.Name(t) + " (" + unused.Hostname() + "): not used: it has no label that begins with rollcall., and its image " + other + " matches no --image",
	} {
		if !strings.Contains(check.Out, text) {
			t.Errorf("check does not say %q:\n%s", text, check.Out)
		}
	}
}

func TestOneLineTellsWhatIsWrong(t *testing.T) {
	engine := begin(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	inUse := taken.Addr().String()
	nowhere := "unix://" + filepath.Join(t.TempDir(), "no.sock")
	serve := []string{"serve", "--docker-host", engine.Host, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	for _, test := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"unknown flag", []string{"--lisen", ":3000"}, 2, "--lisen"},
		{"bad duration", append(serve, "--interval", "3"), 2, `"3" is not accepted`},
		{"bad address", append(serve, "--listen", "3000"), 2, `"3000" is not accepted`},
		{"bad engine", append(serve, "--docker-host", "ssh://host"), 2, "ssh isn't supported"},
		{"proxy's port in use", append(serve, "--listen", inUse), 1, "--listen: " + inUse + " is in use"},
		{"admin port in use", append(serve, "--admin", inUse), 1, "--admin: " + inUse + " is in use"},
		{"check without an engine", []string{"check", "--docker-host", nowhere}, 1, "no Docker engine at " + nowhere},
		{"healthcheck without a daemon", []string{"healthcheck", "--admin", freeAddress(t)}, 1, "no rollcall listens on"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ground.Outcome(t, test.args...)
			if got.Code != test.code || got.Out != "" || !strings.HasPrefix(got.Err, "rollcall: ") ||
				!strings.Contains(got.Err, test.says) || strings.Count(got.Err, "\n") != 1 {
				t.Errorf("code %d, output %q, error %q; want code %d and one line with %q", got.Code, got.Out, got.Err, test.code, test.says)
			}
		})
	}
}

func TestHealthcheckCommand(t *testing.T) {
	engine := begin(t)
	rollcall := ground.Serve(t, engine)
	lab.Await(t, "the daemon is ready", func() error {
		got := ground.Outcome(t, "healthcheck", "--admin", strings.TrimPrefix(rollcall.Admin, "http://"))
		if got.Code != 0 {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
}

func TestVersion(t *testing.T) {
	begin(t)
	if got := ground.Outcome(t, "version"); got.Code != 0 || !strings.HasPrefix(got.Out, "rollcall ") || got.Err != "" {
		t.Errorf("%+v", got)
	}
}

// Who may not open the engine's socket is told so, in one line.
func TestSocketWithoutPermission(t *testing.T) {
	begin(t)
	if os.Geteuid() != 0 {
		t.Skip("to run rollcall as another user, this test has to be root")
	}
	socket := filepath.Join(ground.Dir, "forbidden.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Chmod(socket, 0o600); err != nil {
		t.Fatal(err)
	}
	host := "unix://" + socket
	asNobody := func(cmd *exec.Cmd) *exec.Cmd {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return cmd
	}
	program := ground.Rollcall(t, false)
	says := "no access to the Docker engine at " + host + ": permission denied"

	check := ground.OutcomeOf(t, asNobody(exec.Command(program, "check", "--docker-host", host)))
	if check.Code != 1 || !strings.HasPrefix(check.Err, "rollcall: "+says) || strings.Count(check.Err, "\n") != 1 {
		t.Errorf("check: %+v", check)
	}

	// A daemon goes on: the permission may come.
	rollcall := ground.ServeProgram(t, asNobody(ground.Command(t, program, &lab.Engine{Host: host}, "--interval", "100ms")))
	if line := rollcall.Log.Await(t, "engine does not answer"); !strings.Contains(line.Fields["error"], says) {
		t.Errorf("the log says %s", line.Text)
	}
	if answer := rollcall.GetAdmin(t, "/readyz"); answer.Status == 200 || !strings.Contains(answer.Body, says) {
		t.Errorf("/readyz: %s", answer)
	}
}
