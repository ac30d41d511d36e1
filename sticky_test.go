package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func sticks(cookie string) entryOption { return func(e *Entry) { e.Sticky = cookie } }

// stickyStand is three backends behind a sticky cookie.
func stickyStand(t *testing.T) (*stand, []Entry) {
	s := newStand(t, 0)
	var roll []Entry
	for i := range 3 {
		name := fmt.Sprint("web-", i)
		roll = append(roll, s.runs("shop", name, says(name), sticks("who")))
	}
	s.serves(roll...)
	return s, roll
}

// askStuck sends a request with a cookie, and returns who answered and which
// cookie came back, "" for none.
func (s *stand) askStuck(cookie string) (by, cookieBack string) {
	s.t.Helper()
	response, body := s.ask("GET", "/", "shop.localhost", "", "Cookie", "other=1; who="+cookie+"; more=2")
	if response.StatusCode != 200 {
		s.t.Fatalf("answered %s", response.Status)
	}
	for _, c := range response.Cookies() {
		if c.Name == "who" {
			if !c.HttpOnly || c.Path != "/" || c.SameSite != http.SameSiteLaxMode {
				s.t.Errorf("the cookie is %s", c)
			}
			cookieBack = c.Value
		}
	}
	return body, cookieBack
}

func TestStickyKeepsAClient(t *testing.T) {
	s, _ := stickyStand(t)
	seen := map[string]string{}
	for range 6 {
		by, cookie := s.askStuck("")
		if cookie == "" {
			t.Fatal("no cookie")
		}
		if known := seen[by]; known != "" && known != cookie {
			t.Errorf("%s has two cookies", by)
		}
		seen[by] = cookie
		for range 5 {
			if again, another := s.askStuck(cookie); again != by || another != "" {
				t.Fatalf("the client of %s came to %s, and got the cookie %q", by, again, another)
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("new clients came to %v only", seen)
	}
}

func TestStickyCookieIsOpaque(t *testing.T) {
	s, roll := stickyStand(t)
	by, cookie := s.askStuck("")
	for _, e := range roll {
		host, port, _ := strings.Cut(string(e.Candidates), ":")
		for _, secret := range []string{e.Name, e.ContainerID[:6], host, port, e.Service} {
			if strings.Contains(cookie, secret) {
				t.Errorf("the cookie %s tells %s", cookie, secret)
			}
		}
	}
	// It is the same in another rollcall, and another one in another service.
	other := NewRegistry(quiet(), time.Minute)
	other.Replace(engineB, append(roll, backendOf("blog", by)))
	for _, m := range other.Lookup(idOf(by)) {
		if (m.token == cookie) != (m.Service == "shop") {
			t.Errorf("of service %s the cookie is %s, here %s", m.Service, m.token, cookie)
		}
	}
}

func TestStickyFallsOver(t *testing.T) {
	for what, leave := range map[string]func(s *stand, roll []Entry, id string){
		"drained": func(s *stand, _ []Entry, id string) { s.registry.Drain(id, "by hand") },
		"stopping": func(s *stand, _ []Entry, id string) {
			s.registry.Stopping(id, "SIGTERM", time.Now().Add(time.Second), time.Now().Add(time.Minute))
		},
		"unhealthy": func(s *stand, roll []Entry, id string) {
			for i := range roll {
				if roll[i].ContainerID == id {
					roll[i].Engine = EngineUnhealthy
				}
			}
			s.registry.Replace("test", roll)
		},
		"gone": func(s *stand, roll []Entry, id string) {
			var rest []Entry
			for _, e := range roll {
				if e.ContainerID != id {
					rest = append(rest, e)
				}
			}
			s.registry.Replace("test", rest)
		},
	} {
		t.Run(what, func(t *testing.T) {
			s, roll := stickyStand(t)
			by, cookie := s.askStuck("")
			leave(s, roll, idOf(by))
			next, another := s.askStuck(cookie)
			if next == by || another == "" || another == cookie {
				t.Fatalf("the client of %s came to %s with cookie %q", by, next, another)
			}
			for range 5 {
				if again, third := s.askStuck(another); again != next || third != "" {
					t.Errorf("then it came to %s, not to %s", again, next)
				}
			}
		})
	}
}

// A backend that breaks while it is a client's own costs that client nothing.
func TestStickyFallsOverWithinARequest(t *testing.T) {
	s := newStand(t, 0)
	broken := s.breaks("shop", "web-0", func(*http.Request) {}, sticks("who"))
	s.serves(broken, s.runs("shop", "web-1", says("web-1"), sticks("who")))
	if by, cookie := s.askStuck(stickyToken(&broken.Spec)); by != "web-1" || cookie == "" {
		t.Errorf("%s answered, with cookie %q", by, cookie)
	}
}

func TestStickyNonsenseIsNoCookie(t *testing.T) {
	s, _ := stickyStand(t)
	for _, cookie := range []string{"x", "=", "AAAAAAAAAAAAAAAA", strings.Repeat("A", 4000), `"quoted"`} {
		if _, fresh := s.askStuck(cookie); fresh == "" {
			t.Errorf("%.20q is taken for a backend", cookie)
		}
	}
}
