package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// Project is a compose project.
type Project struct {
	Name   string
	Engine *Engine
	files  []string
	env    []string
}

// Project makes a compose project of files: paths, or the text of a file. Nothing
// is started yet. The text should put the label e2e.rollcall: "${E2E_RUN}" on
// each service and network. env is further environment, "NAME=value".
func (e *Engine) Project(t T, word string, env []string, files ...string) *Project {
	t.Helper()
	p := &Project{Name: e.lab.Name(word), Engine: e, env: append([]string{"E2E_RUN=" + e.lab.Run}, env...)}
	for i, file := range files {
		if strings.Contains(file, "\n") {
			path := filepath.Join(e.lab.Dir, p.Name+"-"+string(rune('a'+i))+".yml")
			if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
				t.Fatalf("%v", err)
			}
			file = path
		}
		p.files = append(p.files, file)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Patience)
		defer cancel()
		if out, err := p.Try(ctx, "down", "--timeout", "1", "--volumes", "--remove-orphans"); err != nil {
			t.Logf("cleaning up: %v\n%s", err, out)
		}
	})
	return p
}

// Try runs a compose command, v2 or v1, whichever is there.
func (p *Project) Try(ctx context.Context, args ...string) (string, error) {
	all := []string{"--project-name", p.Name}
	for _, file := range p.files {
		all = append(all, "--file", file)
	}
	cmd := p.Engine.command(ctx, filepath.Join(p.Engine.lab.Source, "scripts", "compose"), append(all, args...)...)
	cmd.Dir = p.Engine.lab.Source
	cmd.Env = append(cmd.Env, p.env...)
	return try(cmd)
}

// Compose runs a compose command and returns what it printed.
func (p *Project) Compose(t T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*Patience)
	defer cancel()
	out, err := p.Try(ctx, args...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return out
}

// Containers returns a service's running containers.
func (p *Project) Containers(t T, service string) []*Container {
	t.Helper()
	var list []*Container
	ids := p.Engine.Docker(t, "ps", "--quiet", "--no-trunc",
		"--filter", "label=com.docker.compose.project="+p.Name, "--filter", "label=com.docker.compose.service="+service)
	for id := range strings.FieldsSeq(ids) {
		list = append(list, p.Engine.Container(id))
	}
	return list
}
