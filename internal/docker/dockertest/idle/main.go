// Command idle is what runs in the containers that dockertest makes on a real
// engine: it waits for its stop signal, and is its own health check.
//
//	idle        wait; SIGTERM and SIGQUIT end it with exit code 0
//	idle check  exit 0 if the file /health says "healthy", else 1
package main

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "check" {
		if b, _ := os.ReadFile("/health"); strings.TrimSpace(string(b)) != "healthy" {
			os.Exit(1)
		}
		return
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGQUIT)
	signal.Ignore(syscall.SIGHUP)
	<-stop
}
