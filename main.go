// Rollcall is service discovery and load balancing for Docker, in one program.
//
// It calls the roll of a Docker engine's containers every few seconds, keeps a
// registry of those that answer, and sends each request that comes in on
// --listen to one of them. See README.md for the flags, or rollcall --help.
//
//	rollcall              serve: registrar, registry and proxy
//	rollcall ps           the backends that the running daemon knows
//	rollcall drain NAME   take a container out of rotation; undrain puts it back
//	rollcall why TARGET   why a URL, a host or a container gets where it gets
//	rollcall check        a verdict per container, serving nothing
//	rollcall healthcheck  exit 0 when the local daemon is ready
//	rollcall version
//
// It reads nothing but the engine's API and writes nothing but its log, on
// standard error. Exit code 0 is yes, 1 no or failed, 2 wrong usage. SIGTERM and
// SIGINT stop it when the requests in flight are answered, or after --drain; a
// second one stops it at once.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2) // room for both: they may come at once
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-signals
		stop()
		<-signals
		os.Exit(1)
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run runs the command that args name and returns the program's exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	command, err := parse(args, stdout)
	if err == nil {
		command.BindTo(ctx, (*context.Context)(nil))
		err = command.Run(streams{stdout, stderr})
	}
	switch {
	case err == nil, errors.Is(err, errHelp):
		return 0
	case errors.Is(err, errNo):
		return 1 // the command has said why
	}
	fmt.Fprintf(stderr, "rollcall: %v\n", err)
	if errors.As(err, new(errUsage)) {
		return 2
	}
	return 1
}

// streams are where a command writes: answers to Out, diagnostics to Err.
type streams struct{ Out, Err io.Writer }

// errNo ends a command whose answer, already printed, is no.
var errNo = errors.New("no")
