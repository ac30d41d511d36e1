package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"rollcall/internal/docker"
)

// checkComposeFile judges the containers that a compose file would make, before
// anything runs: what depends on the engine (addresses, ports that an image
// exposes) is left open.
func checkComposeFile(ctx context.Context, path string, rules *Rules) ([]Verdict, error) {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithOsEnv, cli.WithDotEnv)
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return nil, fmt.Errorf("check: %s", oneLine(err.Error()))
	}
	var verdicts []Verdict
	for i, name := range slices.Sorted(maps.Keys(project.Services)) {
		service := project.Services[name]
		c, config, portKnown := containerOf(project, &service)
		// Compose starts them nearly at once; the order of names stands for age.
		c.Created = time.Unix(int64(i), 0)
		verdict := rules.judge(c, config, &Vantage{})
		for j := range verdict.Choices {
			if !portKnown && verdict.Choices[j].PortWhy == "the only exposed TCP port" {
				verdict.Choices[j] = Choice{PortWhy: "as its image exposes it"}
			}
		}
		verdicts = append(verdicts, verdict)
	}
	return verdicts, nil
}

// containerOf makes the container that the engine would list for a service of
// a compose file. portKnown tells whether the file says which ports it has; else
// the image does.
func containerOf(project *types.Project, service *types.ServiceConfig) (c docker.Container, config docker.Config, portKnown bool) {
	image := service.Image
	if image == "" {
		image = project.Name + "-" + service.Name // as Compose names what it builds
	}
	labels := maps.Clone(map[string]string(service.Labels))
	if labels == nil {
		labels = map[string]string{}
	}
	labels[composeService] = service.Name
	name := service.ContainerName
	if name == "" {
		name = project.Name + "-" + service.Name + "-1"
	}
	c = docker.Container{ID: name, Name: name, Image: image, Labels: labels, State: "created", NetworkMode: service.NetworkMode}
	for network := range service.Networks {
		name := network
		if known, ok := project.Networks[network]; ok && known.Name != "" {
			name = known.Name
		}
		c.Networks = append(c.Networks, docker.Network{Name: name})
	}
	slices.SortFunc(c.Networks, func(a, b docker.Network) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range service.Ports {
		published, _ := strconv.ParseUint(p.Published, 10, 16) // a range, or "" for a free one, counts as published
		c.Ports = append(c.Ports, docker.Port{Private: uint16(p.Target), Public: uint16(max(published, 1)), Proto: protocol(p.Protocol)})
	}
	for _, exposed := range service.Expose {
		number, proto, _ := strings.Cut(exposed, "/")
		if port, err := strconv.ParseUint(number, 10, 16); err == nil {
			config.Exposed = append(config.Exposed, docker.Port{Private: uint16(port), Proto: protocol(proto)})
		}
	}
	portKnown = len(c.Ports)+len(config.Exposed) > 0
	if !portKnown {
		config.Exposed = []docker.Port{{Private: 80, Proto: "tcp"}} // stands for the image's own
	}
	return c, config, portKnown
}

func protocol(name string) string {
	if name == "" {
		return "tcp"
	}
	return name
}
