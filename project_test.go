package main

import (
	"slices"
	"testing"
	"time"

	"rollcall/internal/docker"
)

// Two Compose projects that both call a service "web" are two services, in
// whatever order the engine lists their containers.
func TestServicesOfTwoProjectsStayApart(t *testing.T) {
	web := func(project, host string, created int64) listed {
		return hello(project+"-web-1", "172.17.0.2", image("web"), func(c *listed) { c.Created = time.Unix(created, 0) },
			label(composeService, "web"), label(composeProject, project), label("rollcall.host", host))
	}
	blog, shop := web("blog", "blog.example.com", 1000), web("shop", "shop.example.com", 2000)
	rules := &Rules{Images: []string{"hello"}, Domain: "localhost", Address: AddressAuto}
	for _, order := range [][]listed{{blog, shop}, {shop, blog}} {
		var containers []docker.Container
		for _, c := range order {
			containers = append(containers, c.Container)
		}
		vantage := newVantage(containers, dockerBridge(), true, docker.Network{}.IP)
		got := map[string]string{}
		for _, c := range order {
			verdict := rules.judge(c.Container, c.config, vantage)
			got[c.Name] = verdict.Entries[0].Service
			if warned := len(verdict.Warnings) == 1; warned != (c.Name == "shop-web-1") {
				t.Errorf("warnings on %s: %q", c.Name, verdict.Warnings)
			}
		}
		if got["blog-web-1"] != "web" || got["shop-web-1"] != "shop-web" {
			t.Errorf("services are %v; want web for the older project, shop-web for the other", got)
		}
	}
}

// Containers that only their image chose are one service, whichever project they
// are of, and beside those that docker run started.
func TestServiceChosenByImageIsOneAcrossProjects(t *testing.T) {
	rules := &Rules{Images: []string{"hello"}, Domain: "localhost", Address: AddressAuto}
	containers := []listed{
		hello("demo-hello-1", "172.17.0.2", label(composeService, "hello"), label(composeProject, "demo")),
		hello("other-hello-1", "172.17.0.3", label(composeService, "hello"), label(composeProject, "other")),
		hello("newcomer", "172.17.0.4"),
	}
	var list []docker.Container
	for _, c := range containers {
		list = append(list, c.Container)
	}
	vantage := newVantage(list, dockerBridge(), true, docker.Network{}.IP)
	var services []string
	for _, c := range containers {
		services = append(services, rules.judge(c.Container, c.config, vantage).Entries[0].Service)
	}
	if !slices.Equal(services, []string{"hello", "hello", "hello"}) {
		t.Errorf("services are %v, want one", services)
	}
}
