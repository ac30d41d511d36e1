package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/docker/dockertest"
)

// How the page looks, at each width and in both schemes. With
// ROLLCALL_SCREENSHOTS=docs it takes the documentation's pictures.
func TestDashboardLooks(t *testing.T) {
	begin(t)
	s := newScene(t)
	page := openTab(t, s.rollcall.Admin, 1440, 1000)
	s.opens()
	s.asks("shop.example.com", "/", 15*time.Millisecond)
	s.asks("shop.example.com", "/api/items", 30*time.Millisecond)
	s.asks("shop.example.com", "/api/items", 45*time.Millisecond)
	s.asks("cart.shop.example.com", "/", 110*time.Millisecond)
	s.asks("search.shop.example.com", "/", 200*time.Millisecond)
	page.await("each state is there", `['healthy', 'starting', 'unhealthy', 'draining', 'paused'].every((state) => document.querySelector('.backend[data-state=' + state + ']'))`)
	page.await("figures are there", "document.querySelectorAll('td.number:nth-child(8)').length === 11 && [...document.querySelectorAll('.service')].some((s) => / ms/.test(s.querySelector('.figures').innerText))")
	page.await("nothing is new any more", "!document.querySelector('.arriving')")

	if dir := screenshots(t); dir != "" {
		// Lines are of the last minutes.
		for points := 10; points <= 30; points += 10 {
			page.await("the lines are long enough", fmt.Sprintf("document.querySelector('.service .spark-line').getAttribute('d').split('L').length > %d", points))
		}
		askWhy(page, "shpo.example.com")
		page.save(filepath.Join(dir, "dashboard-light.png"))
		page.prefer("prefers-color-scheme", "dark")
		page.save(filepath.Join(dir, "dashboard-dark.png"))
		page.prefer("prefers-color-scheme", "light")
		page.resize(375, 1000)
		page.await("the page is narrow", "innerWidth === 375")
		page.save(filepath.Join(dir, "dashboard-narrow.png"))
	}
	askWhy(page, "shop-mail-1")

	for _, scheme := range []string{"light", "dark"} {
		page.prefer("prefers-color-scheme", scheme)
		light := ask[bool](page, "getComputedStyle(document.documentElement).backgroundColor.match(/[0-9]+/)[0] > 128")
		if light != (scheme == "light") {
			t.Errorf("in the scheme %s the page is light: %t", scheme, light)
		}
		for _, width := range []int64{1440, 1240, 1024, 700, 375, 320} {
			page.resize(width, 900)
			page.await("the page has its width", fmt.Sprintf("innerWidth === %d", width))
			t.Run(fmt.Sprintf("%s at %d", scheme, width), func(t *testing.T) {
				page := &tab{t: t, ctx: page.ctx}
				checkLayout(page)
				checkAccess(page)
			})
		}
	}
	page.resize(1440, 900)
	checkKeyboard(page)
	checkDialog(t, page)
}

// checkDialog checks that the question holds the focus, ends with escape, and gives
// the focus back.
func checkDialog(t *testing.T, page *tab) {
	t.Helper()
	ask[bool](page, "globalThis.drainer = document.querySelector('.backend[data-state=healthy] td.actions .button'), drainer.focus(), true")
	page.press("Enter")
	page.await("the dialog is open", "document.getElementById('drain').matches(':modal')")
	checkLayout(page)
	for range 4 {
		page.press("Tab")
		// The browser's own controls are the only other place.
		if out := ask[bool](page, "document.activeElement !== document.body && !document.activeElement.closest('dialog')"); out {
			t.Error("the focus leaves the open dialog")
		}
	}
	page.press("Escape")
	page.await("escape closes it", "!document.getElementById('drain').open")
	if back := ask[bool](page, "document.activeElement === drainer"); !back {
		t.Error("after the dialog, the focus is not where it was")
	}
}

// Names and labels come from whoever starts a container.
func TestDashboardIsNotFooledByNames(t *testing.T) {
	begin(t)
	const (
		image  = `<svg onload=globalThis.hacked=1>`
		name   = `<img src=x onerror=globalThis.hacked=2>`
		host   = `<script>globalThis.hacked=3</script>`
		value  = `"><iframe srcdoc="<script>parent.hacked=4</script>">`
		inject = "javascript:globalThis.hacked=5"
	)
	long := strings.Repeat("a-very-long-name-", 12)
	s := newScene(t)
	page := openTab(t, s.rollcall.Admin, 1440, 900)
	used := s.runs(name, time.Millisecond, 0, label("host", host+","+inject+",fine.example.com,"+long+".example.com"), label("sticky", value), label("service", value), label(value, value))
	s.runs(long, time.Millisecond, 0, label("service", long[:60]), label("host", long[:60]+".example.com"), label("path", "/"+long))
	unused := s.engine.Add(dockertest.Name(name+"2"), dockertest.Image(image))
	page.await("the container is shown", fmt.Sprintf("document.querySelector('%s[data-state=healthy]')", rowOf(used)))
	page.await("what is not used is shown", fmt.Sprintf(`document.querySelector('#containers li[data-container="%s"]')`, unused))
	askWhy(page, name)
	askWhy(page, host)
	page.click(rowOf(used) + " td.actions .button")
	s.engine.Stop(used)
	page.await("its end is shown behind the dialog", fmt.Sprintf("document.querySelector('%s[data-state=stopped]')", rowOf(used)))
	page.await("the event is shown", fmt.Sprintf("document.getElementById('event-list').textContent.includes(%q)", name))

	texts := ask[string](page, "document.body.textContent")
	for what, text := range map[string]string{"image": image, "name": name, "host": host, "label's value": value, "address that is a script": inject} {
		if !strings.Contains(texts, text) {
			t.Errorf("the %s is not shown as it is: %s", what, text)
		}
	}
	// The page has none of these itself, but for its own script.
	if made := ask[[]string](page, "[...document.querySelectorAll('img, iframe, object, embed, body script, svg *:not(path), [onload], [onerror], [href^=javascript]')].map((e) => e.outerHTML)"); len(made) > 0 {
		t.Errorf("names have become elements: %q", made)
	}
	if hacked := ask[bool](page, "'hacked' in globalThis"); hacked {
		t.Error("a name has run as a script")
	}
	page.click("#drain-cancel")
	for _, width := range []int64{1440, 1024, 700, 375} {
		page.resize(width, 900)
		page.await("the page has its width", fmt.Sprintf("innerWidth === %d", width))
		checkLayout(page)
		checkAccess(page)
	}
}

// The page's policy is in force: what it forbids is refused, and told.
func TestDashboardPolicyHolds(t *testing.T) {
	begin(t)
	s := newScene(t)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the page was led to ask another: %s", r.URL)
	}))
	defer other.Close()
	page := openTab(t, s.rollcall.Admin, 1440, 900)
	page.await("the page works", "!document.getElementById('empty').hidden")
	address, _ := json.Marshal(other.URL)
	refused := ask[[]string](page, fmt.Sprintf(`(async () => {
		const refused = [];
		try { document.body.innerHTML = '<b>bold</b>'; } catch (e) { refused.push('markup'); }
		try { const script = document.createElement('script'); script.text = 'globalThis.hacked = 1'; document.body.append(script); } catch (e) { refused.push('script'); }
		try { await fetch(%s); } catch (e) { refused.push('fetch'); }
		await new Promise((resolve) => { const image = new Image(); image.onerror = () => { refused.push('image'); resolve(); }; image.onload = resolve; image.src = %s; });
		return refused;
	})()`, address, address))
	if got := strings.Join(refused, " "); got != "markup script fetch image" {
		t.Errorf("refused were only %q", got)
	}
	// These were on purpose.
	if breaches := ask[int](page, "breaches.splice(0).length"); breaches < 4 {
		t.Errorf("%d breaches were told", breaches)
	}
	page.expect("")
}
