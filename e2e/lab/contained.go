package lab

import (
	"errors"
	"strings"
)

// ServeContained starts rollcall in a container of the engine that it serves,
// which must be reached over a unix socket, and waits until it serves. flags are
// those of docker run, and say on which network; settings are rollcall's own, as
// environment variables ("ROLLCALL_IMAGE=hello"), and must name its listeners.
// reach returns where a listener that its log names is reached from this host.
func (l *Lab) ServeContained(t T, e *Engine, flags, settings []string, reach func(c *Container, listener string) string) *Rollcall {
	t.Helper()
	socket, local := strings.CutPrefix(e.Host, "unix://")
	if !local {
		t.Fatalf("%s is no socket that a container could be given", e.Host)
	}
	l.contained.Do(func() {
		// It ends with the run, like all images.
		l.containedImage = e.Image(t, "contained", Itself, "EXPOSE 3000")
	})
	args := append([]string{"--volume", socket + ":/var/run/docker.sock", "--user", "0", "--env", "ROLLCALL_LOG_FORMAT=json"}, flags...)
	for _, setting := range settings {
		args = append(args, "--env", setting)
	}
	c := e.Run(t, l.containedImage, args...)
	r := &Rollcall{Log: &Log{}, client: newClient()}
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		if t.Failed() {
			t.Logf("the log of rollcall in container %s:\n%s", c.Hostname(), c.Logs(t))
		}
	})
	Await(t, "rollcall serves in its container", func() error {
		log := &Log{}
		_, _ = log.Write([]byte(c.Logs(t)))
		lines := log.Lines("rollcall serves")
		if len(lines) == 0 {
			return errors.New("its log does not say so")
		}
		r.URL, r.Admin = "http://"+reach(c, lines[0].Fields["listen"]), "http://"+reach(c, lines[0].Fields["admin"])
		return nil
	})
	return r
}
