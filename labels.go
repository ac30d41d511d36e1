package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/docker"
)

// Verdict is what rollcall makes of one container: the services it is a
// backend of, or the reason why it is none.
type Verdict struct {
	ContainerID string
	Name        string
	Used        bool
	Reason      string   // one sentence: which rule made it so
	Warnings    []string // a sentence each: what is wrong and what to do
	Claims      []string // the hosts that its labels name, also if it is not used
	Entries     []Entry  // one for each service; empty unless Used
	Choices     []Choice // how each entry's port and address were chosen, index by index
}

// Choice tells how the port and the addresses of an entry were chosen.
type Choice struct {
	Port       uint16
	PortWhy    string
	Candidates []Candidate // best first
	Skipped    []string    // addresses left out, with the reason
}

// Rules decide which containers are backends, and how they are reached where
// no label says so. They come from the configuration and never change.
type Rules struct {
	Images  []string // containers of these images are backends without any label
	Domain  string   // a service without a host answers to SERVICE.DOMAIN
	Address AddressMode
	Network string // preferred Docker network
}

const (
	labelPrefix    = "rollcall."
	labelEnable    = "rollcall.enable"
	composeOneOff  = "com.docker.compose.oneoff"
	composeService = "com.docker.compose.service"
)

// judge turns a container into a verdict. It is pure: it asks no one, and the
// same container seen from the same place gets the same verdict.
func (r *Rules) judge(c docker.Container, config docker.Config, v *Vantage) Verdict {
	verdict := Verdict{ContainerID: c.ID, Name: c.Name}
	chosen, reason, warnings := r.choose(c, config)
	verdict.Reason, verdict.Warnings = reason, append(warnings, nearRoots(c.Labels)...)
	verdict.Claims = claims(c.Labels)
	if !chosen {
		return verdict
	}
	all, warnings := readLabels(c.Labels)
	verdict.Warnings = append(verdict.Warnings, warnings...)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		entry, choice, problem := r.entry(c, config, v, all[name], &verdict)
		if problem != "" {
			verdict.Warnings = append(verdict.Warnings, problem)
			continue
		}
		if slices.ContainsFunc(verdict.Entries, func(e Entry) bool { return e.Service == entry.Service }) {
			verdict.Warnings = append(verdict.Warnings, fmt.Sprintf("labels rollcall.%s.… are ignored: the labels without a name describe the service %s already", name, name))
			continue
		}
		verdict.Entries = append(verdict.Entries, entry)
		verdict.Choices = append(verdict.Choices, choice)
	}
	verdict.Used = len(verdict.Entries) > 0
	if !verdict.Used {
		// The root cause is the verdict, not a remark beside it.
		last := len(verdict.Warnings) - 1
		verdict.Reason, verdict.Warnings = "not used: "+verdict.Warnings[last], verdict.Warnings[:last]
	}
	return verdict
}

// choose tells whether a container is to be a backend, and which rule says so.
func (r *Rules) choose(c docker.Container, config docker.Config) (chosen bool, reason string, warnings []string) {
	enable, asked := c.Labels[labelEnable]
	enabled, err := parseBool(unquote(strings.TrimSpace(enable)))
	if asked && err != nil {
		warnings = append(warnings, fmt.Sprintf("label %s=%s is ignored: %v", labelEnable, enable, err))
		asked = false
	}
	if asked && !enabled {
		if others := ourLabels(c.Labels); len(others) > 1 {
			warnings = append(warnings, "its other rollcall labels have no effect while "+labelEnable+"=false")
		}
		return false, "not used: its label " + labelEnable + "=false says so", warnings
	}
	if !asked && strings.EqualFold(c.Labels[composeOneOff], "true") {
		return false, "not used: it is a one-off container of docker compose run; the label " + labelEnable + "=true would make it a backend", warnings
	}
	if asked {
		return true, "used: its label " + labelEnable + "=true says so", warnings
	}
	for _, key := range ourLabels(c.Labels) {
		if key != labelEnable {
			return true, "used: it has the label " + key, warnings
		}
	}
	image := reference(c, config)
	for _, pattern := range r.Images {
		if matchImage(image, pattern) {
			return true, fmt.Sprintf("used: its image %s matches --image %s", image, pattern), warnings
		}
	}
	return false, fmt.Sprintf("not used: it has no label that begins with %s, and its image %s matches no --image (%s)",
		labelPrefix, image, strings.Join(r.Images, ", ")), warnings
}

// entry makes the entry for one service of a chosen container.
func (r *Rules) entry(c docker.Container, config docker.Config, v *Vantage, l labels, verdict *Verdict) (entry Entry, choice Choice, problem string) {
	image := reference(c, config)
	service, foreign := l.service, ""
	if service == "" {
		if service, foreign = v.defaultService(c, image); foreign != "" {
			verdict.Warnings = append(verdict.Warnings, fmt.Sprintf("the Compose project %s has a service %s, too, so this one is called %s; the label rollcall.service gives it a name of its own",
				foreign, c.Labels[composeService], service))
		}
	}
	entry = Entry{
		Spec: Spec{
			ContainerID: c.ID,
			Image:       image,
			Service:     service,
			Paths:       cmp.Or(l.paths, "/"),
			Hosts:       l.hosts,
			Priority:    l.priority,
			Strip:       l.strip,
			Scheme:      cmp.Or(l.scheme, "http"),
			Insecure:    l.insecure,
			Weight:      cmp.Or(l.weight, 1),
			Balance:     cmp.Or(l.balance, "round-robin"),
			Sticky:      l.sticky,
			Timeout:     cmp.Or(l.timeout, 60*time.Second),
			Check:       l.check.withDefaults(),
			Created:     c.Created.Unix(),
		},
		Name:   c.Name,
		Engine: engineState(c),
	}
	if entry.Hosts == "" {
		entry.Hosts = entry.Service + "." + r.Domain
		entry.CatchAll = l.paths == "" && r.byImage(image)
	}
	port, why, warning := choosePort(c, config, l.port)
	if warning != "" {
		verdict.Warnings = append(verdict.Warnings, warning)
	}
	if port == 0 {
		return entry, choice, "it exposes no TCP port: add EXPOSE to its image, or the label rollcall.port"
	}
	entry.Port = port
	choice = Choice{Port: port, PortWhy: why}
	if entry.Engine == EngineStopped {
		return entry, choice, "" // known for its routes; it has no address
	}
	choice.Candidates, choice.Skipped = v.locate(c, port, r.Address, cmp.Or(l.network, r.Network))
	if len(choice.Candidates) == 0 {
		return entry, choice, unreachable(port, r.Address, choice.Skipped)
	}
	addrs := make([]string, len(choice.Candidates))
	for i, candidate := range choice.Candidates {
		addrs[i] = candidate.Addr.String()
	}
	entry.Candidates = Candidates(strings.Join(addrs, " "))
	return entry, choice, ""
}

func unreachable(port uint16, mode AddressMode, skipped []string) string {
	tried := "it has no address at all"
	if len(skipped) > 0 {
		tried = strings.Join(skipped, "; ")
	}
	return fmt.Sprintf("no address for port %d can be reached from here with --address %s (%s): put it on a network that rollcall is on, or publish the port",
		port, mode, tried)
}

// ourLabels returns the keys of a container's rollcall labels, sorted.
func ourLabels(labels map[string]string) []string {
	var keys []string
	for key := range labels {
		if strings.HasPrefix(key, labelPrefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// claims returns the hosts that a container's labels name.
func claims(labels map[string]string) []string {
	var hosts []string
	for _, key := range ourLabels(labels) {
		if key == labelPrefix+"host" || strings.HasSuffix(key, ".host") {
			if list, err := parseHosts(unquote(labels[key])); err == nil {
				hosts = append(hosts, splitList(list)...)
			}
		}
	}
	return hosts
}

// nearRoots warns of labels that would be rollcall's but for a typing error.
func nearRoots(labels map[string]string) []string {
	var warnings []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		root, rest, dotted := strings.Cut(key, ".")
		if dotted && root != "rollcall" && nearest(strings.ToLower(root), []string{"rollcall"}) != "" {
			warnings = append(warnings, fmt.Sprintf("label %s is not rollcall's; did you mean %s%s?", key, labelPrefix, rest))
		}
	}
	return warnings
}

// unquote removes quotes that a label's value should not have: in the list form
// of a compose file, - rollcall.host="a", they become part of it.
func unquote(value string) string {
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		return value[1 : n-1]
	}
	return value
}

// byImage tells whether a container of that image would be chosen without any
// label.
func (r *Rules) byImage(image string) bool {
	return slices.ContainsFunc(r.Images, func(pattern string) bool { return matchImage(image, pattern) })
}

// engineState takes the engine's word on a container.
func engineState(c docker.Container) EngineState {
	switch {
	case c.State == "paused":
		return EnginePaused
	case c.State != "running":
		return EngineStopped
	case c.Health == "starting":
		return EngineStarting
	case c.Health == "unhealthy":
		return EngineUnhealthy
	}
	return EngineRunning
}

// wellKnownPorts decide among several exposed ports, first to last.
var wellKnownPorts = []uint16{80, 8080, 8000, 3000, 5000}

// choosePort chooses the container port to send requests to. It returns 0 if
// the container exposes none.
func choosePort(c docker.Container, config docker.Config, label uint16) (port uint16, why, warning string) {
	exposed, published := tcpPorts(c, config)
	if label != 0 {
		if len(exposed) > 0 && !slices.Contains(exposed, label) {
			warning = fmt.Sprintf("label rollcall.port=%d names a port that the container does not expose (it exposes %s)", label, joinPorts(exposed))
		}
		return label, "the label rollcall.port", warning
	}
	switch {
	case len(published) == 1:
		return published[0], "the only published TCP port", ""
	case len(exposed) == 1:
		return exposed[0], "the only exposed TCP port", ""
	case len(exposed) == 0:
		return 0, "", ""
	}
	for _, known := range wellKnownPorts {
		if slices.Contains(exposed, known) {
			return known, fmt.Sprintf("the first well-known one of several exposed TCP ports (%s)", joinPorts(exposed)), ""
		}
	}
	return exposed[0], "the lowest of several exposed TCP ports",
		fmt.Sprintf("it exposes several TCP ports (%s) and %d is only a guess: say which with the label rollcall.port", joinPorts(exposed), exposed[0])
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

// labels are the rollcall labels that describe one service of a container;
// zero values mean that no label says anything.
type labels struct {
	service  string
	hosts    string
	paths    string
	port     uint16
	network  string
	priority int
	strip    bool
	scheme   string
	insecure bool
	weight   int
	balance  string
	sticky   string
	timeout  time.Duration
	check    HealthCheck
}

// labelKeys reads each key's value. A reader's error says what is accepted.
var labelKeys = map[string]func(l *labels, value string) error{
	"enable":   func(*labels, string) error { return nil }, // read by choose
	"service":  func(l *labels, value string) (err error) { l.service, err = parseService(value); return err },
	"host":     func(l *labels, value string) (err error) { l.hosts, err = parseHosts(value); return err },
	"path":     func(l *labels, value string) (err error) { l.paths, err = parsePaths(value); return err },
	"port":     func(l *labels, value string) (err error) { l.port, err = parsePort(value); return err },
	"network":  func(l *labels, value string) error { l.network = value; return nil },
	"priority": func(l *labels, value string) (err error) { l.priority, err = parsePriority(value); return err },
	"strip":    func(l *labels, value string) (err error) { l.strip, err = parseBool(value); return err },
	"scheme":   func(l *labels, value string) (err error) { l.scheme, err = parseScheme(value); return err },
	"insecure": func(l *labels, value string) (err error) { l.insecure, err = parseBool(value); return err },
	"weight":   func(l *labels, value string) (err error) { l.weight, err = parseWeight(value); return err },
	"balance":  func(l *labels, value string) (err error) { l.balance, err = parseBalance(value); return err },
	"sticky":   func(l *labels, value string) (err error) { l.sticky, err = parseCookieName(value); return err },
	"timeout":  func(l *labels, value string) (err error) { l.timeout, err = parseTimeout(value); return err },

	"health.path":     func(l *labels, value string) (err error) { l.check.Path, err = parseCheckPath(value); return err },
	"health.interval": func(l *labels, value string) (err error) { l.check.Interval, err = parseTimeout(value); return err },
	"health.timeout":  func(l *labels, value string) (err error) { l.check.Timeout, err = parseTimeout(value); return err },
	"health.status": func(l *labels, value string) (err error) {
		l.check.StatusMin, l.check.StatusMax, err = parseStatusRange(value)
		return err
	},
}

// readLabels reads the labels rollcall.KEY, which describe the container's only
// service, and rollcall.NAME.KEY, which describe the service NAME. What can't be
// read is a warning; the rest counts. The result has at least one service.
func readLabels(all map[string]string) (services map[string]labels, warnings []string) {
	plain := labels{}
	services = map[string]labels{}
	plainUsed := false
	for _, label := range slices.Sorted(maps.Keys(all)) {
		rest, ours := strings.CutPrefix(label, labelPrefix)
		if !ours {
			continue
		}
		l, name, key := &plain, "", rest
		if first, last, dotted := strings.Cut(rest, "."); dotted && labelKeys[rest] == nil {
			if _, err := parseService(first); err != nil {
				warnings = append(warnings, fmt.Sprintf("label %s=%s is ignored: %v", label, all[label], err))
				continue
			}
			named := services[first]
			named.service = first
			l, name, key = &named, first, last
		}
		read := labelKeys[key]
		if read == nil || name != "" && (key == "service" || key == "enable") {
			warnings = append(warnings, unknownLabel(label, name, key))
			continue
		}
		value := strings.TrimSpace(all[label])
		if bare := unquote(value); bare != value {
			warnings = append(warnings, fmt.Sprintf("label %s has quotes in its value; it is read as %s (in a compose file, quote the whole line)", label, bare))
			value = bare
		}
		if err := read(l, value); err != nil {
			warnings = append(warnings, fmt.Sprintf("label %s=%s is ignored: %v", label, all[label], err))
			continue
		}
		if name != "" {
			services[name] = *l
		} else if key != "enable" {
			plainUsed = true
		}
	}
	if plainUsed || len(services) == 0 {
		services[plain.service] = plain
	}
	return services, warnings
}

func unknownLabel(label, name, key string) string {
	prefix := labelPrefix
	if name != "" {
		prefix += name + "."
	}
	if near := nearest(key, slices.Sorted(maps.Keys(labelKeys))); near != "" {
		return fmt.Sprintf("label %s is not known; did you mean %s%s?", label, prefix, near)
	}
	return fmt.Sprintf("label %s is not known; known are %s", label, strings.Join(slices.Sorted(maps.Keys(labelKeys)), ", "))
}

// nearest returns the word that is a typing error away from s, "" if none is.
func nearest(s string, words []string) string {
	best, least := "", 3 // more than two edits is another word
	for _, word := range words {
		if d := editDistance(s, word); d < least && d < len(word) {
			best, least = word, d
		}
	}
	return best
}

// editDistance is Levenshtein's, in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
