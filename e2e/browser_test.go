package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"rollcall/e2e/lab"
)

// tab is a page in a headless Chromium. What the browser says on its console
// fails the test: an error of a script, a file that is missing, a breach of the
// page's policy.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex // guards the following fields
	said     []string   // errors and warnings
	expected []string   // what some of them contain
}

// beforeScripts runs in each page before its own scripts.
const beforeScripts = `
	globalThis.breaches = [];
	document.addEventListener('securitypolicyviolation', (e) => breaches.push(e.violatedDirective + ' ' + e.blockedURI));
	globalThis.updates = [];
	new PerformanceObserver((list) => updates.push(...list.getEntries().map(({ name, duration }) => ({ name, duration }))))
		.observe({ entryTypes: ['measure', 'long-animation-frame'] });`

// openTab starts a browser and opens a page.
func openTab(t *testing.T, url string, width, height int64) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.Flag("lang", "en"), chromedp.Flag("hide-scrollbars", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it needs another user than root
	}
	allocator, end := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	// Other tests make networks meanwhile; the page has to cope with that.
	p := &tab{t: t, ctx: ctx, expected: []string{"ERR_NETWORK_CHANGED"}}
	t.Cleanup(func() {
		if t.Failed() {
			picture := filepath.Join(os.TempDir(), "rollcall-"+strings.ReplaceAll(t.Name(), "/", "-")+".png")
			p.save(picture)
			t.Logf("what the browser shows is in %s", picture)
		}
		p.checkConsole()
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("the browser's end: %v", err)
		}
		cancel()
		end()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("Chromium can't be started (it is in Debian's package chromium): %v", err)
	}
	go p.listen()
	command(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: beforeScripts})
	p.resize(width, height)
	p.do(chromedp.Navigate(url))
	return p
}

func (p *tab) listen() {
	harmless := []chromedp.ConsoleType{chromedp.ConsoleLog, chromedp.ConsoleDebug, chromedp.ConsoleInfo}
	for message, err := range chromedp.Console(p.ctx) {
		if err != nil {
			return
		}
		if !slices.Contains(harmless, message.Type) {
			p.mu.Lock()
			p.said = append(p.said, fmt.Sprintf("%s (%s line %d)", message, message.URL, message.Line))
			p.mu.Unlock()
		}
	}
}

// expect lets the console say what contains a text.
func (p *tab) expect(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = append(p.expected, text)
}

func (p *tab) checkConsole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, said := range p.said {
		if !slices.ContainsFunc(p.expected, func(text string) bool { return strings.Contains(said, text) }) {
			p.t.Errorf("the browser says: %s", said)
		}
	}
	if breaches, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]string]("globalThis.breaches ?? []")); err == nil && len(breaches) > 0 {
		p.t.Errorf("the page breaks its policy: %q", breaches)
	}
}

// command runs a command of the browser's protocol.
func command[P, R any](p *tab, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	result, err := chromedp.Call(p.ctx, command, params)
	if err != nil {
		p.t.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// ask evaluates an expression in the page, and waits for it if it is a promise.
func ask[T any](p *tab, expression string) T {
	p.t.Helper()
	value, err := tryAsk[T](p, expression)
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

func tryAsk[T any](p *tab, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, lab.Patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, lab.Patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%v", err)
	}
}

// await waits until an expression is true, looking at each frame; also while
// another page is loaded in the place of this one.
func (p *tab) await(what, expression string) {
	p.t.Helper()
	const patience = lab.Patience / 2
	end := time.Now().Add(patience)
	for {
		held, err := tryAsk[bool](p, fmt.Sprintf(`new Promise((resolve) => {
			const end = performance.now() + %d;
			const look = () => {
				if (%s) resolve(true);
				else if (performance.now() > end) resolve(false);
				else requestAnimationFrame(look);
			};
			look();
		})`, max(0, time.Until(end).Milliseconds()), expression))
		if held {
			return
		}
		if err == nil {
			p.t.Fatalf("waited in vain until %s (%s); the page says:\n%s", what, expression, ask[string](p, "document.body.innerText"))
		}
		if time.Now().After(end) {
			p.t.Fatalf("waited in vain until %s: %s: %v", what, expression, err)
		}
	}
}

// click clicks on what a selector finds, as a mouse does.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// press presses a key: "Enter", "Tab", "Escape".
func (p *tab) press(key string) {
	p.t.Helper()
	keys := map[string]string{"Enter": kb.Enter, "Tab": kb.Tab, "Escape": kb.Escape}
	p.do(chromedp.KeyEvent(keys[key]))
}

// text is what an element says.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return ask[string](p, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

// resize makes the page so wide and high; a narrow one is a telephone's.
func (p *tab) resize(width, height int64) {
	p.t.Helper()
	var options []chromedp.EmulateViewportOption
	if width < 500 {
		options = append(options, chromedp.EmulateMobile)
	}
	p.do(chromedp.EmulateViewport(width, height, options...))
}

// prefer sets what the page learns of a person's preferences:
// "prefers-color-scheme", "dark".
func (p *tab) prefer(feature, value string) {
	p.t.Helper()
	command(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: feature, Value: value}},
	})
}

// save writes a picture of what is to be seen.
func (p *tab) save(path string) {
	p.t.Helper()
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(path, picture, 0o644)
	}
	if err != nil {
		p.t.Errorf("a picture of the page: %v", err)
	}
}

// spoken is what a screen reader is given: role and name of each node.
func (p *tab) spoken() [][2]string {
	p.t.Helper()
	var nodes [][2]string
	for _, node := range command(p, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		if node.Ignored || node.Role == nil {
			continue
		}
		name := ""
		if node.Name != nil {
			name = strings.Trim(string(node.Name.Value), `"`)
		}
		nodes = append(nodes, [2]string{strings.Trim(string(node.Role.Value), `"`), name})
	}
	return nodes
}
