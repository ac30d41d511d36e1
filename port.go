package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/docker"
)

// wellKnownPorts decide among several exposed ports, first to last.
var wellKnownPorts = []uint16{80, 8080, 8000, 3000, 5000}

// choosePort chooses the container port to send requests to: the one that a
// label names, 0 if none does, or else the likeliest. It returns 0 if the
// container exposes none. doubt is a warning if the port may be the wrong one.
func choosePort(c docker.Container, config docker.Config, label uint16, key string) (port uint16, why string, doubt Warning) {
	exposed, published := tcpPorts(c, config)
	if label != 0 {
		if len(exposed) > 0 && !slices.Contains(exposed, label) {
			doubt = Warning{
				Text:   fmt.Sprintf("label %s=%d names a port that the container does not expose (it exposes %s)", key, label, joinPorts(exposed)),
				Advice: fmt.Sprintf("name the port that its application listens on, such as %s=%d", key, exposed[0]),
				Key:    "port",
			}
		}
		return label, "the label " + key, doubt
	}
	switch {
	case len(published) == 1:
		return published[0], "the only published TCP port", doubt
	case len(exposed) == 1:
		return exposed[0], "the only exposed TCP port", doubt
	case len(exposed) == 0:
		return 0, "", doubt
	}
	for _, known := range wellKnownPorts {
		if slices.Contains(exposed, known) {
			return known, fmt.Sprintf("the first well-known one of several exposed TCP ports (%s)", joinPorts(exposed)), doubt
		}
	}
	return exposed[0], "the lowest of several exposed TCP ports", Warning{
		Text:   fmt.Sprintf("it exposes several TCP ports (%s), and %d is only a guess", joinPorts(exposed), exposed[0]),
		Advice: fmt.Sprintf("say which it is with the label %s=%d", key, exposed[0]),
		Key:    "port",
	}
}

// noPort says why a container has no port to send requests to.
func noPort(c docker.Container, config docker.Config, key string) Warning {
	var others []string
	for _, p := range slices.Concat(c.Ports, config.Exposed) {
		if name := fmt.Sprintf("%d/%s", p.Private, p.Proto); p.Proto != "tcp" && !slices.Contains(others, name) {
			others = append(others, name)
		}
	}
	w := Warning{
		Text:   "it exposes no TCP port, and no label " + key + " names one",
		Advice: "name the port that its application listens on with the label " + key + ", or add EXPOSE to its image",
		Key:    "port",
	}
	if len(others) > 0 {
		w.Text = fmt.Sprintf("it exposes no TCP port, only %s, and no label %s names one", strings.Join(others, ", "), key)
	}
	return w
}

// tcpPorts returns a container's TCP ports, sorted: all that it exposes, and
// those of them that are published.
func tcpPorts(c docker.Container, config docker.Config) (exposed, published []uint16) {
	for _, p := range slices.Concat(c.Ports, config.Exposed) {
		if p.Proto != "tcp" {
			continue
		}
		exposed = append(exposed, p.Private)
		if p.Public != 0 {
			published = append(published, p.Private)
		}
	}
	slices.Sort(exposed)
	slices.Sort(published)
	return slices.Compact(exposed), slices.Compact(published)
}

func joinPorts(ports []uint16) string {
	list := make([]string, len(ports))
	for i, p := range ports {
		list[i] = strconv.Itoa(int(p))
	}
	return strings.Join(list, ", ")
}
