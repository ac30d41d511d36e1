package e2e

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/e2e/lab"
	"rollcall/internal/docker/dockertest"
)

// scene is a shop whose containers only the fake engine knows; what they publish
// are servers of this process.
type scene struct {
	t        *testing.T
	engine   *dockertest.Engine
	rollcall *lab.Rollcall
}

func newScene(t *testing.T, flags ...string) *scene {
	s := &scene{t: t, engine: dockertest.New(t)}
	s.rollcall = s.serve(flags...)
	return s
}

func (s *scene) serve(flags ...string) *lab.Rollcall {
	s.t.Helper()
	// The addresses of its containers may be somebody's on this machine.
	return ground.Serve(s.t, &lab.Engine{Host: s.engine.Host()}, append([]string{"--address", "published", "--interval", "300ms"}, flags...)...)
}

// published is where a container's port is published.
func published(url string) dockertest.ContainerOption {
	addr := netip.MustParseAddrPort(strings.TrimPrefix(url, "http://"))
	return dockertest.Published(addr.Addr().String(), addr.Port(), 8080)
}

// runs adds a container that answers within about the time given, each so
// manieth request with 500; 0 for none.
func (s *scene) runs(name string, takes time.Duration, fails uint64, options ...dockertest.ContainerOption) (id string) {
	var count atomic.Uint64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := count.Add(1)
		// Between a half and one and a half times as long.
		late := time.NewTimer(takes/2 + takes*time.Duration(n*7%16)/16)
		defer late.Stop()
		select {
		case <-late.C:
		case <-r.Context().Done():
		}
		if fails > 0 && n%fails == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprintln(w, name)
	}))
	s.t.Cleanup(server.Close)
	return s.engine.Add(append([]dockertest.ContainerOption{dockertest.Name(name), published(server.URL)}, options...)...)
}

func label(key, value string) dockertest.ContainerOption {
	return dockertest.Label("rollcall."+key, value)
}

// opens fills the scene with a shop in the middle of its day: most is well, and
// there is one of each that is not.
func (s *scene) opens() {
	shop, api := label("host", "shop.example.com,www.shop.example.com"), label("host", "shop.example.com")
	for i := range 3 {
		s.runs(fmt.Sprintf("shop-web-%d", i+1), 9*time.Millisecond, 0, label("service", "web"), shop)
	}
	for i, health := range []string{"healthy", "healthy", "unhealthy"} {
		s.runs(fmt.Sprintf("shop-api-%d", i+1), 35*time.Millisecond, uint64(40*i), dockertest.Health(health),
			label("service", "api"), api, label("path", "/api"), label("balance", "least-requests"))
	}
	cart := label("host", "cart.shop.example.com")
	s.runs("shop-cart-1", 60*time.Millisecond, 0, label("service", "cart"), cart, label("sticky", "basket"))
	drained := s.runs("shop-cart-2", 60*time.Millisecond, 0, label("service", "cart"), cart, label("sticky", "basket"))
	search := label("host", "search.shop.example.com")
	s.runs("shop-search-1", 140*time.Millisecond, 0, label("service", "search"), search)
	s.runs("shop-search-2", 140*time.Millisecond, 0, label("service", "search"), search, dockertest.Health("starting"))
	paused := s.runs("shop-mail-1", time.Millisecond, 0, label("service", "mail"), label("host", "mail.shop.example.com"), label("prot", "8080"))
	s.engine.Add(dockertest.Name("shop-db-1"), dockertest.Image("postgres:17"), dockertest.Exposed("5432/tcp"))
	s.engine.Add(dockertest.Name("shop-cache-1"), dockertest.Image("redis:8"), dockertest.Exposed("6379/tcp"))

	lab.Await(s.t, "the shop is open", func() error {
		if healthy := strings.Count(s.rollcall.GetAdmin(s.t, "/v1/backends").Body, `"healthy"`); healthy != 9 {
			return fmt.Errorf("%d backends are healthy", healthy)
		}
		return nil
	})
	s.engine.Pause(paused)
	s.drain(drained)
}

func (s *scene) drain(id string) {
	response, err := http.Post(s.rollcall.Admin+"/v1/backends/"+id+"/drain", "", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("drain: %s", response.Status)
	}
}

// asks sends requests to a host until the test ends: one each pause at most, and
// fewer by turns, as customers do.
func (s *scene) asks(host, path string, pause time.Duration) {
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				wave := math.Sin(float64(now.UnixMilli())/4000) + math.Sin(float64(now.UnixMilli())/1300+float64(pause))
				if rand.Float64() < 0.3+0.15*wave {
					continue
				}
				_, _ = s.rollcall.TryGet(s.t.Context(), host, path) // some are to fail
			}
		}
	}()
	s.t.Cleanup(func() { close(done); <-ended })
}

// screenshots is where the documentation's pictures go; "" on all other runs.
func screenshots(t *testing.T) string {
	dir := os.Getenv("ROLLCALL_SCREENSHOTS")
	if dir != "" && !filepath.IsAbs(dir) {
		dir = filepath.Join(ground.Source, dir)
	}
	return dir
}
