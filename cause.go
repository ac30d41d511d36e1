package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// Cause is what keeps a backend from getting requests, for programs to tell
// apart; its reason says the same with names and figures.
type Cause uint8

const (
	NoCause        Cause = iota // it gets requests
	CauseStopped                // the container does not run
	CausePaused                 //
	CauseDrained                // by hand
	CauseEnding                 // its engine announced its end
	CauseUntried                // no connection has been tried yet
	CauseRefused                // nothing listens where it should
	CauseSilent                 // what is sent there gets no answer
	CauseNoWay                  // no route leads there
	CauseClosed                 // connections are accepted and closed at once
	CauseNoConnect              // connections fail otherwise
	CauseUnproven               // its HEALTHCHECK is undecided
	CauseUnsound                // its HEALTHCHECK fails
	CauseUnchecked              // its active check has not passed yet
	CauseCheck                  // its active check fails
	CauseFailing                // requests to it fail
)

// causeOf tells why a connection failed.
func causeOf(err error) Cause {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return CauseRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return CauseNoWay
	case errors.Is(err, errClosedAtOnce), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return CauseClosed
	case errors.As(err, &timeout) && timeout.Timeout():
		return CauseSilent
	}
	return CauseNoConnect
}

// Advice says what to change so that the backend that spec describes, of the
// container of this name, gets requests; "" if it gets them.
func (c Cause) Advice(container string, spec *Spec) string {
	switch c {
	case NoCause:
		return ""
	case CauseStopped:
		return "docker start " + container
	case CausePaused:
		return "docker unpause " + container
	case CauseDrained:
		return "rollcall undrain " + container
	case CauseEnding:
		return "nothing: it is being stopped; start another one if the service should go on"
	case CauseUntried:
		return "ask again in a moment"
	case CauseRefused:
		return fmt.Sprintf("let its application listen on 0.0.0.0 (not only on 127.0.0.1, which is the container's own) at port %d, or name the port it listens on with the label rollcall.port", spec.Port)
	case CauseSilent, CauseNoWay:
		return "look for a firewall between rollcall and the container, or put both on one Docker network and name it with the label rollcall.network"
	case CauseClosed:
		return fmt.Sprintf("the engine publishes the port, but nothing listens on port %d in the container: let its application listen on 0.0.0.0, or publish the port it listens on", spec.Port)
	case CauseUnproven, CauseUnsound:
		return "docker inspect --format '{{json .State.Health}}' " + container + " shows what its HEALTHCHECK says"
	case CauseUnchecked, CauseCheck:
		return fmt.Sprintf("let GET %s answer %d to %d within %s, or correct the labels rollcall.health.…", spec.Check.Path, spec.Check.StatusMin, spec.Check.StatusMax, spec.Check.Timeout)
	}
	return "docker logs " + container + " may tell why"
}
