package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// paper is what a command writes to; a goroutine may read it meanwhile.
type paper struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func terminalOf(columns, rows int, colour bool) (*screen, *paper) {
	p := &paper{}
	return &screen{Writer: p, size: func() (int, int) { return columns, rows }, colour: colour}, p
}

var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[a-zA-Z]`)

func psBackends() []backendView {
	since := time.Unix(1000, 0)
	return []backendView{
		{Service: "shop", ContainerID: idOf("a"), Container: "shop-web-1", Address: "172.18.0.3:8080", State: Healthy, Reason: "a connection to 172.18.0.3:8080 succeeded", Since: since, Requests: 1234567, InFlight: 3},
		{Service: "shop", ContainerID: idOf("b"), Container: "shop-web-2", Address: "172.18.0.4:8080", State: Unhealthy, Reason: "its health check /\x1b[2Jready\nanswers 500, not 200-399", Since: since, Failures: 12},
	}
}

func TestTableIsWholeWithoutATerminal(t *testing.T) {
	lines := backendTable(&screen{}, psBackends(), time.Unix(1090, 0))
	want := "" +
		"SERVICE  CONTAINER   ID            STATE      ADDRESS          IN FLIGHT  REQUESTS  FAILURES  SINCE  REASON\n" +
		"shop     shop-web-1  ca978112ca1b  healthy    172.18.0.3:8080  3          1234567   0         1m     a connection to 172.18.0.3:8080 succeeded\n" +
		"shop     shop-web-2  3e23e8160039  unhealthy  172.18.0.4:8080  0          0         12        1m     its health check /?[2Jready?answers 500, not 200-399"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// In any width no line is too long, and service and state are there as long as
// there is room for anything.
func TestTableFitsTheTerminal(t *testing.T) {
	for columns := 1; columns < 200; columns++ {
		for _, colour := range []bool{false, true} {
			s, _ := terminalOf(columns, 24, colour)
			lines := backendTable(s, psBackends(), time.Unix(1090, 0))
			for _, line := range lines {
				if width := utf8.RuneCountInString(escapes.ReplaceAllString(line, "")); width > columns {
					t.Errorf("a line of %d columns in a terminal of %d: %q", width, columns, line)
				}
				if left := escapes.ReplaceAllString(line, ""); strings.ContainsRune(left, 0x1b) || !colour && left != line {
					t.Errorf("the terminal is told something else: %q", line)
				}
			}
			if text := strings.Join(lines, "\n"); columns >= 44 && (!strings.Contains(text, "unhealthy") || !strings.Contains(text, "shop") || !strings.Contains(text, "its health")) {
				t.Errorf("%d columns: what matters is missing:\n%s", columns, text)
			}
		}
	}
	if s, _ := terminalOf(80, 24, true); !strings.Contains(strings.Join(backendTable(s, psBackends(), time.Now()), "\n"), styleGreen+"healthy"+styleEnd) {
		t.Error("healthy is not green")
	}
}

func TestNothingIsColouredThatIsNoTerminal(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, s := range []*screen{newScreen(file), newScreen(&bytes.Buffer{})} {
		if s.terminal() || s.colour || s.columns() != 0 {
			t.Errorf("%+v", s)
		}
	}
}

func TestPageIsNoLongerThanTheTerminal(t *testing.T) {
	s, p := terminalOf(20, 4, false)
	s.page([]string{"1", "2", "3", "4"})
	if got := escapes.ReplaceAllString(p.String(), ""); got != "1\r\n2\r\n3\r\n4" {
		t.Errorf("%q", got)
	}
	s, p = terminalOf(20, 4, false)
	s.page([]string{"1", "2", "3", "4", "5"})
	if got := escapes.ReplaceAllString(p.String(), ""); got != "1\r\n2\r\n3\r\n… and 2 lines more" {
		t.Errorf("%q", got)
	}
}

// watching runs ps --watch against a stand.
func watching(t *testing.T, s *adminStand, w *psWatch) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	go s.admin.Run(ctx)
	w.client = adminClient{addr: strings.TrimPrefix(s.front.URL, "http://")}
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

func TestWatchRedrawsTheTable(t *testing.T) {
	s := newAdminStand(t, hello("web-1", "172.17.0.2"), hello("web-2", "172.17.0.3"))
	screen, p := terminalOf(100, 24, true)
	stop := watching(t, s, &psWatch{screen: screen})
	shows := func(words ...string) func() bool {
		return func() bool {
			pages := strings.Split(p.String(), pageTop)
			last := escapes.ReplaceAllString(pages[len(pages)-1], "")
			for _, word := range words {
				if !strings.Contains(last, word) {
					return false
				}
			}
			return true
		}
	}
	eventually(t, "both are shown", shows("backends 2, 2 healthy", "web-1", "web-2"))
	s.Drain(idOf("web-1"), "it was drained by hand")
	eventually(t, "the drain is shown", shows("backends 2, 1 healthy", "draining", "it was drained by hand"))
	member(t, s.Registry, "web-2").requests.Store(424242)
	eventually(t, "a counter's change is shown", shows("424242"))
	s.registrar.turned = s.admin.watch.EngineTurned
	s.engine.fails(fmt.Errorf("no engine"))
	s.poll()
	eventually(t, "the engine's loss is shown", shows("the engine does not answer", "no engine"))
	if err := stop(); err != nil {
		t.Error(err)
	}
	text := p.String()
	if !strings.HasPrefix(text, enterPage) || !strings.HasSuffix(text, leavePage) || strings.Count(text, enterPage) != 1 {
		t.Errorf("the terminal is not left as it was: %q … %q", text[:20], text[len(text)-20:])
	}
}

func TestWatchOutlivesTheDaemon(t *testing.T) {
	s := newAdminStand(t, hello("web-1", "172.17.0.2"))
	screen, p := terminalOf(100, 24, false)
	stop := watching(t, s, &psWatch{screen: screen})
	eventually(t, "the table is shown", func() bool { return strings.Contains(p.String(), "web-1") })
	s.front.CloseClientConnections()
	eventually(t, "the loss is shown", func() bool { return strings.Contains(p.String(), "trying again") })
	before := strings.Count(p.String(), pageTop)
	eventually(t, "it is there again", func() bool {
		pages := strings.Split(p.String(), pageTop)
		return len(pages) > before+1 && !strings.Contains(pages[len(pages)-1], "trying again")
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestWatchWithoutATerminal(t *testing.T) {
	s := newAdminStand(t, hello("web-1", "172.17.0.2"))
	table, lines := &paper{}, &paper{}
	stops := []func() error{
		watching(t, s, &psWatch{screen: &screen{Writer: table}}),
	}
	w := &psWatch{screen: &screen{Writer: lines}, json: true, client: adminClient{addr: strings.TrimPrefix(s.front.URL, "http://")}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	stops = append(stops, func() error { cancel(); return <-ended })
	told := func(state string) func() bool {
		return func() bool { return strings.Contains(table.String(), state) && strings.Contains(lines.String(), state) }
	}
	eventually(t, "the present version is told", told("healthy"))
	s.Drain(idOf("web-1"), "it was drained by hand")
	eventually(t, "the next is told", told("draining"))
	for _, stop := range stops {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	if text := table.String(); strings.ContainsRune(text, 0x1b) || !strings.Contains(text, "\n\nSERVICE") {
		t.Errorf("the table is %q", text)
	}
	for line := range strings.Lines(lines.String()) {
		var view watchView
		if err := json.Unmarshal([]byte(line), &view); err != nil || len(view.Services) > 1 {
			t.Errorf("%v: %s", err, line)
		}
	}
}

func TestWatchWithoutADaemon(t *testing.T) {
	var out, problem bytes.Buffer
	if code := run(t.Context(), []string{"ps", "--watch", "--admin", closedPort(t)}, &out, &problem); code != 1 || out.Len() > 0 || !strings.Contains(problem.String(), "no rollcall listens on") {
		t.Errorf("code %d, %q, %q", code, &out, &problem)
	}
}
