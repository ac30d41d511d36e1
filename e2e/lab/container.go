package lab

import (
	"context"
	"strings"
)

// Container is a container that the lab made. Its methods are the docker
// commands of the same names.
type Container struct {
	Engine *Engine
	ID     string // whole
}

// Run starts a container (docker run --detach) and returns it. flags are those of
// docker run.
func (e *Engine) Run(t T, image string, flags ...string) *Container {
	t.Helper()
	return e.new(t, "run", image, append([]string{"--detach"}, flags...))
}

// Create makes a container without starting it.
func (e *Engine) Create(t T, image string, flags ...string) *Container {
	t.Helper()
	return e.new(t, "create", image, flags)
}

func (e *Engine) new(t T, verb, image string, flags []string) *Container {
	t.Helper()
	// Named here, so that it is known even if the command fails halfway.
	name := e.lab.Name("c")
	e.lab.tidy(t, e, name)
	args := append([]string{verb, "--pull", "never", "--label", Label + "=" + e.lab.Run, "--name", name}, flags...)
	return e.Container(e.Docker(t, append(args, image)...))
}

// Container returns the container with this ID, which someone else has made and
// removes, such as compose.
func (e *Engine) Container(id string) *Container { return &Container{Engine: e, ID: id} }

// Hostname is the container's own name for itself, unless it was told another:
// what App and Hello answer.
func (c *Container) Hostname() string { return c.ID[:12] }

// Start starts a container that does not run.
func (c *Container) Start(t T) { t.Helper(); c.Engine.Docker(t, "start", c.ID) }

// Stop ends the container, within the engine's 10 seconds.
func (c *Container) Stop(t T) { t.Helper(); c.Engine.Docker(t, "stop", c.ID) }

// Restart stops and starts the container.
func (c *Container) Restart(t T) { t.Helper(); c.Engine.Docker(t, "restart", c.ID) }

// Kill sends a signal: "KILL", "HUP".
func (c *Container) Kill(t T, signal string) {
	t.Helper()
	c.Engine.Docker(t, "kill", "--signal", signal, c.ID)
}

// Pause freezes all processes of the container.
func (c *Container) Pause(t T) { t.Helper(); c.Engine.Docker(t, "pause", c.ID) }

// Unpause lets them go on.
func (c *Container) Unpause(t T) { t.Helper(); c.Engine.Docker(t, "unpause", c.ID) }

// Remove removes the container by force.
func (c *Container) Remove(t T) {
	t.Helper()
	c.Engine.Docker(t, "rm", "--force", "--volumes", c.ID)
}

// Rename gives the container another name, made of a word.
func (c *Container) Rename(t T, word string) (name string) {
	t.Helper()
	name = c.Engine.lab.Name(word)
	c.Engine.Docker(t, "rename", c.ID, name)
	return name
}

// Name returns the container's present name.
func (c *Container) Name(t T) string {
	t.Helper()
	return strings.TrimPrefix(c.Inspect(t, "{{.Name}}"), "/")
}

// Inspect returns what docker inspect prints for a template.
func (c *Container) Inspect(t T, format string) string {
	t.Helper()
	return c.Engine.Docker(t, "inspect", "--type", "container", "--format", format, c.ID)
}

// IP returns the container's address on a network, "" if it has none.
func (c *Container) IP(t T, network string) string {
	t.Helper()
	return c.Inspect(t, `{{with index .NetworkSettings.Networks "`+network+`"}}{{.IPAddress}}{{end}}`)
}

// Published returns where a port is published on this host, "127.0.0.1:32768".
func (c *Container) Published(t T, port string) string {
	t.Helper()
	lines := strings.Fields(c.Engine.Docker(t, "port", c.ID, port))
	if len(lines) == 0 {
		t.Fatalf("container %s publishes no port %s", c.Hostname(), port)
	}
	return strings.Replace(lines[0], "0.0.0.0", "127.0.0.1", 1)
}

// Logs returns what the container has printed.
func (c *Container) Logs(t T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Patience)
	defer cancel()
	out, err := c.Engine.command(ctx, "docker", "logs", c.ID).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return string(out)
}
