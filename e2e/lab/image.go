package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"strings"
	"time"
)

// Service is a program of the repository that an image is made of.
type Service string

const (
	// App is e2e/app: an HTTP server with all that tests ask for.
	App Service = "app"
	// Hello is hello/: the demo service.
	Hello Service = "hello"
	// Itself is rollcall.
	Itself Service = "rollcall"
)

// Image makes an image of a service and returns its name, which is made of the
// given word: "rollcall-e2e/WORD-RUN". It is FROM scratch with EXPOSE 8080, no
// HEALTHCHECK and user 65532; changes are further Dockerfile lines, such as
// "EXPOSE 9000", and replace the first of these. Asked again for the same word it
// makes another image, so that the name (the tag latest) moves to that one.
//
// The image's only file is the service's program, /service.
func (e *Engine) Image(t T, word string, service Service, changes ...string) string {
	t.Helper()
	// The run is in the last part, of which the service's name is made: labelled
	// containers of other runs are seen by all rollcalls on this engine.
	ref := e.lab.image(word)
	program, err := os.ReadFile(e.lab.binary(t, string(service)))
	if err != nil {
		t.Fatalf("%v", err)
	}
	// Not docker build: it takes ten times as long and leaves more behind.
	args := []string{"import", "--change", `ENTRYPOINT ["/service"]`, "--change", "LABEL " + Label + "=" + e.lab.Run, "--change", "USER 65532:65532"}
	if len(changes) == 0 {
		changes = []string{"EXPOSE 8080"}
	}
	for _, change := range changes {
		args = append(args, "--change", change)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*Patience)
	defer cancel()
	cmd := e.command(ctx, "docker", append(args, "-", ref)...)
	cmd.Stdin = archiveOf(program)
	if _, err := try(cmd); err != nil {
		t.Fatalf("%v", err)
	}
	return ref
}

func (l *Lab) image(word string) string {
	return strings.TrimSuffix(prefix, "-") + "/" + word + "-" + l.Run
}

// Dockerfiles builds the images of rollcall and of hello as the repository's
// Dockerfiles say, once for all that ask, and returns names for them that no one
// else has; the last parts are rollcall and hello. What the builder keeps for the
// next time is not removed.
func (l *Lab) Dockerfiles(t T) (rollcall, hello string) {
	t.Helper()
	if err := l.dockerfiles(); err != nil {
		t.Fatalf("%v", err)
	}
	name := l.Name("image")
	rollcall, hello = name+"/rollcall", name+"/hello"
	l.machine.Docker(t, "tag", l.image("rollcall"), rollcall)
	l.machine.Docker(t, "tag", l.image("hello"), hello)
	return rollcall, hello
}

// buildDockerfiles passes the arguments that scripts/images passes, so that what
// that has just built is not built again.
func (l *Lab) buildDockerfiles() error {
	ctx, cancel := context.WithTimeout(context.Background(), 6*Patience)
	defer cancel()
	run := func(name string, args ...string) (string, error) {
		cmd := l.machine.command(ctx, name, args...)
		cmd.Dir = l.Source
		return try(cmd)
	}
	if _, err := run("scripts/base-image"); err != nil {
		return err
	}
	proxy, err := run("go", "env", "GOPROXY")
	if err != nil {
		return err
	}
	version, _ := run("git", "describe", "--tags", "--always", "--dirty") // "" outside a clone
	label := Label + "=" + l.Run
	if _, err := run("docker", "build", "--tag", l.image("hello"), "--label", label, "--file", "hello/Dockerfile", "."); err != nil {
		return err
	}
	_, err = run("docker", "build", "--tag", l.image("rollcall"), "--label", label,
		"--build-arg", "GOPROXY="+proxy, "--build-arg", "VERSION="+version, ".")
	return err
}

func archiveOf(program []byte) *bytes.Buffer {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	// Neither call fails on a buffer.
	_ = w.WriteHeader(&tar.Header{Name: "service", Mode: 0o755, Size: int64(len(program)), ModTime: time.Now()})
	_, _ = w.Write(program)
	_ = w.Close()
	return &archive
}
