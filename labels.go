package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
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
	Wanted      bool      // by its image or a label, be it misspelled; to be used or to be warned of
	Reason      string    // one sentence: which rule made it so
	Advice      string    // what would make it a backend; "" if it is used
	Warnings    []Warning // what is wrong beside that
	Claims      []string  // the hosts that its labels name, also if it is not used
	Means       string    // comma list: those that a label which made it unused means to name
	Entries     []Entry   // one for each service; empty unless Used
	Choices     []Choice  // how each entry's port and address were chosen, index by index
}

// Choice tells how the port and the addresses of an entry were chosen.
type Choice struct {
	Port       uint16
	PortWhy    string
	Candidates []Candidate // best first
	Skipped    []string    // addresses left out, with the reason
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
	verdict := Verdict{ContainerID: c.ID, Name: c.Name, Claims: claims(c.Labels)}
	rule, warnings := r.choose(c, config)
	verdict.Used, verdict.Reason, verdict.Advice = rule.chosen, rule.reason, rule.advice
	misspelled := nearRoots(c.Labels)
	verdict.Warnings = append(warnings, misspelled...)
	if !rule.chosen && !rule.asked && c.ID == v.Self {
		verdict.Reason, verdict.Advice = "not used: it is rollcall itself", ""
		return verdict
	}
	if !rule.chosen {
		if !rule.asked && len(verdict.Warnings) > 0 {
			verdict.refuse(verdict.Warnings[0], verdict.Warnings[1:])
		}
		return verdict
	}
	verdict.Wanted = true
	all, warnings := readLabels(c.Labels)
	verdict.Warnings = append(verdict.Warnings, warnings...)
	var problems []Warning
	for _, name := range slices.Sorted(maps.Keys(all)) {
		entry, choice, problem := r.entry(c, config, v, all[name], &verdict)
		entry.Doubtful = entry.Doubtful || len(misspelled) > 0
		if problem.Text != "" {
			problems = append(problems, problem)
			continue
		}
		if slices.ContainsFunc(verdict.Entries, func(e Entry) bool { return e.Service == entry.Service }) {
			verdict.Warnings = append(verdict.Warnings, Warning{
				Text:   fmt.Sprintf("labels rollcall.%s.… are ignored: the labels without a name describe the service %s already", name, name),
				Advice: "use one form for all labels of a service",
				Key:    "service",
			})
			continue
		}
		verdict.Entries = append(verdict.Entries, entry)
		verdict.Choices = append(verdict.Choices, choice)
	}
	if len(verdict.Entries) == 0 {
		// The root cause is the verdict, not a remark beside it.
		verdict.refuse(problems[0], append(verdict.Warnings, problems[1:]...))
		return verdict
	}
	verdict.Warnings = append(verdict.Warnings, problems...)
	return verdict
}

// services lists the services that a container is a backend of, for logs.
func (v *Verdict) services() string {
	names := make([]string, len(v.Entries))
	for i, entry := range v.Entries {
		names[i] = entry.Service
	}
	return strings.Join(names, ",")
}

// refuse makes a container that was meant to be used one that is not.
func (v *Verdict) refuse(cause Warning, others []Warning) {
	v.Used, v.Wanted = false, true
	v.Reason, v.Advice, v.Means, v.Warnings = "not used: "+cause.Text, cause.Advice, cause.Hosts, others
}

// entry makes the entry for one service of a chosen container.
func (r *Rules) entry(c docker.Container, config docker.Config, v *Vantage, l labels, verdict *Verdict) (entry Entry, choice Choice, problem Warning) {
	image := reference(c, config)
	service, foreign := l.service, ""
	if service == "" {
		if service, foreign = v.defaultService(c, image); foreign != "" {
			verdict.Warnings = append(verdict.Warnings, Warning{
				Text:   fmt.Sprintf("the Compose project %s has a service %s, too, so this one is called %s", foreign, c.Labels[composeService], service),
				Advice: "give one of the two a name of its own with the label " + labelPrefix + "service",
				Key:    "service",
			})
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
			Doubtful:    l.doubtful,
		},
		Name:   c.Name,
		Engine: engineState(c),
	}
	if entry.Hosts == "" {
		entry.Hosts = entry.Service + "." + r.Domain
		entry.CatchAll = !l.placed && r.byImage(image)
	}
	verdict.Warnings = append(verdict.Warnings, l.remarks()...)
	network := cmp.Or(l.network, r.Network)
	if l.network != "" {
		if warning, off := notOnNetwork(c, l.key("network"), l.network); off {
			verdict.Warnings = append(verdict.Warnings, warning)
		}
	}
	port, why, doubt := choosePort(c, config, l.port, l.key("port"))
	if port == 0 {
		return entry, choice, noPort(c, config, l.key("port"))
	}
	if doubt.Text != "" {
		verdict.Warnings = append(verdict.Warnings, doubt)
	}
	entry.Port = port
	choice = Choice{Port: port, PortWhy: why}
	if entry.Engine == EngineStopped {
		return entry, choice, Warning{} // known for its routes; it has no address
	}
	choice.Candidates, choice.Skipped = v.locate(c, port, r.Address, network)
	if len(choice.Candidates) == 0 {
		return entry, choice, v.unreachable(c, port, r.Address, choice.Skipped)
	}
	addrs := make([]string, len(choice.Candidates))
	for i, candidate := range choice.Candidates {
		addrs[i] = candidate.Addr.String()
	}
	entry.Candidates = Candidates(strings.Join(addrs, " "))
	return entry, choice, Warning{}
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

// unquote removes quotes that a label's value should not have: in the list form
// of a compose file, - rollcall.host="a", they become part of it.
func unquote(value string) string {
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		return value[1 : n-1]
	}
	return value
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

// labels are the rollcall labels that describe one service of a container;
// zero values mean that no label says anything.
type labels struct {
	name     string // NAME in rollcall.NAME.KEY, "" in the plain form
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
	placed   bool // a label names its host or path, be it in vain
	doubtful bool // see Spec
}

// sharedKeys are the labels that a service has but one of: its leader's.
var sharedKeys = []string{"service", "host", "path", "strip", "priority", "balance", "sticky"}

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

// key returns the label's key in the form that this service is described in.
func (l *labels) key(key string) string {
	if l.name != "" {
		return labelPrefix + l.name + "." + key
	}
	return labelPrefix + key
}

// remarks warns of labels that are right by themselves and have no effect
// together.
func (l *labels) remarks() (warnings []Warning) {
	remark := func(key, problem, advice string) {
		warnings = append(warnings, Warning{Text: "label " + l.key(key) + " has no effect: " + problem, Advice: advice, Key: key})
	}
	if l.strip && (l.paths == "" || l.paths == "/") {
		remark("strip", "its path is /, so there is no prefix to remove", "name the prefix with "+l.key("path")+", or remove the label")
	}
	if l.check.Path == "" && l.check != (HealthCheck{}) {
		key := "health.status"
		switch {
		case l.check.Interval != 0:
			key = "health.interval"
		case l.check.Timeout != 0:
			key = "health.timeout"
		}
		remark(key, "without a path there is no check", "name the path to ask for with "+l.key("health.path"))
	}
	if l.insecure && l.scheme != "https" {
		remark("insecure", "only https has a certificate to verify", "add "+l.key("scheme")+"=https, or remove the label")
	}
	return warnings
}

// readLabels reads the labels rollcall.KEY, which describe the container's only
// service, and rollcall.NAME.KEY, which describe the service NAME. What can't be
// read is a warning; the rest counts. The result has at least one service.
func readLabels(all map[string]string) (services map[string]labels, warnings []Warning) {
	plain := labels{}
	services = map[string]labels{}
	plainUsed, placed, doubtful := false, map[string]bool{}, map[string]bool{} // by name
	for _, label := range slices.Sorted(maps.Keys(all)) {
		rest, ours := strings.CutPrefix(label, labelPrefix)
		if !ours {
			continue
		}
		l, name, key := &plain, "", rest
		if first, last, dotted := strings.Cut(rest, "."); dotted && labelKeys[rest] == nil {
			if _, err := parseService(first); err != nil {
				warnings = append(warnings, badValue(label, "service", all[label], err))
				doubtful[anyName] = true
				continue
			}
			named := services[first]
			named.name, named.service = first, first
			l, name, key = &named, first, last
		}
		read := labelKeys[key]
		if read == nil || name != "" && (key == "service" || key == "enable") {
			warnings = append(warnings, unknownLabel(label, all[label], name, key))
			doubtful[name] = true
			continue
		}
		value := strings.TrimSpace(all[label])
		if bare := unquote(value); bare != value {
			warnings = append(warnings, Warning{
				Text:   fmt.Sprintf("label %s has quotes in its value; it is read as %s", label, bare),
				Advice: fmt.Sprintf("in a compose file, quote the whole line: - \"%s=%s\"", label, bare),
				Key:    key,
			})
			value = bare
		}
		if key == "enable" {
			continue // read by choose, and warned of there
		}
		placed[name] = placed[name] || key == "host" || key == "path"
		if err := read(l, value); err != nil {
			warnings = append(warnings, badValue(label, key, all[label], err))
			doubtful[name] = doubtful[name] || slices.Contains(sharedKeys, key)
			continue
		}
		if key == "host" {
			if warning, found := hostPort(label, value); found {
				warnings = append(warnings, warning)
			}
		}
		if name != "" {
			services[name] = *l
		} else {
			plainUsed = true
		}
	}
	if plainUsed || len(services) == 0 {
		services[""] = plain
	}
	for name, l := range services {
		l.placed, l.doubtful = placed[name], doubtful[name] || doubtful[anyName]
		services[name] = l
	}
	return services, warnings
}

// anyName stands for a name that can't be read: it may mean any of the services.
const anyName = "*"
