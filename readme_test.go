package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
)

// readme is README.md, which promises what the program has to keep.
func readme(t *testing.T) string {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tableRows returns the cells of the table whose head begins with a word.
func tableRows(t *testing.T, text, head string) (rows [][]string) {
	_, table, found := strings.Cut(text, "\n| "+head+" |")
	if !found {
		t.Fatalf("README.md has no table with the head %s", head)
	}
	for i, line := range strings.Split(table, "\n") {
		if i < 2 { // the rest of the head, and the rule below it
			continue
		}
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// quoted returns what stands between backquotes.
func quoted(text string) []string {
	var words []string
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			words = append(words, part)
		}
	}
	return words
}

func commandLineModel(t *testing.T) *kong.Application {
	parser, err := kong.New(&commandLine{}, kong.Writers(io.Discard, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

func TestReadmeFlags(t *testing.T) {
	want := map[string]*kong.Flag{}
	for _, command := range commandLineModel(t).Children {
		if command.Name == "serve" {
			for _, flag := range command.Flags {
				want["--"+flag.Name] = flag
			}
		}
	}
	for _, row := range tableRows(t, readme(t), "flag") {
		name := quoted(row[0])[0]
		flag := want[name]
		if flag == nil {
			t.Errorf("README.md has a flag %s, rollcall has not", name)
			continue
		}
		delete(want, name)
		if env := quoted(row[1]); !slices.Equal(env, flag.Envs) {
			t.Errorf("%s: README.md names the environment %q, it is %q", name, env, flag.Envs)
		}
		if def := quoted(row[2]); len(def) > 0 && def[0] != flag.Default || len(def) == 0 && flag.Default != "" {
			t.Errorf("%s: README.md has the default %q, it is %q", name, def, flag.Default)
		}
	}
	for name := range want {
		t.Errorf("README.md lacks the flag %s", name)
	}
}

func TestReadmeCommands(t *testing.T) {
	_, list, _ := strings.Cut(readme(t), "\nrollcall [serve]")
	list, _, _ = strings.Cut(list, "```")
	for _, command := range commandLineModel(t).Children {
		if name := command.Name; name != "serve" && !regexp.MustCompile(`(?m)^rollcall `+name+`\b|\b`+name+` puts`).MatchString(list) {
			t.Errorf("README.md's list of commands lacks %s", name)
		}
	}
}

func TestReadmeLabels(t *testing.T) {
	var got []string
	for _, row := range tableRows(t, readme(t), "key") {
		got = append(got, quoted(row[0])...)
	}
	sameWords(t, "labels", got, labelKeys)
}

func TestReadmeStates(t *testing.T) {
	var got []string
	for _, row := range tableRows(t, readme(t), "state") {
		got = append(got, quoted(row[0])...)
	}
	want := map[string]bool{}
	for _, name := range stateNames {
		want[name] = true
	}
	sameWords(t, "states", got, want)
}

// The answers are found in the source: each is made in one way.
func TestReadmeAnswers(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	made := regexp.MustCompile(`&answer\{[^,]+, "([a-z-]+)"`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range made.FindAllSubmatch(text, -1) {
			want[string(match[1])] = true
		}
	}
	var got []string
	for _, row := range tableRows(t, readme(t), "status") {
		got = append(got, quoted(row[1])...)
	}
	sameWords(t, "answers", got, want)
}

// sameWords compares a table's words with the program's.
func sameWords[V any](t *testing.T, what string, table []string, program map[string]V) {
	t.Helper()
	for word := range program {
		if !slices.Contains(table, word) {
			t.Errorf("README.md's table of %s lacks %s", what, word)
		}
	}
	for _, word := range table {
		if _, known := program[word]; !known {
			t.Errorf("README.md's table of %s has %s, rollcall has not", what, word)
		}
	}
}

func TestReadmeEndpoints(t *testing.T) {
	var got []string
	for _, row := range tableRows(t, readme(t), "path") {
		got = append(got, quoted(row[0])...)
	}
	stand, want := newAdminStand(t), map[string]bool{}
	for _, e := range stand.admin.endpoints(stand.metrics) {
		want[e.method+" "+e.path] = true
	}
	sameWords(t, "endpoints", got, want)
}

// metricDescs describes all of rollcall's own metrics.
func metricDescs() (list []*prometheus.Desc) {
	registry := NewRegistry(quiet(), 0)
	metrics := NewMetrics(registry, NewProxy(registry, 0, ForwardedRules{}, quiet()), func() *Roll { return &Roll{} })
	descs := make(chan *prometheus.Desc, 100)
	metrics.Describe(descs)
	metrics.polls.Describe(descs)
	metrics.pollDuration.Describe(descs)
	close(descs)
	for desc := range descs {
		list = append(list, desc)
	}
	return list
}

func TestReadmeMetrics(t *testing.T) {
	got := map[string]string{}
	var names []string
	for _, row := range tableRows(t, readme(t), "metric") {
		name := quoted(row[0])[0]
		names = append(names, name)
		got[name] = strings.Join(quoted(row[1]), ",")
	}
	want := map[string]string{}
	described := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	for _, desc := range metricDescs() {
		match := described.FindStringSubmatch(desc.String())
		want[match[1]] = match[2]
	}
	sameWords(t, "metrics", names, want)
	for name, labels := range want {
		if got[name] != labels {
			t.Errorf("README.md gives %s the labels %q, it has %q", name, got[name], labels)
		}
	}
}

// Whatever names a metric or a label outside the tables names one that exists.
func TestReadmeNames(t *testing.T) {
	text := readme(t)
	names := ""
	for _, desc := range metricDescs() {
		names += desc.String()
	}
	for _, name := range regexp.MustCompile(`\brollcall_[a-z_]+`).FindAllString(text, -1) {
		if !strings.Contains(names, `"`+name+`"`) {
			t.Errorf("README.md names the metric %s, which does not exist", name)
		}
	}
	for _, match := range regexp.MustCompile("`rollcall\\.([a-z.]+)[=`]").FindAllStringSubmatch(text, -1) {
		if labelKeys[match[1]] == nil {
			t.Errorf("README.md names the label rollcall.%s, which does not exist", match[1])
		}
	}
}

// A compose file without fault is a yes.
func TestCheckOfTheDemo(t *testing.T) {
	var out, problems strings.Builder
	if code := run(t.Context(), []string{"check", "docker-compose.yml"}, &out, &problems); code != 0 || problems.Len() > 0 {
		t.Errorf("the exit code is %d:\n%s%s", code, &out, &problems)
	}
}
