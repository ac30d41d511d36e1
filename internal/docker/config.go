package docker

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
)

// A Config is what cannot change in the life of a container.
type Config struct {
	Image                string        // the reference that the container was created from, whatever has become of its tag
	Exposed              []Port        // Public 0; known also in the network modes in which the list shows no ports; sorted
	StopSignal           string        // "SIGQUIT"; "" = SIGTERM
	StopTimeout          time.Duration // whole seconds; 0 = the engine's default, 10 s; negative = the engine waits for ever
	Hostname, Domainname string
	NetworkMode          string // as in Container
	HasHealthcheck       bool
}

func newConfig(r container.InspectResponse) (Config, error) {
	if r.ContainerJSONBase == nil || r.ID == "" || r.Config == nil {
		return Config{}, malformed("the answer has no ID or no configuration")
	}
	c := Config{
		Image:      r.Config.Image,
		StopSignal: signalName(r.Config.StopSignal),
		Hostname:   r.Config.Hostname,
		Domainname: r.Config.Domainname,
	}
	if r.HostConfig != nil {
		c.NetworkMode = networkMode(string(r.HostConfig.NetworkMode))
	}
	if seconds := r.Config.StopTimeout; seconds != nil {
		c.StopTimeout = time.Duration(*seconds) * time.Second
	}
	if check := r.Config.Healthcheck; check != nil {
		c.HasHealthcheck = len(check.Test) > 0 && check.Test[0] != "NONE"
	}
	for port := range r.Config.ExposedPorts {
		if p, ok := parsePort(string(port)); ok {
			c.Exposed = append(c.Exposed, p)
		}
	}
	slices.SortFunc(c.Exposed, Port.compare)
	return c, nil
}

// parsePort reads "8080/tcp". The engine has checked the form at creation.
func parsePort(s string) (Port, bool) {
	number, proto, ok := strings.Cut(s, "/")
	if !ok {
		proto = "tcp"
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return Port{}, false
	}
	return Port{Private: uint16(n), Proto: strings.ToLower(proto)}, true
}
