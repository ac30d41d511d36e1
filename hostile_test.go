package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// goodOnes are 99 containers of 36 services, with all that labels can say.
func goodOnes() []listed {
	var list []listed
	for i := range 33 {
		for replica := range 3 {
			host := fmt.Sprintf("shop-%d.example.com", i)
			var labels []string
			switch i % 6 {
			case 0:
				labels = []string{"rollcall.host=" + host, "rollcall.priority=3"}
			case 1:
				labels = []string{"rollcall.host=" + host + ",*." + host, "rollcall.path=/api,/v1", "rollcall.strip=true"}
			case 2:
				labels = []string{"rollcall.shop.host=" + host, "rollcall.admin.host=" + host, "rollcall.admin.path=/admin", "rollcall.shop.balance=hash:ip"}
			case 3:
				labels = []string{composeProject + "=blog", composeService + "=web", "rollcall.path=/blog", "rollcall.sticky=who"}
			case 4:
				labels = []string{composeProject + "=news", composeService + "=web", "rollcall.enable=true"}
			case 5:
				labels = []string{"rollcall.host=*", fmt.Sprintf("rollcall.path=/any-%d", i)}
			}
			name := fmt.Sprintf("app%d-%d", i, replica)
			if i == 32 {
				list = append(list, hello(name, "172.17.1.1"))
				continue
			}
			list = append(list, hello(name, fmt.Sprintf("172.17.%d.%d", i, replica+2), image(fmt.Sprint("app", i)), labelled(labels...), bornAt(int64(1000+i*10+replica))))
		}
	}
	return list
}

// asIfConnected is what a registry makes of entries once each has been connected
// to.
func asIfConnected(roll []Entry) *Snapshot {
	var members []Member
	for _, e := range roll {
		state := Healthy
		switch e.Engine {
		case EngineStopped:
			state = Stopped
		case EnginePaused:
			state = Paused
		case EngineStarting:
			state = Starting
		case EngineUnhealthy:
			state = Unhealthy
		}
		members = append(members, Member{Backend: NewBackend(e.Spec), Name: e.Name, State: state})
	}
	slices.SortFunc(members, byService)
	s := &Snapshot{services: groupServices(members)}
	s.routes, s.Conflicts = newRouteTable(s.services)
	return s
}

// good is what becomes of the good ones alone.
type good struct {
	containers []listed
	entries    []Entry
	snapshot   *Snapshot
	dumps      map[string]string // by service
}

func newGood() *good {
	g := &good{containers: goodOnes(), dumps: map[string]string{}}
	g.entries = entriesOf(g.containers, fromHost(g.containers...))
	g.snapshot = asIfConnected(g.entries)
	for _, s := range g.snapshot.Services() {
		g.dumps[s.Name] = dump(g.snapshot, func(name string) bool { return name == s.Name })
	}
	return g
}

func entriesOf(containers []listed, v *Vantage) (entries []Entry) {
	for _, c := range containers {
		entries = append(entries, helloRules.judge(c.Container, c.config, v).Entries...)
	}
	return entries
}

// beside checks that another container, younger than all of them, changes nothing
// for the good ones but what its labels say in so many words: that it is one of a
// service, or that its priority is higher.
func (g *good) beside(t interface {
	Helper()
	Errorf(string, ...any)
}, hostile listed) {
	t.Helper()
	vantage := fromHost(append(slices.Clone(g.containers), hostile)...)
	entries := entriesOf(g.containers, vantage)
	if !slices.Equal(entries, g.entries) {
		t.Errorf("with %q beside them the good ones are judged otherwise", hostile.Labels)
		return
	}
	verdict := helloRules.judge(hostile.Container, hostile.config, vantage)
	s := asIfConnected(append(entries, verdict.Entries...))
	joined, highest := map[string]*Entry{}, 0
	for i := range verdict.Entries {
		e := &verdict.Entries[i]
		joined[e.Service] = e
		highest = max(highest, e.Priority)
	}
	for name, want := range g.dumps {
		e := joined[name]
		if e != nil && !e.Doubtful {
			continue
		}
		got := dump(s, func(service string) bool { return service == name })
		if e != nil {
			got = strings.Replace(got, fmt.Sprintf("  %+v\n", e.Spec), "", 1) // its place in the pool is all that it gets
		}
		if got != want {
			t.Errorf("with %q beside it service %s is\n%swhich without it is\n%s", hostile.Labels, name, got, want)
		}
	}
	for _, r := range g.snapshot.Routes() {
		if e := joined[r.Service.Name]; e != nil && !e.Doubtful || r.Host == "" || r.Host[0] == '*' {
			continue
		}
		want := g.snapshot.Route(r.Host, r.Path)
		if got := s.Route(r.Host, r.Path); (got == nil || got.String() != want.String() || got.Service.Name != want.Service.Name) && highest <= want.Priority {
			t.Errorf("with %q beside it %s goes to %v, not to %s", hostile.Labels, r, got, want.Service.Name)
		}
	}
}

// hostileOne is a container with labels given in lines, created after all others.
func hostileOne(text, imageName, state string) listed {
	c := hello("hostile", "172.17.200.1", image(imageName), configured(8080), inState(state), bornAt(9999))
	c.Labels = map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		key, value, _ := strings.Cut(line, "=")
		c.Labels[key] = value
	}
	return c
}

// One container among a hundred leaves the other 99 as they are, whatever its
// labels say.
func FuzzOneAmongMany(f *testing.F) {
	for _, seed := range []string{
		"rollcall.host=*\nrollcall.path=/", "rollcall.host=shop-0.example.com", "rollcall.host=shop-0.example.com\nrollcall.priority=-9", "rollcall.service=app0\nrollcall.host=a b",
		"rollcall.service=app1\nrollcall.path=x", "rollcall.shop.host=..\nrollcall.shop.port=80", "rollcall.shop.hots=a\nrollcall.shop.weight=1000",
		composeProject + "=blog\n" + composeService + "=web\nrollcall.path=", composeProject + "=zzz\n" + composeService + "=web\nrollcall.enable=1",
		"rollcall.service=web\nrollcall.priority=1e9", "rolcall.host=x", "rollcall.App1.host=x\nrollcall.service=app1", "rollcall.service=hello\nrollcall.balance=x",
		"rollcall.admin.host=*\nrollcall.admin.path=/%00\nrollcall.admin.strip=2", "rollcall.host=\x00\nrollcall.network=\xff", "rollcall.host=xn--\xff.*.\xe4",
	} {
		f.Add(seed, "hello", "running")
		f.Add(seed, "app1", "running")
		f.Add(seed, "", "exited")
	}
	g := newGood()
	f.Fuzz(func(t *testing.T, text, imageName, state string) { g.beside(t, hostileOne(text, imageName, state)) })
}

// The same with labels that nearly mean something, which bytes at random seldom do.
func TestOneAmongMany(t *testing.T) {
	g := newGood()
	keys := []string{"host", "path", "service", "priority", "strip", "balance", "sticky", "weight", "scheme", "timeout", "enable", "hots", "Host", "health.path", "", "."}
	values := []string{"", "*", "/", "shop-0.example.com", "shop-1.example.com", "*.shop-1.example.com", "web.localhost", "http://x", "a..b", "/api", "/admin", "api", "/%2e%2e", "/a;b",
		"true", "false", "maybe", "1", "-1", "high", "app0", "app1", "web", "blog-web", "hello", "My Web", "hash:", "h2c", "\x00", "\xff", `"app1"`, "bücher.example", "1h"}
	rapid.Check(t, func(t *rapid.T) {
		var lines []string
		for range rapid.IntRange(1, 6).Draw(t, "labels") {
			prefix := rapid.SampledFrom([]string{"rollcall.", "rollcall.", "rollcall.web.", "rollcall.admin.", "rollcall.shop.", "rollcall.Web.", "rolcall.", "com.docker.compose."}).Draw(t, "prefix")
			key := rapid.SampledFrom(keys).Draw(t, "key")
			if prefix == "com.docker.compose." {
				key = rapid.SampledFrom([]string{"project", "service", "oneoff"}).Draw(t, "compose key")
			}
			lines = append(lines, prefix+key+"="+rapid.SampledFrom(values).Draw(t, "value"))
		}
		imageName := rapid.SampledFrom([]string{"hello", "app0", "app1", "web", "x"}).Draw(t, "image")
		g.beside(t, hostileOne(strings.Join(lines, "\n"), imageName, rapid.SampledFrom([]string{"running", "exited", "paused"}).Draw(t, "state")))
	})
}
