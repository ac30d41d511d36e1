package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/docker"
)

// fromHost is the view of these containers from a rollcall that runs on the
// engine's host, beside Docker's default network.
func fromHost(containers ...listed) *Vantage { return from(dockerBridge(), containers...) }

// from is the view from a place with these interfaces.
func from(interfaces []hostInterface, containers ...listed) *Vantage {
	return newVantage(plain(containers), interfaces, true, netip.Addr{})
}

func plain(containers []listed) []docker.Container {
	list := make([]docker.Container, len(containers))
	for i, c := range containers {
		list[i] = c.Container
	}
	return list
}

func judge(c listed) Verdict { return helloRules.judge(c.Container, c.config, fromHost(c)) }

func TestWhichContainers(t *testing.T) {
	cases := []struct {
		name   string
		c      listed
		used   bool
		reason string
	}{
		{"image hello", hello("web-1", "172.17.0.2"), true, "matches --image hello"},
		{"image hello:v2", hello("web-1", "172.17.0.2", image("hello:v2")), true, "hello:v2"},
		{"image hello of a registry", hello("web-1", "172.17.0.2", image("registry.example:5000/team/hello:v2")), true, ""},
		{"image othello", hello("web-1", "172.17.0.2", image("othello")), false, "matches no --image"},
		{"image hello-world", hello("web-1", "172.17.0.2", image("hello-world")), false, ""},
		{"image hello/world", hello("web-1", "172.17.0.2", image("hello/world")), false, ""},
		{"image rebuilt since", hello("web-1", "172.17.0.2", rebuilt("hello")), true, "matches --image hello"},
		{"another image rebuilt since", hello("web-1", "172.17.0.2", rebuilt("othello")), false, "othello"},
		{"any label of ours", hello("db", "172.17.0.2", image("postgres"), label("rollcall.host", "db.example.com")), true, "rollcall.host"},
		{"a label of a named service", hello("db", "172.17.0.2", image("postgres"), label("rollcall.adminer.port", "8080")), true, ""},
		{"someone else's label", hello("db", "172.17.0.2", image("postgres"), label("rollcallx.host", "a")), false, ""},
		{"enable=true", hello("db", "172.17.0.2", image("postgres"), label("rollcall.enable", "true")), true, "rollcall.enable=true"},
		{"enable=false beats the image", hello("web-1", "172.17.0.2", label("rollcall.enable", "false")), false, "rollcall.enable=false"},
		{"enable=false beats labels", hello("web-1", "172.17.0.2", labelled("rollcall.enable=no", "rollcall.host=a.example.com")), false, "rollcall.enable=no"},
		{"a bad enable counts as none", hello("web-1", "172.17.0.2", label("rollcall.enable", "maybe")), true, "--image"},
		{"one-off of compose run", hello("run", "172.17.0.2", label(composeOneOff, "True")), false, "one-off"},
		{"one-off with a label", hello("run", "172.17.0.2", labelled(composeOneOff+"=True", "rollcall.host=a.example.com")), false, "one-off"},
		{"one-off with enable=true", hello("run", "172.17.0.2", labelled(composeOneOff+"=True", "rollcall.enable=true")), true, ""},
		{"stopped ones are known", hello("web-1", "172.17.0.2", inState("exited"), configured(8080)), true, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := judge(c.c)
			if v.Used != c.used || !strings.Contains(v.Reason, c.reason) {
				t.Errorf("used %t, because %q; want %t, … %s …", v.Used, v.Reason, c.used, c.reason)
			}
			if strings.Contains(v.Reason, "\n") || v.Reason == "" {
				t.Errorf("the reason is no sentence: %q", v.Reason)
			}
		})
	}
}

// The basic design takes Ports[0], and panics for a container without ports.
func TestNoPorts(t *testing.T) {
	v := judge(container("web-1", onNetwork("bridge", "172.17.0.2")))
	if v.Used || !strings.Contains(v.Reason, "exposes no TCP port") || !strings.Contains(v.Reason, "rollcall.port") {
		t.Errorf("a container without ports: used %t, %q", v.Used, v.Reason)
	}
	v = judge(container("web-1", onNetwork("bridge", "172.17.0.2"), exposesUDP(53)))
	if v.Used {
		t.Error("a UDP port is taken for one that speaks HTTP")
	}
	v = judge(container("web-1", onNetwork("bridge", "172.17.0.2"), label("rollcall.port", "9000")))
	if !v.Used || v.Entries[0].Candidates != "172.17.0.2:9000" {
		t.Errorf("a port by label alone: %+v", v)
	}
}

// The basic design takes the first port that the engine happens to list.
func TestSeveralPorts(t *testing.T) {
	cases := []struct {
		name    string
		options []containerOption
		port    uint16
		warned  bool
	}{
		{"the label decides", []containerOption{exposes(80, 8080), label("rollcall.port", "8080")}, 8080, false},
		{"a label for a port that is not exposed", []containerOption{exposes(80), label("rollcall.port", "81")}, 81, true},
		{"the only published one", []containerOption{exposes(80, 9000), published("0.0.0.0:32768", 9000)}, 9000, false},
		{"the only published one, on IPv4 and IPv6", []containerOption{exposes(80), published("0.0.0.0:32768", 9000), published("[::]:32768", 9000)}, 9000, false},
		{"the only exposed one", []containerOption{exposes(9000)}, 9000, false},
		{"known only from the image", []containerOption{configured(9000)}, 9000, false},
		{"80 first", []containerOption{exposes(9999, 8080, 80, 22)}, 80, false},
		{"then 8080", []containerOption{exposes(3000, 8000, 8080, 22)}, 8080, false},
		{"then 8000", []containerOption{exposes(5000, 3000, 8000)}, 8000, false},
		{"then 3000", []containerOption{exposes(5000, 3000)}, 3000, false},
		{"then 5000", []containerOption{exposes(4999, 5000)}, 5000, false},
		{"else the lowest, with a warning", []containerOption{exposes(9001, 9000)}, 9000, true},
		{"several published: the known one", []containerOption{published("0.0.0.0:1000", 9000), published("0.0.0.0:1001", 8080)}, 8080, false},
		{"not UDP", []containerOption{exposesUDP(80), exposes(9000)}, 9000, false},
		{"a bad label counts as none", []containerOption{exposes(80), label("rollcall.port", "http")}, 80, true},
		{"port 0", []containerOption{exposes(80), label("rollcall.port", "0")}, 80, true},
		{"port 65536", []containerOption{exposes(80), label("rollcall.port", "65536")}, 80, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := judge(container("web-1", append(c.options, onNetwork("bridge", "172.17.0.2"))...))
			if !v.Used || v.Entries[0].Port != c.port {
				t.Fatalf("got %+v, want port %d", v, c.port)
			}
			if (len(v.Warnings) > 0) != c.warned {
				t.Errorf("the warnings are %q", v.Warnings)
			}
		})
	}
}

func TestLabels(t *testing.T) {
	cases := []struct {
		labels string
		want   Spec // the fields that differ from an entry without labels
	}{
		{"", Spec{}},
		{"rollcall.service=shop", Spec{Service: "shop", Hosts: "shop.localhost"}},
		{"rollcall.host=Shop.Example.COM.", Spec{Hosts: "shop.example.com"}},
		{"rollcall.host=a.example.com, *.b.example.com ,*", Spec{Hosts: "a.example.com,*.b.example.com,*"}},
		{"rollcall.path=/api/,/v1", Spec{Paths: "/api,/v1"}},
		{"rollcall.path=/a//b/../c", Spec{Paths: "/a/c"}},
		{"rollcall.strip=true rollcall.path=/api", Spec{Strip: true, Paths: "/api"}},
		{"rollcall.scheme=h2c", Spec{Scheme: "h2c"}},
		{"rollcall.weight=1000", Spec{Weight: 1000}},
		{"rollcall.balance=hash:cookie:id", Spec{Balance: "hash:cookie:id"}},
		{"rollcall.sticky=who", Spec{Sticky: "who"}},
		{"rollcall.priority=-5", Spec{Priority: -5}},
		{"rollcall.timeout=1m30s", Spec{Timeout: 90 * time.Second}},
		{"rollcall.health.path=/healthz?x=1", Spec{Check: HealthCheck{Path: "/healthz?x=1"}.withDefaults()}},
		{"rollcall.health.path=/h rollcall.health.interval=1s rollcall.health.timeout=500ms rollcall.health.status=204",
			Spec{Check: HealthCheck{Path: "/h", Interval: time.Second, Timeout: 500 * time.Millisecond, StatusMin: 204, StatusMax: 204}}},
	}
	for _, c := range cases {
		t.Run(c.labels, func(t *testing.T) {
			v := judge(hello("web-1", "172.17.0.2", image("app"), label("rollcall.enable", "true"), labelledIn(c.labels)))
			if !v.Used || len(v.Entries) != 1 || len(v.Warnings) > 0 {
				t.Fatalf("got %+v", v)
			}
			want := Spec{ContainerID: idOf("web-1"), Image: "app", Service: "app", Port: 8080, Candidates: "172.17.0.2:8080", Hosts: "app.localhost", Paths: "/",
				Scheme: "http", Weight: 1, Balance: "round-robin", Timeout: time.Minute, Created: 1000}
			overlay(&want, c.want)
			if got := v.Entries[0].Spec; got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// labelledIn takes labels as one would type them, apart by blanks before
// "rollcall.".
func labelledIn(text string) containerOption {
	return func(c *listed) {
		for _, part := range strings.Split(text, "rollcall.")[1:] {
			key, value, _ := strings.Cut(part, "=")
			label("rollcall."+key, strings.TrimRight(value, " "))(c)
		}
	}
}

// overlay sets the fields of s that are set in changes.
func overlay(s *Spec, changes Spec) {
	for _, f := range []struct{ to, from *string }{
		{&s.Service, &changes.Service}, {&s.Hosts, &changes.Hosts}, {&s.Paths, &changes.Paths}, {&s.Scheme, &changes.Scheme}, {&s.Balance, &changes.Balance}, {&s.Sticky, &changes.Sticky},
	} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
	if changes.Weight != 0 {
		s.Weight = changes.Weight
	}
	if changes.Timeout != 0 {
		s.Timeout = changes.Timeout
	}
	s.Priority, s.Strip, s.Check = changes.Priority, changes.Strip, changes.Check
}

func TestBadLabelsAreWarnings(t *testing.T) {
	cases := []struct {
		label string
		warns []string // words of the warning
	}{
		{"rollcall.prot=80", []string{"rollcall.prot", "did you mean rollcall.port"}},
		{"rollcall.hots=a", []string{"did you mean rollcall.host"}},
		{"rollcall.web.prot=80", []string{"rollcall.web.prot", "did you mean rollcall.web.port"}},
		{"rollcall.health.pth=/x", []string{"rollcall.health.pth", "health.path"}},
		{"rollcall.nonsense=1", []string{"rollcall.nonsense", "known are"}},
		{"rollcall.web.service=x", []string{"rollcall.web.service"}},
		{"rollcall.service=My Shop", []string{"rollcall.service=My Shop", "my-shop"}},
		{"rollcall.host=", []string{"rollcall.host=", "shop.example.com"}},
		{"rollcall.host=http://a.example.com/", []string{"can't be a host"}},
		{"rollcall.host=a..b", []string{"can't be a host"}},
		{"rollcall.path=api", []string{"begins with /"}},
		{"rollcall.path=/a?b", []string{"?"}},
		{"rollcall.scheme=ftp", []string{"http, https or h2c"}},
		{"rollcall.weight=0", []string{"1 to 1000"}},
		{"rollcall.weight=1001", []string{"1 to 1000"}},
		{"rollcall.balance=fastest", []string{"round-robin"}},
		{"rollcall.balance=hash:header:", []string{"hash:"}},
		{"rollcall.sticky=a b", []string{"cookie"}},
		{"rollcall.priority=high", []string{"whole number"}},
		{"rollcall.timeout=60", []string{"such as"}},
		{"rollcall.timeout=-1s", []string{"such as"}},
		{"rollcall.health.status=999", []string{"200-399"}},
		{"rollcall.health.status=399-200", []string{"200-399"}},
		{"rollcall.health.path=healthz", []string{"begins with /"}},
		{"rollcall.strip=perhaps", []string{"true or false"}},
		{"rollcall.enable=perhaps", []string{"true or false"}},
	}
	for _, c := range cases {
		t.Run(c.label, func(t *testing.T) {
			v := judge(hello("web-1", "172.17.0.2", labelledIn(c.label)))
			if !v.Used {
				t.Errorf("the container is not used: %s", v.Reason)
			}
			if len(v.Warnings) == 0 {
				t.Fatal("nothing is said of it")
			}
			for _, word := range c.warns {
				if !strings.Contains(strings.Join(sentences(v.Warnings), "\n"), word) {
					t.Errorf("the warning %q does not say %q", v.Warnings, word)
				}
			}
		})
	}
}

func TestOneContainerServesSeveral(t *testing.T) {
	v := judge(hello("web-1", "172.17.0.2", exposes(9090), labelled("rollcall.shop.port=8080", "rollcall.shop.host=shop.example.com",
		"rollcall.metrics.port=9090", "rollcall.metrics.path=/metrics")))
	var got []string
	for _, e := range v.Entries {
		got = append(got, fmt.Sprint(e.Service, " ", e.Hosts, e.Paths, " ", e.Candidates))
	}
	if want := []string{"metrics metrics.localhost/metrics 172.17.0.2:9090", "shop shop.example.com/ 172.17.0.2:8080"}; !slices.Equal(got, want) {
		t.Errorf("the services are %q, want %q", got, want)
	}
}

// Two entries for one service of one container would take each other's place at
// each poll, and none would ever be healthy.
func TestServiceNamedTwiceIsOneBackend(t *testing.T) {
	for name, c := range map[string]listed{
		"plain and named":           hello("web-1", "172.17.0.2", labelled("rollcall.service=shop", "rollcall.shop.host=shop.example.com")),
		"plain by Compose, named":   hello("web-1", "172.17.0.2", labelled(composeService+"=shop", "rollcall.host=a.example.com", "rollcall.shop.path=/x")),
		"plain by image, and named": hello("web-1", "172.17.0.2", labelled("rollcall.path=/a", "rollcall.hello.path=/b")),
	} {
		t.Run(name, func(t *testing.T) {
			v := judge(c)
			services := map[string]int{}
			for _, e := range v.Entries {
				if services[e.Service]++; services[e.Service] > 1 {
					t.Errorf("%s has two entries: %+v", e.Service, v.Entries)
				}
			}
			r := NewRegistry(quiet(), time.Minute)
			r.Replace(engineA, v.Entries)
			connectAll(r)
			before := r.Snapshot()
			r.Replace(engineA, v.Entries)
			if r.Snapshot() != before {
				t.Error("each poll publishes anew")
			}
		})
	}
}

func TestDefaultHosts(t *testing.T) {
	cases := []struct {
		name     string
		options  []containerOption
		hosts    string
		catchAll bool
	}{
		{"by image", nil, "hello.localhost", true},
		{"by image, with a host", []containerOption{label("rollcall.host", "a.example.com")}, "a.example.com", false},
		{"by image, with a path", []containerOption{label("rollcall.path", "/api")}, "hello.localhost", false},
		{"by image, with another label", []containerOption{label("rollcall.weight", "2")}, "hello.localhost", true},
		{"by label", []containerOption{image("app:v1"), label("rollcall.enable", "true")}, "app.localhost", false},
		{"of Compose", []containerOption{image("app"), label("rollcall.enable", "true"), label(composeService, "shop")}, "shop.localhost", false},
		{"of an odd Compose service", []containerOption{image("app"), label("rollcall.enable", "true"), label(composeService, "My_Shop.v2")}, "my_shop-v2.localhost", false},
		{"of an image by digest", []containerOption{image("registry.example:5000/Team/App@sha256:" + idOf("x")), label("rollcall.enable", "true")}, "app.localhost", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := judge(hello("web-1", "172.17.0.2", c.options...))
			if !v.Used || v.Entries[0].Hosts != c.hosts || v.Entries[0].CatchAll != c.catchAll {
				t.Errorf("got %+v", v)
			}
		})
	}
}

func TestEngineStates(t *testing.T) {
	for state, want := range map[string]EngineState{
		"created": EngineStopped, "restarting": EngineStopped, "removing": EngineStopped, "exited": EngineStopped, "dead": EngineStopped, "": EngineStopped,
		"paused": EnginePaused, "running": EngineRunning,
	} {
		c := hello("web-1", "172.17.0.2", configured(8080), inState(state))
		v := judge(c)
		if len(v.Entries) != 1 || v.Entries[0].Engine != want {
			t.Errorf("%q: %+v", state, v)
		} else if (v.Entries[0].Candidates == "") != (want == EngineStopped) {
			t.Errorf("%q has the candidates %q", state, v.Entries[0].Candidates)
		}
	}
	for word, want := range map[string]EngineState{"": EngineRunning, "healthy": EngineRunning, "starting": EngineStarting, "unhealthy": EngineUnhealthy} {
		if v := judge(hello("web-1", "172.17.0.2", health(word))); v.Entries[0].Engine != want {
			t.Errorf("health %q: %v, want %v", word, v.Entries[0].Engine, want)
		}
	}
}

// What labels say of one container must not reach another one, whatever they
// say; and nothing may panic.
func FuzzJudge(f *testing.F) {
	for _, seed := range []string{
		"rollcall.host=a.example.com", "rollcall.host=*", "rollcall.=x", "rollcall..=x", "rollcall.a.=x", "rollcall.health.=", "rollcall.web.health.path=/",
		"rollcall.port=99999999999999999999", "rollcall.timeout=9223372036854775807ns", "rollcall.priority=9223372036854775807", "rollcall.enable=\x00",
		"rollcall.service=\xff\xfe", "rollcall.host=,,,\nrollcall.path=,/,", "rollcall.balance=hash:header:\x00", "rollcall.path=/../../..",
		composeService + "=\xff", "rollcall.host=xn--\u00e4.example.com", "rollcall.network=\n", "rollcall.weight=1e3", "rollcall.host=*.*.*", "rollcall.host=[::1]",
	} {
		f.Add(seed, "hello", uint16(80), "bridge")
	}
	innocent := hello("innocent", "172.17.0.9", label("rollcall.host", "innocent.example.com"), bornAt(1))
	f.Fuzz(func(t *testing.T, text, imageName string, port uint16, mode string) {
		hostile := container("hostile", image(imageName), exposes(port), onNetwork("bridge", "172.17.0.2"), networkMode(mode), bornAt(2))
		hostile.Labels = map[string]string{}
		for line := range strings.SplitSeq(text, "\n") {
			key, value, _ := strings.Cut(line, "=")
			hostile.Labels[key] = value
		}
		before := maps.Clone(hostile.Labels)
		alone := helloRules.judge(innocent.Container, innocent.config, fromHost(innocent))
		v := fromHost(hostile, innocent)
		verdict := helloRules.judge(hostile.Container, hostile.config, v)
		beside := helloRules.judge(innocent.Container, innocent.config, v)
		if !slices.Equal(alone.Entries, beside.Entries) || alone.Reason != beside.Reason || !slices.Equal(alone.Warnings, beside.Warnings) {
			t.Errorf("beside %q the other is judged %+v, alone %+v", text, beside, alone)
		}
		if !maps.Equal(before, hostile.Labels) {
			t.Error("judging changed the labels")
		}
		if verdict.Reason == "" || verdict.Used != (len(verdict.Entries) > 0) || len(verdict.Entries) != len(verdict.Choices) {
			t.Errorf("the verdict is %+v", verdict)
		}
		r := NewRegistry(quiet(), time.Minute)
		r.Replace(engineA, append(verdict.Entries, beside.Entries...))
		before2 := r.Snapshot()
		r.Replace(engineA, append(verdict.Entries, beside.Entries...))
		if r.Snapshot() != before2 {
			t.Errorf("an equal roll is published anew: %+v", verdict.Entries)
		}
		priority := slices.ContainsFunc(verdict.Entries, func(e Entry) bool { return e.Priority > 0 })
		same := slices.ContainsFunc(verdict.Entries, func(e Entry) bool { return e.Service == "hello" })
		if route := before2.Route("innocent.example.com", "/"); !priority && !same && (route == nil || route.Service.Name != "hello") {
			t.Errorf("with %q beside it, the other's host goes to %v", text, route)
		}
		for _, e := range verdict.Entries {
			if e.Service == "" || e.Service != serviceName(e.Service) && e.Service != short(hostile.ID) {
				t.Errorf("the service is called %q", e.Service)
			}
			e.Candidates.All() // must parse
		}
	})
}
