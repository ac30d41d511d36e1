package e2e

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"rollcall/e2e/lab"
)

// With a token, and at an address that browsers trust less than this machine's own:
// they tell the other side less about their requests there.
func TestDashboardBehindAToken(t *testing.T) {
	machine := begin(t)
	bridge := machine.Docker(t, "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", "bridge")
	const token = "open-sesame-please"
	s := newScene(t, "--admin", bridge+":0", "--admin-token", token)
	id := s.runs("only", time.Millisecond, 0)

	page := openTab(t, s.rollcall.Admin, 1440, 900)
	page.expect("401")
	login := func() {
		page.await("it asks for the token", "document.getElementById('token')")
		page.do(chromedp.SendKeys(chromedp.CSS("#token"), token))
		ctx, cancel := context.WithTimeout(page.ctx, lab.Patience)
		defer cancel()
		if _, err := chromedp.RunResponse(ctx, chromedp.KeyEvent(kb.Enter)); err != nil {
			t.Fatalf("after the token: %v", err)
		}
		page.await("the page shows the container", fmt.Sprintf("document.querySelector('%s[data-state=healthy]')", rowOf(id)))
	}
	login()
	page.click(rowOf(id) + " td.actions .button")
	page.click("#drain-confirm")
	page.await("it is drained", fmt.Sprintf("document.querySelector('%s[data-state=draining]')", rowOf(id)))

	// Another process knows nothing of the login.
	page.expect("ERR_")
	s.rollcall.Signal(t, syscall.SIGKILL)
	<-s.rollcall.Ended()
	s.serve("--admin", strings.TrimPrefix(s.rollcall.Admin, "http://"), "--admin-token", token)
	page.await("the page says that one has to log in again", "document.getElementById('connection-banner').innerText.includes('log in again')")
	page.do(chromedp.Reload())
	login()
}
