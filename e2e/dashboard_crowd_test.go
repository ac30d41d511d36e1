package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"rollcall/internal/docker/dockertest"
)

// The page stays usable with 200 services of 10 backends each: what is the same as
// before is left alone, and an update is shorter than a blink.
func TestDashboardWithACrowd(t *testing.T) {
	beginAlone(t)
	const services, each = 200, 10
	s := newScene(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	t.Cleanup(server.Close)
	var ids []string
	for i := range services {
		name := fmt.Sprintf("service-%03d", i)
		for j := range each {
			ids = append(ids, s.engine.Add(dockertest.Name(fmt.Sprintf("%s-%d", name, j)), dockertest.Image("app"), published(server.URL), label("service", name)))
		}
	}
	page := openTab(t, s.rollcall.Admin, 1440, 900)
	page.await("all are healthy", fmt.Sprintf("document.querySelector('.state-toggle[data-state=healthy]').innerText.startsWith('%d,000')", services*each/1000))
	for i := range 5 {
		s.asks(fmt.Sprintf("service-%03d.localhost", i), "/", 20*time.Millisecond)
	}
	if folded := ask[int](page, "document.querySelectorAll('.backend').length"); folded != 0 {
		t.Errorf("%d backends are unfolded at the beginning", folded)
	}
	measure(t, page, s, ids, "folded")

	began := time.Now()
	page.click("#unfold")
	page.await("all are unfolded", fmt.Sprintf("document.querySelectorAll('.backend').length === %d", services*each))
	t.Logf("unfolding %d backends takes %v", services*each, time.Since(began))
	// Who is changed is the same element as before, and so are all others.
	ask[bool](page, "document.querySelectorAll('.backend').forEach((row) => { row.before = true; }), true")
	measure(t, page, s, ids, "unfolded")
	if kept := ask[int](page, "[...document.querySelectorAll('.backend')].filter((row) => row.before).length"); kept != services*each {
		t.Errorf("%d of %d rows are still those of before", kept, services*each)
	}

	// Filter and order.
	filter(page, "service-123")
	page.await("one service is shown", "[...document.querySelectorAll('.service')].filter((s) => s.checkVisibility()).length === 1")
	filter(page, "service-123-7")
	page.await("one backend is shown", "[...document.querySelectorAll('.backend')].filter((s) => s.checkVisibility()).length === 1")
	filter(page, "nobody is called so")
	page.await("the page says that nothing matches", "!document.getElementById('no-match').hidden")
	page.click("#clear")
	s.engine.Pause(ids[1234])
	page.await("one is paused", "document.querySelector('.state-toggle[data-state=paused]').innerText.startsWith('1')")
	page.click(".state-toggle[data-state=paused]")
	page.await("only that one is shown", "[...document.querySelectorAll('.backend')].filter((s) => s.checkVisibility()).length === 1")
	page.click(".state-toggle[data-state=paused]")
	ask[bool](page, "document.getElementById('sort').value = 'trouble', document.getElementById('sort').dispatchEvent(new Event('change')), true")
	page.await("trouble comes first", "document.querySelector('.service .service-name').innerText === 'service-123'")
	ask[bool](page, "document.getElementById('sort').value = 'rate', document.getElementById('sort').dispatchEvent(new Event('change')), true")
	page.await("those with requests come first", "/^service-00[0-4]$/.test(document.querySelector('.service .service-name').innerText)")
}

func filter(page *tab, text string) {
	page.t.Helper()
	ask[bool](page, fmt.Sprintf("document.getElementById('filter').value = %q, document.getElementById('filter').dispatchEvent(new Event('input')), true", text))
}

// measure lets a backend change ten times and tells how long the page's updates
// take: from the data to the changed elements.
func measure(t *testing.T, page *tab, s *scene, ids []string, how string) {
	t.Helper()
	ask[int](page, "updates.splice(0).length")
	const changes = 10
	for i := range changes {
		id := ids[(i*397)%len(ids)]
		s.engine.Pause(id)
		page.await("the change is shown", "document.querySelector('.state-toggle[data-state=paused]').innerText.startsWith('1')")
		s.engine.Unpause(id)
		page.await("it is undone", "document.querySelector('.state-toggle[data-state=paused]').innerText.startsWith('0')")
	}
	page.await("some answers of traffic", "updates.filter((u) => u.name === 'traffic').length >= 3")
	type update struct {
		Name     string
		Duration float64 // milliseconds
	}
	durations := map[string][]float64{}
	for _, u := range ask[[]update](page, "updates") {
		durations[u.Name] = append(durations[u.Name], u.Duration)
	}
	// Frames of 50 ms and more, with all that the browser does for one.
	if frames := durations["long-animation-frame"]; len(frames) > 0 {
		t.Logf("%s: %d frames took long, the longest %.0f ms", how, len(frames), slices.Max(frames))
	} else {
		t.Logf("%s: no frame took as long as 50 ms", how)
	}
	for _, name := range []string{"snapshot", "traffic"} {
		all := durations[name]
		slices.Sort(all)
		if len(all) < 3 {
			t.Fatalf("only %d updates of %s were measured", len(all), name)
		}
		median := all[len(all)/2]
		t.Logf("%s: an update of %s takes %.1f ms in the middle of %d, %.1f ms at most", how, name, median, len(all), all[len(all)-1])
		if median > 100 {
			t.Errorf("%s: an update of %s takes %.1f ms: who types notices that", how, name, median)
		}
	}
}
