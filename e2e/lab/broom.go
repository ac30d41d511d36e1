package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The broom is a second process of the same program. It holds the reading end of
// a pipe whose writing end only the first has, so it learns of every end that the
// first may find, a panic and SIGKILL included, and then removes what is left.

// broomVariable tells the program that it is the broom of a run.
const broomVariable = "ROLLCALL_E2E_BROOM"

func (l *Lab) startBroom() (leave func(), err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	broom := exec.Command(program)
	broom.Env = append(os.Environ(), broomVariable+"="+l.Run)
	broom.Stdin = read
	// A session of its own keeps it from an interrupt at the terminal.
	broom.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = broom.Start()
	read.Close()
	if err != nil {
		write.Close()
		return nil, err
	}
	return func() {
		write.Close()
		broom.Wait()
	}, nil
}

func beBroom(run string) int {
	io.Copy(io.Discard, os.Stdin)
	host, err := machineHost()
	if err != nil {
		return 1
	}
	if err := sweep(context.Background(), &Engine{Host: host}, run); err != nil {
		return 1
	}
	return 0
}

// sweepDead removes what runs have left whose process is gone.
func sweepDead(ctx context.Context, e *Engine) {
	runs := map[string]bool{}
	dirs, _ := filepath.Glob(runDir("*"))
	for _, dir := range dirs {
		runs[strings.TrimPrefix(filepath.Base(dir), prefix)] = true
	}
	for _, list := range [][]string{
		{"ps", "--all", "--filter", "label=" + Label, "--format", `{{.Label "` + Label + `"}}`},
		{"network", "ls", "--filter", "label=" + Label, "--format", `{{.Label "` + Label + `"}}`},
	} {
		out, _ := e.Try(ctx, list...)
		for run := range strings.FieldsSeq(out) {
			runs[run] = true
		}
	}
	for _, run := range slices.Sorted(maps.Keys(runs)) {
		if !alive(run) {
			// What can't be removed is not this run's problem; another broom may
			// be at the same work.
			_ = sweep(ctx, e, run)
		}
	}
}

// sweep removes all that a run has made.
func sweep(ctx context.Context, e *Engine, run string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*Patience)
	defer cancel()
	problems := []error{killCommands(run)}
	engines, _ := filepath.Glob(filepath.Join(runDir(run), engineDirs))
	for _, dir := range engines {
		problems = append(problems, removeOwnEngine(ctx, dir))
	}
	ours := "label=" + Label + "=" + run
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"ps", "--all", "--quiet", "--no-trunc", "--filter", ours}, []string{"rm", "--force", "--volumes"}},
		{[]string{"network", "ls", "--quiet", "--no-trunc", "--filter", ours}, []string{"network", "rm"}},
		{[]string{"images", "--quiet", "--no-trunc", "--filter", ours}, []string{"rmi", "--force"}},
	} {
		problems = append(problems, removeAll(ctx, e, kind.list, kind.remove))
	}
	if err := os.RemoveAll(runDir(run)); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// removeAll removes what a list command names, until there is nothing more: an
// engine refuses at times (removal already in progress, endpoints still there)
// and has done it a moment later.
func removeAll(ctx context.Context, e *Engine, list, remove []string) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for tries := 0; ; tries++ {
		out, err := e.Try(ctx, list...)
		if err != nil {
			return err
		}
		ids := strings.Fields(out)
		slices.Sort(ids)
		ids = slices.Compact(ids)
		if len(ids) == 0 {
			return nil
		}
		_, err = e.Try(ctx, append(slices.Clone(remove), ids...)...)
		if err != nil && tries == 10 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", strings.Join(remove, " "), ctx.Err())
		}
	}
}
