package dockertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/versions"

	"rollcall/internal/docker"
)

const release = "20.10.24"

var (
	versioned   = regexp.MustCompile(`^/v([0-9]+\.[0-9]+)(/.*)$`)
	inspectPath = regexp.MustCompile(`^/containers/([^/]+)/json$`)
)

// ServeHTTP implements http.Handler: the engine's API, also for tests that serve
// it by other means than the socket.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.count(1)
	defer e.count(-1)

	path, version := r.URL.Path, ""
	if m := versioned.FindStringSubmatch(path); m != nil {
		version, path = m[1], m[2]
	}
	endpoint := endpointOf(r.Method, path)
	api, minAPI, hang := e.note(endpoint, r)

	w.Header().Set("Server", "Docker/"+release+" (linux)")
	w.Header().Set("Api-Version", api)
	w.Header().Set("Ostype", "linux")
	if hang && !e.hang(r.Context()) {
		return
	}
	if version != "" && refuseVersion(w, version, api, minAPI) {
		return
	}
	w.Header().Set("Docker-Experimental", "false")
	switch endpoint {
	case Ping:
		e.servePing(w, r)
	case Version:
		e.serveVersion(w, api, minAPI)
	case List:
		e.serveList(w, r)
	case Inspect:
		e.serveInspect(w, r, inspectPath.FindStringSubmatch(path)[1])
	case Events:
		e.serveEvents(w, r)
	default:
		writeError(w, http.StatusForbidden, "dockertest: only reading is served")
	}
}

// endpointOf names the endpoint; "" if it is none that only reading needs.
func endpointOf(method, path string) string {
	switch {
	case path == "/_ping" && (method == http.MethodGet || method == http.MethodHead):
		return Ping
	case method != http.MethodGet:
		return ""
	case path == "/version":
		return Version
	case path == "/containers/json":
		return List
	case path == "/events":
		return Events
	case inspectPath.MatchString(path):
		return Inspect
	}
	return ""
}

// note counts a call and returns what counts for it.
func (e *Engine) note(endpoint string, r *http.Request) (api, minAPI string, hang bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if endpoint == "" {
		e.refused = append(e.refused, r.Method+" "+r.URL.Path)
	}
	e.calls[endpoint]++
	e.changed.Broadcast()
	return e.api, e.minAPI, e.faults.hangAll
}

func refuseVersion(w http.ResponseWriter, version, api, minAPI string) bool {
	var text string
	switch {
	case versions.GreaterThan(version, api):
		text = fmt.Sprintf("client version %s is too new. Maximum supported API version is %s", version, api)
	case versions.LessThan(version, minAPI):
		text = fmt.Sprintf("client version %s is too old. Minimum supported API version is %s, please upgrade your client to a newer version", version, minAPI)
	default:
		return false
	}
	if versions.LessThan(version, "1.24") {
		http.Error(w, text, http.StatusBadRequest)
	} else {
		writeError(w, http.StatusBadRequest, text)
	}
	return true
}

func (e *Engine) servePing(w http.ResponseWriter, r *http.Request) {
	if e.faulty(w, r, &e.faults.pings) {
		return
	}
	w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
	w.Header().Set("Pragma", "no-cache")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", "0")
		return
	}
	fmt.Fprint(w, "OK")
}

func (e *Engine) serveVersion(w http.ResponseWriter, api, minAPI string) {
	type details map[string]string
	type component struct {
		Name, Version string
		Details       details
	}
	writeJSON(w, map[string]any{
		"Platform": map[string]string{"Name": ""},
		"Components": []component{{"Engine", release, details{
			"ApiVersion": api, "MinAPIVersion": minAPI, "Os": "linux", "Arch": "amd64", "Experimental": "false",
		}}},
		"Version": release, "ApiVersion": api, "MinAPIVersion": minAPI,
		"GitCommit": "5d6db84", "GoVersion": "go1.19.8", "Os": "linux", "Arch": "amd64",
		"KernelVersion": "6.1.0", "BuildTime": "2024-05-07T21:09:36.000000000+00:00",
	})
}

func (e *Engine) serveList(w http.ResponseWriter, r *http.Request) {
	if e.faulty(w, r, &e.faults.lists) || !e.delay(r.Context()) {
		return
	}
	all, _ := strconv.ParseBool(r.URL.Query().Get("all"))
	e.mu.Lock()
	list := make([]listed, 0, len(e.containers))
	for _, c := range e.containers {
		if all || c.running() {
			list = append(list, c.listed())
		}
	}
	e.mu.Unlock()
	writeJSON(w, list)
}

func (e *Engine) serveInspect(w http.ResponseWriter, r *http.Request, id string) {
	if e.faulty(w, r, &e.faults.inspects) {
		return
	}
	e.mu.Lock()
	at := slices.IndexFunc(e.containers, func(c *ctr) bool {
		return c.id == id || c.name == id || len(id) >= 12 && strings.HasPrefix(c.id, id)
	})
	var answer map[string]any
	if at >= 0 {
		answer = e.containers[at].inspected()
	}
	e.mu.Unlock()
	if answer == nil {
		writeError(w, http.StatusNotFound, "No such container: "+id)
		return
	}
	writeJSON(w, answer)
}

// faulty does to a call what its fault is, and says whether that was all.
func (e *Engine) faulty(w http.ResponseWriter, r *http.Request, queue *[]fault) bool {
	e.mu.Lock()
	f, ok := take(queue)
	e.mu.Unlock()
	switch {
	case !ok:
		return false
	case f.hang:
		return !e.hang(r.Context())
	case f.truncate:
		truncate(w)
	case f.status != 0:
		writeError(w, f.status, "dockertest: a fault")
	default:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, f.body)
	}
	return true
}

// truncate answers with the beginning of a list and breaks the connection.
func truncate(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "4096")
	fmt.Fprint(w, `[{"Id":"4e5907fb1c0c133c17c703bf8fad31c419da55fd08e42486f092f2c6400158af","Names":["/cut`)
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func writeError(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"message": text})
}

// listed is an entry of the list, and the following are its parts, in the shape
// of Docker 20.10.
type listed struct {
	ID         string `json:"Id"`
	Names      []string
	Image      string
	ImageID    string
	Command    string
	Created    int64
	Ports      []listedPort
	Labels     map[string]string
	State      string
	Status     string
	HostConfig struct{ NetworkMode string }

	NetworkSettings struct{ Networks map[string]listedNetwork }
	Mounts          []struct{}
}

type listedPort struct {
	IP          string `json:",omitempty"`
	PrivatePort uint16
	PublicPort  uint16 `json:",omitempty"`
	Type        string
}

type listedNetwork struct {
	IPAMConfig          *struct{}
	Links               []string
	Aliases             []string
	NetworkID           string
	EndpointID          string
	Gateway             string
	IPAddress           string
	IPPrefixLen         int
	IPv6Gateway         string
	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int
	MacAddress          string
	DriverOpts          map[string]string
}

func (c *ctr) listed() listed {
	l := listed{
		ID:      c.id,
		Names:   []string{"/" + c.name},
		Image:   c.shownImage(),
		ImageID: c.imageID,
		Command: c.command,
		Created: c.created.Unix(),
		Ports:   []listedPort{},
		Labels:  c.labels,
		State:   c.state,
		Status:  c.status(),
		Mounts:  []struct{}{},
	}
	l.HostConfig.NetworkMode = c.engineMode()
	l.NetworkSettings.Networks = c.listedNetworks()
	for _, p := range c.ports {
		l.Ports = append(l.Ports, listedPort{addrText(p.IP), p.Private, p.Public, p.Proto})
	}
	return l
}

func (c *ctr) listedNetworks() map[string]listedNetwork {
	networks := make(map[string]listedNetwork)
	for name, ep := range c.endpoints {
		n := listedNetwork{
			EndpointID:        ep.id,
			IPAddress:         addrText(ep.ip),
			GlobalIPv6Address: addrText(ep.ip6),
			MacAddress:        ep.mac(),
		}
		if c.state != "created" {
			n.NetworkID = ep.bridge.id
		}
		if ep.ip.IsValid() {
			n.Gateway, n.IPPrefixLen = addrText(ep.bridge.gateway), 24
		}
		if ep.ip6.IsValid() {
			n.GlobalIPv6PrefixLen = 64
		}
		networks[name] = n
	}
	return networks
}

// inspected is the answer to inspect: what clients care for, in the shape of
// Docker 20.10.
func (c *ctr) inspected() map[string]any {
	hostname := c.hostname
	if hostname == "" {
		hostname = c.id[:12]
	}
	config := map[string]any{
		"Hostname": hostname, "Domainname": "", "User": "", "Tty": false, "Env": nil, "Cmd": nil,
		"Image": c.image, "WorkingDir": "", "Entrypoint": []string{c.command}, "Labels": c.labels,
	}
	if len(c.exposed) > 0 {
		exposed := make(map[string]struct{})
		for _, p := range c.exposed {
			exposed[portText(p)] = struct{}{}
		}
		config["ExposedPorts"] = exposed
	}
	if c.stopSignal != "" {
		config["StopSignal"] = c.stopSignal
	}
	if c.stopTimeout != nil {
		config["StopTimeout"] = *c.stopTimeout
	}
	if c.spec.health != "" {
		config["Healthcheck"] = map[string]any{"Test": []string{"CMD", "/idle", "check"}}
	}
	return map[string]any{
		"Id": c.id, "Created": c.created.UTC().Format("2006-01-02T15:04:05.999999999Z"),
		"Path": c.command, "Args": []string{}, "State": c.inspectedState(), "Image": c.imageID,
		"Name": "/" + c.name, "RestartCount": 0, "Driver": "overlay2", "Platform": "linux",
		"HostConfig": map[string]any{"NetworkMode": c.engineMode(), "AutoRemove": false},
		"Mounts":     []struct{}{},
		"Config":     config,
		"NetworkSettings": map[string]any{
			"Ports": c.inspectedPorts(), "Networks": c.listedNetworks(),
		},
	}
}

func (c *ctr) inspectedState() map[string]any {
	state := map[string]any{
		"Status": c.state, "Running": c.running(), "Paused": c.state == "paused",
		"Restarting": c.state == "restarting", "OOMKilled": false, "Dead": c.state == "dead",
		"Pid": 0, "ExitCode": c.exitCode, "Error": "",
		"StartedAt": c.startedAt.UTC().Format(time.RFC3339Nano), "FinishedAt": "0001-01-01T00:00:00Z",
	}
	if c.running() {
		state["Pid"] = 4711
	}
	if c.health != "" {
		state["Health"] = map[string]any{"Status": c.health, "FailingStreak": 0, "Log": []struct{}{}}
	}
	return state
}

func (c *ctr) inspectedPorts() map[string]any {
	type hostPort struct {
		HostIP   string `json:"HostIp"`
		HostPort string
	}
	ports := make(map[string]any)
	bound := make(map[string][]hostPort)
	for _, p := range c.ports {
		ports[portText(p)] = nil
		if p.Public != 0 {
			bound[portText(p)] = append(bound[portText(p)], hostPort{p.IP.String(), strconv.Itoa(int(p.Public))})
		}
	}
	for p, b := range bound {
		ports[p] = b
	}
	return ports
}

func addrText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

func portText(p docker.Port) string { return fmt.Sprintf("%d/%s", p.Private, p.Proto) }
