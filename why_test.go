package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// explained explains what a registry with these entries, all connected, would do.
func explained(t *testing.T, target string, entries ...Entry) *Explanation {
	t.Helper()
	r := NewRegistry(quiet(), time.Minute)
	r.Replace(engineA, entries)
	connectAll(r)
	return (&Explainer{r.Snapshot(), &Roll{At: time.Now()}}).Explain(target)
}

func TestNearlyMatchingRoutes(t *testing.T) {
	entries := []Entry{
		backendOf("shop", "shop-1", hosts("shop.example.com"), paths("/cart,/pay")),
		backendOf("wild", "wild-1", hosts("*.example.com")),
		backendOf("cart", "cart-1", hosts("cart.example.org"), paths("/cart"), engineSays(EngineStopped)),
		backendOf("any", "any-1", hosts("*"), func(e *Entry) { e.Priority = -1 }),
	}
	for _, c := range []struct {
		target, route string
		details       []string // each a part of one; no other route is told of
	}{
		{"http://SHOP.example.com:3000/cart/1?x=y", "shop.example.com/cart", []string{
			"matches, but has the priority -1 and not 0: */ goes to service any",
			"nearly, the same path on another host: cart.example.org/cart goes to service cart, which has no usable backend",
			"nearly, the same host with another path: shop.example.com/pay goes to service shop",
			"matches, but is less specific: *.example.com/ goes to service wild",
		}},
		{"blog.example.com", "*.example.com/", []string{"matches, but has the priority -1"}},
		{"example.net/%63art", "*/", []string{
			"nearly, the same path on another host: cart.example.org/cart",
			"nearly, the same path on another host: shop.example.com/cart",
		}},
	} {
		t.Run(c.target, func(t *testing.T) {
			x := explained(t, c.target, entries...)
			if !x.Good || x.Route != c.route {
				t.Fatalf("route %q, %s", x.Route, x.Verdict)
			}
			var near []string
			for _, detail := range x.Details {
				if strings.HasPrefix(detail, "nearly") || strings.HasPrefix(detail, "matches") {
					near = append(near, detail)
				}
			}
			if len(near) != len(c.details) {
				t.Errorf("it tells of %d routes:\n%s", len(near), strings.Join(near, "\n"))
			}
			for _, part := range c.details {
				if !slices.ContainsFunc(near, func(detail string) bool { return strings.Contains(detail, part) }) {
					t.Errorf("nothing says %q:\n%s", part, strings.Join(near, "\n"))
				}
			}
		})
	}
}

// Where neither chance nor the request decides, the backend that is named is the
// one that gets the next request.
func TestNextBackendIsTheNext(t *testing.T) {
	s := newStand(t, time.Second)
	s.serves(s.runs("web", "web-1", says("web-1")), s.runs("web", "web-2", says("web-2"), func(e *Entry) { e.Weight = 2 }), s.runs("web", "web-3", says("web-3")))
	for range 9 {
		x := (&Explainer{s.registry.Snapshot(), &Roll{At: time.Now()}}).Explain("web.localhost")
		if _, body := s.ask("GET", "/", "web.localhost", ""); body != x.Backend || body == "" {
			t.Errorf("%s answered; %s", body, x.Verdict)
		}
	}
	s.serves(s.runs("web", "web-1", says("web-1"), balancedBy("hash:ip")), s.runs("web", "web-2", says("web-2"), balancedBy("hash:ip")))
	x := (&Explainer{s.registry.Snapshot(), &Roll{At: time.Now()}}).Explain("web.localhost")
	if x.Backend != "" || !strings.Contains(x.Verdict, "one of 2 backends, as hash:ip chooses") {
		t.Errorf("%s (%s)", x.Verdict, x.Backend)
	}
}

func balancedBy(name string) entryOption { return func(e *Entry) { e.Balance = name } }

func TestAmbiguousContainer(t *testing.T) {
	e := Explainer{&Snapshot{}, &Roll{At: time.Now(), Verdicts: []Verdict{
		{ContainerID: "abcdef01", Name: "web-1", Reason: "not used: x"}, {ContainerID: "abcdef02", Name: "web-2", Reason: "not used: y"},
	}}}
	if x := e.Explain("abcdef"); x.Verdict != `"abcdef" is the beginning of more than one container's ID: web-1, web-2` {
		t.Error(x.Verdict)
	}
	for _, word := range []string{"abcdef02", "web-2", "/web-2"} {
		if x := e.Explain(word); x.Verdict != "web-2 is not used: y" {
			t.Errorf("%s: %s", word, x.Verdict)
		}
	}
	for _, word := range []string{"", "/", "http://", "/cart/x"} {
		if x := e.Explain(word); x.Good || !strings.Contains(x.Verdict, "is neither a URL nor a host nor a container") {
			t.Errorf("%q: %s", word, x.Verdict)
		}
	}
}

// What a label says can't move the cursor of who reads it.
func TestExplanationsAreText(t *testing.T) {
	var out strings.Builder
	v := judge(hello("web", "172.17.0.2", label("rollcall.host", "\x1b[2J\r\nall is well")))
	(&Explanation{Verdict: v.Warnings[0].Text, Advice: v.Warnings[0].Text, Details: sentences(v.Warnings)}).print(&out)
	r := newReport("unix:///x", []Verdict{v})
	r.conclude()
	r.print(&out)
	if strings.ContainsAny(out.String(), "\x1b\r") || strings.Contains(out.String(), "\nall is well") {
		t.Errorf("%q", out.String())
	}
}

// At debug level, a request that gets an answer of rollcall's own is logged with
// the reason; at any other level nobody looks for one.
func TestRefusedRequestIsLoggedWithItsReason(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		t.Run(level.String(), func(t *testing.T) {
			log, book := logToBook(t, level)
			registry := NewRegistry(quiet(), time.Minute)
			proxy := NewProxy(registry, 0, ForwardedRules{}, log)
			silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
			defer silent.Close()
			asked := 0
			proxy.explain = func(host, path string) string {
				asked++
				return (&Explainer{registry.Snapshot(), &Roll{At: time.Now()}}).ExplainRequest(host, path).Verdict
			}
			get := func(host, path string) {
				request := httptest.NewRequest("GET", path, nil)
				request.Host = host
				proxy.ServeHTTP(httptest.NewRecorder(), request)
			}
			get("shop.example.com", "/empty")
			registry.Replace(engineA, []Entry{
				backendOf("shop", "shop-1", hosts("shop.example.com"), paths("/cart"), engineSays(EngineStopped)),
				backendOf("dead", "dead-1", hosts("dead.example.com"), at(closedPort(t))),
				backendOf("slow", "slow-1", hosts("slow.example.com"), at(silent.Listener.Addr().String()), answersWithin(time.Millisecond)),
			})
			connectAll(registry)
			get("shop.example.com:3000", "/admin")
			get("shop.example.com", "/cart/1")
			get("dead.example.com", "/")
			get("slow.example.com", "/")
			want := [][]string{
				{"status=503", `service=""`, "path=/empty", "the engine has no container"},
				{"status=404", "rollcall_error=no-route", "path=/admin", "shop.example.com has routes only for /cart"},
				{"status=503", "service=shop", "path=/cart/1", "shop-1 is stopped: the container does not run"},
				{"status=502", "service=dead", "connection refused"},
				{"status=504", "service=slow", "error=", "why=\"slow.example.com/ goes to service slow"},
			}
			if level != slog.LevelDebug {
				if asked > 0 || book.String() != "" {
					t.Errorf("it looked for %d reasons, and logged\n%s", asked, book)
				}
				return
			}
			for _, words := range want {
				if n := book.count(append(words, "request refused")...); n != 1 {
					t.Errorf("%d lines say %q:\n%s", n, words, book)
				}
			}
		})
	}
}

// Two services on one route, and containers that differ, are logged when that
// begins, not at each change of something else.
func TestDisputesAreLoggedOnce(t *testing.T) {
	log, book := logToBook(t, slog.LevelInfo)
	r := NewRegistry(log, time.Minute)
	roll := []Entry{
		backendOf("blog", "blog-1", hosts("shop.example.com"), created(1)),
		backendOf("shop", "shop-1", hosts("shop.example.com"), created(2)),
		backendOf("web", "web-1", hosts("old.example.com"), created(1)),
		backendOf("web", "web-2", hosts("new.example.com"), created(2)),
		backendOf("hello", "hello-1", catchAll(), created(1)),
		backendOf("hullo", "hullo-1", catchAll(), created(2)),
	}
	r.Replace(engineA, roll)
	connectAll(r)
	r.Replace(engineA, append(roll, backendOf("other", "other-1")))
	connectAll(r)
	for _, words := range [][]string{
		{"level=WARN", "services blog and shop both claim shop.example.com/", "service=shop"},
		{"level=WARN", "containers web-2 and web-1 of service web differ in host", "service=web"},
	} {
		if n := book.count(words...); n != 1 {
			t.Errorf("%d lines say %q", n, words)
		}
	}
	if n := book.count("level=WARN"); n != 2 {
		t.Errorf("there are %d warnings:\n%s", n, book)
	}
}

// What rollcall makes of each container can be read by programs: how it was
// chosen, what was tried, and what came of it.
func TestContainersTellHowTheyAreReached(t *testing.T) {
	b := newBroken(t, `container web
  exposes 8080
  network bridge 172.17.0.2
  network far 10.9.0.2
  published 0.0.0.0:32768->8080
  label rollcall.host=shop.example.com
  label rollcall.prot=1
container db
  image postgres
refuses 172.17.0.2:8080
refuses 127.0.0.1:32768`)
	admin := NewAdmin(b.registry, b.registrar, NewMetrics(b.registry, NewProxy(b.registry, 0, ForwardedRules{}, quiet()), b.registrar.Roll))
	response := httptest.NewRecorder()
	admin.ServeHTTP(response, httptest.NewRequest("GET", "/v1/containers", nil))
	var views []containerView
	if err := json.Unmarshal(response.Body.Bytes(), &views); err != nil || response.Code != http.StatusOK {
		t.Fatalf("%d %v: %s", response.Code, err, response.Body)
	}
	db, web := views[0], views[1]
	if db.Used || db.Reason == "" || db.Advice == "" || len(db.Services) > 0 {
		t.Errorf("db is %+v", db)
	}
	if !web.Used || web.Reason != "used: it has the label rollcall.host" || len(web.Warnings) != 1 || len(web.Services) != 1 {
		t.Fatalf("web is %+v", web)
	}
	got := fmt.Sprintf("%+v", web.Services[0])
	want := "{Service:app Port:8080 PortWhy:the only published TCP port " +
		"Tried:[{Address:172.17.0.2:8080 Why:on network bridge} {Address:127.0.0.1:32768 Why:published by the engine}] " +
		"Skipped:[10.9.0.2 on network far, which rollcall is not on] Address: State:starting " +
		"Reason:no connection to it has succeeded yet: 172.17.0.2:8080: connection refused; 127.0.0.1:32768: connection refused; label rollcall.prot is not known; did you mean rollcall.port? " +
		"Advice:write rollcall.port=1}"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Where the client's address decides, it matters that all look alike.
func TestAlikeClientsMatterToHashIP(t *testing.T) {
	setup, err := os.ReadFile("testdata/broken/clients-look-alike.txt")
	if err != nil {
		t.Fatal(err)
	}
	for balance, want := range map[string]bool{"hash:ip": true, "round-robin": false} {
		b := newBroken(t, strings.ReplaceAll(string(setup), "hash:ip\n", balance+"\n"))
		x := (&Explainer{b.registry.Snapshot(), b.registrar.Roll()}).Explain("shop.example.com")
		said := slices.ContainsFunc(x.Details, func(detail string) bool { return strings.Contains(detail, "gateway (172.20.0.1)") })
		if !x.Good || said != want {
			t.Errorf("%s: %s\n%s", balance, x.Verdict, strings.Join(x.Details, "\n"))
		}
	}
}
