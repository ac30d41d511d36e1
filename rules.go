package main

import (
	"fmt"
	"slices"
	"strings"

	"rollcall/internal/docker"
)

// Rules decide which containers are backends, and how they are reached where
// no label says so. They come from the configuration and never change.
type Rules struct {
	Images  []string // containers of these images are backends without any label
	Domain  string   // a service without a host answers to SERVICE.DOMAIN
	Address AddressMode
	Network string // preferred Docker network
}

// rule is what the first of the rules that apply to a container says of it.
type rule struct {
	chosen bool
	asked  bool   // for this very container, by someone who knew what it means
	reason string // see Verdict
	advice string
}

// choose tells whether a container is to be a backend, and which rule says so.
func (r *Rules) choose(c docker.Container, config docker.Config) (found rule, warnings []Warning) {
	enable, asked := c.Labels[labelEnable]
	enable = unquote(strings.TrimSpace(enable))
	enabled, err := parseBool(enable)
	if asked && err != nil {
		warnings = append(warnings, badValue(labelEnable, "enable", enable, err))
		asked = false
	}
	if asked && !enabled {
		for _, label := range ourLabels(c.Labels) {
			if label != labelEnable {
				warnings = append(warnings, Warning{
					Text:   fmt.Sprintf("label %s has no effect while %s=%s", label, labelEnable, enable),
					Advice: "remove one of the two", Key: keyOf(label),
				})
			}
		}
		return rule{asked: true, reason: "not used: its label " + labelEnable + "=" + enable + " says so", advice: "remove the label " + labelEnable + "=" + enable}, warnings
	}
	if !asked && strings.EqualFold(c.Labels[composeOneOff], "true") {
		return rule{asked: true, reason: "not used: it is a one-off container of docker compose run",
			advice: "nothing, unless it should serve: then give it the label " + labelEnable + "=true"}, warnings
	}
	if asked {
		return rule{chosen: true, asked: true, reason: "used: its label " + labelEnable + "=true says so"}, warnings
	}
	for _, key := range ourLabels(c.Labels) {
		if key != labelEnable {
			return rule{chosen: true, reason: "used: it has the label " + key}, warnings
		}
	}
	image := reference(c, config)
	for _, pattern := range r.Images {
		if matchImage(image, pattern) {
			return rule{chosen: true, reason: fmt.Sprintf("used: its image %s matches --image %s", image, pattern)}, warnings
		}
	}
	return rule{
		reason: fmt.Sprintf("not used: it has no label that begins with %s, and its image %s matches no --image (%s)",
			labelPrefix, image, strings.Join(r.Images, ", ")),
		advice: fmt.Sprintf("if it should be used, give it a label such as %shost=shop.example.com, or name its image with --image", labelPrefix),
	}, warnings
}

// byImage tells whether a container of that image would be chosen without any
// label.
func (r *Rules) byImage(image string) bool {
	return slices.ContainsFunc(r.Images, func(pattern string) bool { return matchImage(image, pattern) })
}
