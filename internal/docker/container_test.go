package docker

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
)

func TestHealthOf(t *testing.T) {
	for status, want := range map[string]string{
		"Up 2 seconds":                             "",
		"Up 2 seconds (healthy)":                   "healthy",
		"Up About an hour (unhealthy)":             "unhealthy",
		"Up Less than a second (health: starting)": "starting",
		"Up 3 days (starting)":                     "starting", // Podman
		"Up 5 minutes (Paused)":                    "",
		"Exited (0) 5 seconds ago":                 "",
		"Exited (137) 3 weeks ago (healthy)":       "",
		"Restarting (1) 2 seconds ago":             "",
		"Created":                                  "",
		"Removal In Progress":                      "",
		"Dead":                                     "",
		"":                                         "",
		"Up (":                                     "",
		"Up )":                                     "",
		"Up ()":                                    "",
		"Up 1 second (health: )":                   "",
		"Up 1 second (none)":                       "",
		"Up 2 seconds (healthy) and a word that follows it": "",
	} {
		if got := healthOf(status); got != want {
			t.Errorf("%q: got %q, want %q", status, got, want)
		}
	}
}

func FuzzHealthOf(f *testing.F) {
	for _, s := range []string{"Up 2 seconds (healthy)", "Up 1 second (health: starting)", "Exited (0) 5 seconds ago", "Up )(", "Up 1 (unhealthy)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, status string) {
		switch health := healthOf(status); health {
		case "":
		case "starting", "healthy", "unhealthy":
			if !strings.HasPrefix(status, "Up ") || !strings.HasSuffix(status, health+")") {
				t.Errorf("%q is not %q", status, health)
			}
		default:
			t.Errorf("%q gave %q", status, health)
		}
	})
}

func TestNameOf(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  string
	}{
		{[]string{"/web"}, "web"},
		{[]string{"/web", "/db/a"}, "web"},
		{[]string{"/a/b", "/frontend-service", "/z/b"}, "frontend-service"},
		{[]string{"/node-1/web"}, "node-1/web"},
		{[]string{"web"}, "web"},
		{[]string{"/", "/web"}, "web"},
		{[]string{""}, "0123456789ab"},
		{nil, "0123456789ab"},
	} {
		if got := nameOf(c.names, "0123456789abcdef"); got != c.want {
			t.Errorf("%q: got %q, want %q", c.names, got, c.want)
		}
	}
}

// What was recorded from Docker 20.10.24, with ports in another order, an IPv6
// address and an entry that has nothing it could do without.
const recorded = `[
{"Id":"16fb5fa1db0dd5d3652d75de68c5ed7d54e67a8aff8f7b86a5d264ef343aeb79","Names":["/link/alias","/web-b"],
 "Image":"hello:v1","ImageID":"sha256:dc9f4d4a841676ffc5e56c875e8665650fcf62ea307e01b9a03ed6aece34d205","Command":"/hello",
 "Created":1795491319,"Ports":[
  {"PrivatePort":9090,"Type":"udp"},
  {"IP":"::","PrivatePort":8080,"PublicPort":32768,"Type":"tcp"},
  {"IP":"0.0.0.0","PrivatePort":8080,"PublicPort":32769,"Type":"tcp"}],
 "Labels":{"a":"b"},"State":"running","Status":"Up 3 seconds (health: starting)","HostConfig":{"NetworkMode":"default"},
 "NetworkSettings":{"Networks":{
  "zoo":{"NetworkID":"z","EndpointID":"e","Gateway":"172.18.0.1","IPAddress":"172.18.0.2","GlobalIPv6Address":"fd00::2","MacAddress":"02:42:ac:12:00:02"},
  "ape":{"NetworkID":"","IPAddress":"invalid IP"},
  "nil":null}},"Mounts":[]},
{"Id":"b94c3e7cbd8cabb6d5015c282cb547058fb89aca57e5f35ed8d8136115be280f","State":"exited"}]`

func TestNewContainers(t *testing.T) {
	got, err := decode([]byte(recorded))
	if err != nil {
		t.Fatal(err)
	}
	v4 := netip.MustParseAddr("0.0.0.0")
	want := Container{
		ID:          "16fb5fa1db0dd5d3652d75de68c5ed7d54e67a8aff8f7b86a5d264ef343aeb79",
		Name:        "web-b",
		Image:       "hello:v1",
		ImageID:     "sha256:dc9f4d4a841676ffc5e56c875e8665650fcf62ea307e01b9a03ed6aece34d205",
		Command:     "/hello",
		Labels:      map[string]string{"a": "b"},
		State:       "running",
		Status:      "Up 3 seconds (health: starting)",
		Health:      "starting",
		Created:     got[0].Created,
		NetworkMode: "bridge",
		Networks: []Network{
			{Name: "ape"},
			{Name: "nil"},
			{
				Name: "zoo", ID: "z", IP: netip.MustParseAddr("172.18.0.2"), IP6: netip.MustParseAddr("fd00::2"),
				Gateway: netip.MustParseAddr("172.18.0.1"), MAC: "02:42:ac:12:00:02",
			},
		},
		Ports: []Port{
			{Private: 8080, Public: 32769, Proto: "tcp", IP: v4},
			{Private: 8080, Public: 32768, Proto: "tcp", IP: netip.IPv6Unspecified()},
			{Private: 9090, Proto: "udp"},
		},
	}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("\n got %+v\nwant %+v", got[0], want)
	}
	if at := got[0].Created; at.Unix() != 1795491319 || at.Location().String() != "UTC" {
		t.Errorf("created %v", at)
	}
	bare := Container{ID: got[1].ID, Name: "b94c3e7cbd8c", State: "exited", Created: got[1].Created}
	if !reflect.DeepEqual(got[1], bare) {
		t.Errorf("\n got %+v\nwant %+v", got[1], bare)
	}
}

func decode(body []byte) ([]Container, error) {
	var list []container.Summary
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	return newContainers(list)
}

func FuzzDecodeList(f *testing.F) {
	for _, s := range []string{
		recorded, "null", "[]", "{}", "[null]", `[{"Id":"a","State":"running","Ports":[{"PrivatePort":70000}]}]`,
		`[{"Id":"a","State":"running"},{"Id":"a","State":"exited"}]`, recorded[:500],
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := decode(body)
		if err != nil {
			if list != nil {
				t.Error("a list and an error")
			}
			return
		}
		if list == nil {
			t.Error("neither a list nor an error")
		}
		ids := make(map[string]bool)
		for _, c := range list {
			if c.ID == "" || c.Name == "" || c.State == "" || ids[c.ID] {
				t.Errorf("believed %+v", c)
			}
			ids[c.ID] = true
			if !slices.IsSortedFunc(c.Ports, Port.compare) {
				t.Errorf("ports %v", c.Ports)
			}
			if !slices.IsSortedFunc(c.Networks, func(a, b Network) int { return strings.Compare(a.Name, b.Name) }) {
				t.Errorf("networks %v", c.Networks)
			}
		}
	})
}

func BenchmarkDecodeList(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			body := listOf(n)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// listOf is a list with n times the first recorded container.
func listOf(n int) []byte {
	var one []json.RawMessage
	if err := json.Unmarshal([]byte(recorded), &one); err != nil {
		panic(err)
	}
	all := make([]string, n)
	for i := range all {
		all[i] = strings.Replace(string(one[0]), "16fb5fa1db0d", fmt.Sprintf("%012x", i), 1)
	}
	return []byte("[" + strings.Join(all, ",") + "]")
}
