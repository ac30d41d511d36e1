package main

import (
	"fmt"
	"slices"
	"strings"

	"rollcall/internal/docker"
)

// notOnNetwork warns of a label that names a Docker network which its container
// is not on.
func notOnNetwork(c docker.Container, label, network string) (w Warning, off bool) {
	var names []string
	for _, n := range c.Networks {
		names = append(names, n.Name)
	}
	switch mode := c.NetworkMode; {
	case mode == "host", mode == "none", strings.HasPrefix(mode, "container:"), strings.HasPrefix(mode, "service:"):
		names = []string{mode}
	case slices.Contains(names, network):
		return Warning{}, false
	case len(names) == 0:
		return Warning{}, false // nothing is known of its networks
	}
	w = Warning{
		Text: fmt.Sprintf("label %s=%s names a network that the container is not on (it is on %s)", label, network, strings.Join(names, ", ")),
		Key:  "network",
	}
	meant := nearest(network, names)
	for _, name := range names {
		if strings.HasSuffix(name, "_"+network) {
			meant = name // what a compose file calls front is project_front for the engine
		}
	}
	if meant != "" {
		w.Advice = fmt.Sprintf("write %s=%s, as the engine calls that network", label, meant)
	} else {
		w.Advice = fmt.Sprintf("put the container on the network %s, or name one of its own", network)
	}
	return w, true
}

// unreachable says why a running container has no address that could be tried.
func (v *Vantage) unreachable(c docker.Container, port uint16, mode AddressMode, skipped []string) Warning {
	if home, err := v.home(c); err != nil {
		w := Warning{Text: err.Error(), Advice: "make it anew, with the network of a container that runs"}
		if home.ID != "" && home.State != "running" {
			w.Advice = fmt.Sprintf("docker start %s, then docker restart %s", home.Name, c.Name)
			if home.State == "paused" {
				w.Advice = "docker unpause " + home.Name
			}
		}
		return w
	}
	if c.NetworkMode == "none" {
		return Warning{Text: "it has no network (network_mode none)", Advice: "put it on a network that rollcall is on"}
	}
	tried := "it has no address at all"
	if len(skipped) > 0 {
		tried = strings.Join(skipped, "; ")
	}
	w := Warning{Text: fmt.Sprintf("no address for port %d can be reached from here with --address %s: %s", port, mode, tried)}
	switch {
	case mode == AddressPublished:
		w.Advice = fmt.Sprintf("publish port %d, or run rollcall with --address auto", port)
	case v.InContainer():
		w.Advice = fmt.Sprintf("put it on a network that rollcall is on (%s): docker network connect %s %s", strings.Join(v.InNetworks, ", "), v.InNetworks[0], c.Name)
	default:
		w.Advice = fmt.Sprintf("publish port %d on all addresses of the engine's host: docker run -p %d", port, port)
	}
	return w
}
