package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/e2e/lab"
)

// beginAlone is begin for tests that measure time, which others would take.
func beginAlone(t *testing.T) *lab.Engine {
	t.Helper()
	if ground == nil {
		t.Skip("this test drives a real browser: run it with ROLLCALL_E2E=1")
	}
	return ground.Machine()
}

// row is a backend's row in the page.
func row(c *lab.Container) string { return rowOf(c.ID) }

func rowOf(id string) string { return fmt.Sprintf(`.backend[data-container="%s"]`, id) }

// isShown is an expression: a backend's row is there, in a state.
func isShown(c *lab.Container, state string) string {
	return fmt.Sprintf(`document.querySelector('%s:not(.leaving)[data-state="%s"]')`, row(c), state)
}

func TestDashboardFollowsContainers(t *testing.T) {
	engine := beginAlone(t)
	image, other := engine.Image(t, "dashboard", lab.App), engine.Image(t, "dashboard-unused", lab.App)
	rollcall := ground.Serve(t, engine, "--image", image)
	page := openTab(t, rollcall.Admin, 1440, 900)
	service := image[strings.LastIndexByte(image, '/')+1:]

	// From the moment that docker run has returned.
	var containers []*lab.Container
	var known, ready []time.Duration
	for range 3 {
		c := engine.Run(t, image)
		began := time.Now()
		page.await("the page shows a new container", fmt.Sprintf("document.querySelector('%s')", row(c)))
		known = append(known, time.Since(began))
		page.await("it is healthy", isShown(c, "healthy"))
		ready = append(ready, time.Since(began))
		containers = append(containers, c)
	}
	t.Logf("after docker run, a container is in the page after %v and healthy there after %v", known, ready)
	if slices.Sort(known); known[1] > time.Second {
		t.Errorf("in most cases a container is in the page after more than a second: %v", known)
	}
	first, second, third := containers[0], containers[1], containers[2]
	if word := page.text(row(first) + " .state-word"); word != "healthy" {
		t.Errorf("its state is called %q", word)
	}
	if address := page.text(row(first) + " td.address"); address != first.IP(t, "bridge")+":8080" {
		t.Errorf("its address is %q", address)
	}
	if name := page.text(row(first) + " td.container .name"); name != first.Name(t) {
		t.Errorf("it is called %q, want %q", name, first.Name(t))
	}
	if routes := page.text(".service .routes"); !strings.Contains(routes, service+".localhost/") {
		t.Errorf("its service's routes are %q", routes)
	}

	// Requests are seen.
	for range 30 {
		rollcall.Get(t, "/?delay=20ms")
	}
	page.await("the page shows requests per second", fmt.Sprintf("parseFloat(document.querySelector('%s').cells[4].innerText) > 0", row(first)))
	page.await("the page shows latencies", fmt.Sprintf("/^[1-9][0-9]* ms$/.test(document.querySelector('%s').cells[6].innerText)", row(first)))
	page.await("the page draws a line", fmt.Sprintf("document.querySelector('%s .spark-line').getAttribute('d').includes('L')", row(first)))

	drainByButton(t, page, first, rollcall)

	// Stopped ones stay, removed ones go.
	name := second.Name(t)
	second.Stop(t)
	page.await("a stopped container is shown as stopped", isShown(second, "stopped"))
	second.Remove(t)
	page.await("a removed container disappears", fmt.Sprintf("!document.querySelector('%s')", row(second)))
	page.await("the time line tells it", fmt.Sprintf("[...document.querySelectorAll('.event[data-kind=gone]')].some((e) => e.innerText.includes(%q))", name))
	events := ask[string](page, "document.getElementById('events-more').click(), document.getElementById('event-list').innerText")
	for _, word := range []string{"started", "is ready", "is draining", "is stopped", "is gone", "it was drained by hand"} {
		if !strings.Contains(events, word) {
			t.Errorf("no event says %q:\n%s", word, events)
		}
	}

	// Why, by form and by button.
	askWhy(page, service+".localhost")
	if verdict := page.text("#why-answer"); !strings.Contains(verdict, "goes to service "+service) {
		t.Errorf("why %s.localhost: %s", service, verdict)
	}
	page.click(row(third) + " td.actions .plain")
	page.await("the page says why a container is healthy", fmt.Sprintf("document.getElementById('why-answer').innerText.includes(%q)", third.Name(t)+" gets requests"))

	// What is not used, and what to do about it.
	unused := engine.Run(t, other)
	item := fmt.Sprintf(`#containers li[data-container="%s"]`, unused.ID)
	page.await("the page shows a container that is not used", fmt.Sprintf(`(document.getElementById('containers-more').innerText.startsWith('Show all') && document.getElementById('containers-more').click(), document.querySelector('%s'))`, item))
	if text := page.text(item); !strings.Contains(text, "matches no --image") || !strings.Contains(text, "give it a label such as rollcall.host=") {
		t.Errorf("of a container that is not used it says %q", text)
	}
}

// drainByButton drains a container and puts it back, each after a question.
func drainByButton(t *testing.T, page *tab, c *lab.Container, rollcall *lab.Rollcall) {
	t.Helper()
	button := row(c) + " td.actions .button:not(.plain)"
	page.click(button)
	if focused := ask[string](page, "document.activeElement.id"); focused != "drain-cancel" {
		t.Errorf("in the dialog, the focus is on %q", focused)
	}
	if text := page.text("#drain"); !strings.Contains(text, "Drain "+c.Name(t)+"?") || !strings.Contains(text, "2 healthy backends") {
		t.Errorf("the question is %q", text)
	}
	page.click("#drain-cancel")
	if open := ask[bool](page, "document.getElementById('drain').open"); open || rollcall.Backends(t, c)[0].State != "healthy" {
		t.Errorf("after no: the dialog is open: %t, the container is %s", open, rollcall.Backends(t, c)[0].State)
	}
	page.click(button)
	page.click("#drain-confirm")
	page.await("a drained container is shown as draining", isShown(c, "draining"))
	if now := rollcall.Backends(t, c)[0].State; now != "draining" {
		t.Errorf("rollcall says that it is %s", now)
	}
	if grey := ask[bool](page, fmt.Sprintf("getComputedStyle(document.querySelector('%s td.container')).color !== getComputedStyle(document.body).color", row(c))); !grey {
		t.Error("a draining backend looks like the others")
	}
	page.await("what changed is told to screen readers", fmt.Sprintf("document.getElementById('announcer').textContent.includes(%q)", c.Name(t)))
	page.await("it can be put back", fmt.Sprintf("document.querySelector('%s').innerText === 'Put back'", button))
	page.click(button)
	page.click("#drain-confirm")
	page.await("it is healthy again", isShown(c, "healthy"))
}

// askWhy asks by the form and waits for the answer.
func askWhy(page *tab, target string) {
	page.t.Helper()
	ask[bool](page, fmt.Sprintf("document.getElementById('why-target').value = %q, document.getElementById('why-form').requestSubmit(), true", target))
	page.await("there is an answer", "document.querySelector('#why-answer[aria-busy=false] .verdict')")
}

// Nobody is to take old figures for new ones.
func TestDashboardSaysWhenItIsOutOfDate(t *testing.T) {
	begin(t)
	s := newScene(t)
	engine, rollcall := s.engine, s.rollcall
	id := s.runs("only", time.Millisecond, 0)
	page := openTab(t, rollcall.Admin, 1440, 900)
	page.await("the page shows the container", fmt.Sprintf("document.querySelector('%s')", rowOf(id)))
	page.await("the engine is well", "document.getElementById('engine').dataset.state === 'good' && document.getElementById('engine-banner').hidden")

	// A poll that hangs is no failure yet, and what is shown gets old all the same.
	engine.HangLists(-1)
	page.await("the page says that the last poll is old", "!document.getElementById('engine-banner').hidden")
	engine.Heal()
	page.await("the engine is well again", "document.getElementById('engine-banner').hidden")

	engine.Down()
	page.await("the page says that the engine does not answer", "!document.getElementById('engine-banner').hidden")
	if text := page.text("#engine-banner"); !strings.Contains(text, "does not answer") || !strings.Contains(text, "Last good poll") || !strings.Contains(text, engine.Host()) {
		t.Errorf("it says %q", text)
	}
	if still := ask[bool](page, fmt.Sprintf("Boolean(document.querySelector('%s'))", rowOf(id))); !still {
		t.Error("the backend is not shown any more")
	}
	page.await("the time line tells it", "document.querySelector('.event[data-kind=engine-lost]')")
	engine.Up()
	page.await("the page says that it is back", "document.getElementById('engine-banner').hidden && document.querySelector('.event[data-kind=engine-back]')")

	page.expect("ERR_CONNECTION_REFUSED")
	page.expect("ERR_INCOMPLETE_CHUNKED_ENCODING")
	page.expect("ERR_CONNECTION_RESET")
	rollcall.Signal(t, syscall.SIGKILL)
	page.await("the page says that rollcall is lost", "!document.getElementById('connection-banner').hidden")
	if text := page.text("#connection-banner"); !strings.Contains(text, "connection to rollcall is lost") || !strings.Contains(text, "trying again") {
		t.Errorf("it says %q", text)
	}
	s.serve("--admin", strings.TrimPrefix(rollcall.Admin, "http://"))
	page.await("the page is connected again", "document.getElementById('connection-banner').hidden && !document.body.classList.contains('stale')")
	later := s.runs("later", time.Millisecond, 0)
	page.await("it goes on as before", fmt.Sprintf("document.querySelector('%s')", rowOf(later)))
}

// A file that does not come, for whatever reason, does not leave half a page.
func TestDashboardIsLoadedAnewIfAPartIsMissing(t *testing.T) {
	begin(t)
	s := newScene(t)
	id := s.runs("only", time.Millisecond, 0)
	admin, err := url.Parse(s.rollcall.Admin)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(admin)
	var asked atomic.Int32
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/dashboard/tally.js" && asked.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	page := openTab(t, front.URL, 1440, 900)
	page.expect("503")
	page.await("the page is whole", fmt.Sprintf("document.querySelector('%s')", rowOf(id)))
	if n := asked.Load(); n != 2 {
		t.Errorf("the file was asked for %d times, want 2", n)
	}
}

// Without any container the page is not empty: it says what to do.
func TestDashboardWithoutBackends(t *testing.T) {
	begin(t)
	s := newScene(t)
	page := openTab(t, s.rollcall.Admin, 375, 812)
	page.await("it says that there is nothing", "!document.getElementById('empty').hidden && document.getElementById('loading').hidden")
	page.await("it says that there are no containers", "document.getElementById('containers-blank').innerText.includes('lists no container')")
	checkLayout(page)
	checkAccess(page)
	page.prefer("prefers-reduced-motion", "reduce")
	if text := page.text("#empty"); !strings.Contains(text, "docker run -d -P hello") {
		t.Errorf("it says %q", text)
	}
	id := s.runs("first", time.Millisecond, 0)
	page.await("the first one appears", fmt.Sprintf("document.getElementById('empty').hidden && document.querySelector('%s')", rowOf(id)))
	later := s.runs("second", time.Millisecond, 0)
	page.await("a second one appears", fmt.Sprintf("document.querySelector('%s')", rowOf(later)))
	if moving := ask[int](page, "document.getAnimations().length"); moving > 0 {
		t.Errorf("%d things move for somebody who does not want that", moving)
	}
}
