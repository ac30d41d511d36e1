package e2e

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// With a token, and at an address that browsers trust less than this machine's own:
// they tell the other side less about their requests there.
func TestDashboardBehindAToken(t *testing.T) {
	begin(t)
	const token = "open-sesame-please"
	s := newScene(t, "--admin", net.JoinHostPort(ownAddress(t), "0"), "--admin-token", token)
	id := s.runs("only", time.Millisecond, 0)

	page := openTab(t, s.rollcall.Admin, 1440, 900)
	page.expect("401")
	login := func() {
		page.await("it asks for the token", "document.getElementById('token')")
		page.do(chromedp.SendKeys(chromedp.CSS("#token"), token))
		page.press("Enter")
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

// ownAddress is an IPv4 address of this machine that is not loopback: with an engine
// there is the bridge's at least.
func ownAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		if network, ok := addr.(*net.IPNet); ok && network.IP.To4() != nil && !network.IP.IsLoopback() {
			return network.IP.String()
		}
	}
	t.Fatalf("this machine has no address but loopback: %v", addrs)
	return ""
}
