package docker_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/docker"
	"rollcall/internal/docker/dockertest"
)

func TestMain(m *testing.M) {
	for _, name := range []string{"DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION"} {
		os.Unsetenv(name)
	}
	os.Exit(m.Run())
}

// newClient is a client that gives up soon.
func newClient(t *testing.T, o docker.Options) *docker.Client {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Second
	}
	c, err := docker.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// checkTruth lists and compares with what the engine really has.
func checkTruth(t *testing.T, c *docker.Client, e *dockertest.Engine) {
	t.Helper()
	got, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := e.Containers(); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

// checkError wants an error of one line with these words.
func checkError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %q", words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q, want %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error of several lines: %q", err)
	}
}

func TestListIsTheTruth(t *testing.T) {
	e := dockertest.New(t)
	c := e.Client(t)
	checkTruth(t, c, e)

	at := time.Date(2026, 11, 24, 12, 0, 0, 5e8, time.UTC)
	web := e.Add(dockertest.Name("web"), dockertest.Label("k", "v"), dockertest.Published("", 0, 80), dockertest.CreatedAt(at))
	e.Add(dockertest.OnNetwork6("shop", "10.1.0.9", "fd00::9"), dockertest.OnNetwork("admin", ""), dockertest.CreatedAt(at.Add(time.Hour)))
	e.Add(dockertest.NetworkMode("host"), dockertest.Exposed("80"))
	e.Add(dockertest.NetworkMode("none"))
	e.Add(dockertest.NetworkMode("container:" + web))
	e.Add(dockertest.Created(), dockertest.Image("hello:v2"))
	e.Add(dockertest.ImageRebuilt())
	sick := e.Add(dockertest.Health("unhealthy"), dockertest.Exposed("53/udp", "53/tcp"))
	checkTruth(t, c, e)

	e.Pause(sick)
	e.Stop(web)
	checkTruth(t, c, e)
	for _, state := range []string{"restarting", "removing", "dead"} {
		e.SetState(web, state)
		checkTruth(t, c, e)
	}
	e.Remove(sick, true)
	checkTruth(t, c, e)
}

func TestARestartedContainerGetsAnotherAddress(t *testing.T) {
	e := dockertest.New(t)
	id := e.Add()
	before, _ := e.Container(id)
	e.Stop(id)
	e.Add()
	e.Start(id)
	after, _ := e.Container(id)
	if before.Networks[0].IP == after.Networks[0].IP {
		t.Errorf("still %v", after.Networks[0].IP)
	}
	checkTruth(t, e.Client(t), e)
}

// Each of these wiped the registry of a poller that doesn't look.
func TestAListThatCannotBeBelievedIsAnError(t *testing.T) {
	for name, fault := range map[string]struct {
		set  func(*dockertest.Engine)
		want string
	}{
		"status 500":    {func(e *dockertest.Engine) { e.FailLists(1, 500) }, "list containers: dockertest: a fault"},
		"status 503":    {func(e *dockertest.Engine) { e.FailLists(1, 503) }, "a fault"},
		"refused":       {func(e *dockertest.Engine) { e.FailLists(1, 403) }, "socket proxy"},
		"cut off":       {func(e *dockertest.Engine) { e.TruncateLists(1) }, "cut off"},
		"cut JSON":      {func(e *dockertest.Engine) { e.GarbleLists(1, `[{"Id":"a","Stat`) }, "cut off"},
		"empty":         {func(e *dockertest.Engine) { e.GarbleLists(1, "") }, "cut off"},
		"null":          {func(e *dockertest.Engine) { e.GarbleLists(1, "null") }, "malformed answer: null"},
		"object":        {func(e *dockertest.Engine) { e.GarbleLists(1, "{}") }, "malformed answer"},
		"page":          {func(e *dockertest.Engine) { e.GarbleLists(1, "<html>\n") }, "malformed answer"},
		"null entry":    {func(e *dockertest.Engine) { e.GarbleLists(1, "[null]") }, "entry 1 of 1 has no ID"},
		"no state":      {func(e *dockertest.Engine) { e.GarbleLists(1, `[{"Id":"abc"}]`) }, "container abc has no state"},
		"listed twice":  {func(e *dockertest.Engine) { e.GarbleLists(1, `[{"Id":"a","State":"x"},{"Id":"a","State":"x"}]`) }, "twice"},
		"types changed": {func(e *dockertest.Engine) { e.GarbleLists(1, `[{"Id":7}]`) }, "malformed answer"},
	} {
		t.Run(name, func(t *testing.T) {
			e := dockertest.New(t)
			e.Add()
			c := e.Client(t)
			checkTruth(t, c, e)
			fault.set(e)
			list, err := c.List(t.Context())
			checkError(t, err, fault.want, e.Host())
			if list != nil {
				t.Errorf("list %v", list)
			}
			checkTruth(t, c, e)
		})
	}
}

func TestDeadline(t *testing.T) {
	e := dockertest.New(t)
	id := e.Add()
	c := newClient(t, docker.Options{Host: e.Host(), Timeout: 30 * time.Millisecond})
	ctx := t.Context()
	calls := map[string]func() error{
		"list containers":          func() error { _, err := c.List(ctx); return err },
		"inspect container":        func() error { _, err := c.Inspect(ctx, id); return err },
		"ask for the version":      func() error { _, err := c.Version(ctx); return err },
		"follow the events":        func() error { return c.Watch(ctx, func(docker.Event) {}) },
		"list containers, again\n": func() error { _, err := c.List(ctx); return err },
	}
	e.HangAll()
	for name, call := range calls {
		err := call()
		checkError(t, err, "engine "+e.Host()+" didn't answer within 30ms", strings.SplitN(name, ",", 2)[0])
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v is no deadline", err)
		}
	}
	e.Heal()
	checkTruth(t, newClient(t, docker.Options{Host: e.Host()}), e)
}

func TestTheCallersContext(t *testing.T) {
	e := dockertest.New(t)
	c := e.Client(t)
	ctx, cancel := context.WithCancel(t.Context())
	e.HangLists(-1)
	listed := make(chan error)
	go func() {
		_, err := c.List(ctx)
		listed <- err
	}()
	e.AwaitCalls(dockertest.List, 1)
	cancel()
	if err := <-listed; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	e.Heal()
	checkTruth(t, c, e)
}

func TestInspectIsCached(t *testing.T) {
	e := dockertest.New(t)
	c := e.Client(t)
	id := e.Add(dockertest.Name("web"), dockertest.Image("hello:v1"), dockertest.Exposed("8080", "53/udp"),
		dockertest.StopSignal("37"), dockertest.StopTimeout(-time.Second), dockertest.Health("starting"), dockertest.Hostname("h"))
	want := docker.Config{
		Image: "hello:v1", Exposed: []docker.Port{{Private: 53, Proto: "udp"}, {Private: 8080, Proto: "tcp"}},
		StopSignal: "SIGRTMIN+3", StopTimeout: -time.Second, Hostname: "h", NetworkMode: "bridge", HasHealthcheck: true,
	}
	inspect := func(id string) docker.Config {
		t.Helper()
		got, err := c.Inspect(t.Context(), id)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, %v", got, err)
		}
		return got
	}
	calls := func(want int) {
		t.Helper()
		if n := e.Calls(dockertest.Inspect); n != want {
			t.Errorf("asked %d times, want %d", n, want)
		}
	}
	inspect(id).Exposed[0].Private = 1 // what a caller does to its copy is its own business
	inspect(id).Exposed[0].Private = 1
	inspect(id)
	calls(1)

	// A name may be another container's tomorrow.
	inspect("web")
	inspect("web")
	calls(3)

	c.Forget(func(known string) bool { return known == id })
	inspect(id)
	calls(3)
	c.Forget(func(string) bool { return false })
	inspect(id)
	calls(4)
}

func TestInspectFails(t *testing.T) {
	e := dockertest.New(t)
	c := e.Client(t)
	id := e.Add()
	_, err := c.Inspect(t.Context(), "nobody")
	if !errors.Is(err, docker.ErrNotFound) {
		t.Error(err)
	}
	checkError(t, err, "inspect container nobody: No such container: nobody")

	e.FailInspects(1, 500)
	_, err = c.Inspect(t.Context(), id)
	checkError(t, err, "inspect container "+id[:12], "a fault")
	for _, body := range []string{"null", "{}", `{"Id":"x"}`, `{"Config":{}}`, "[]"} {
		e.GarbleInspects(1, body)
		_, err = c.Inspect(t.Context(), id)
		checkError(t, err, "malformed answer")
	}
	if _, err := c.Inspect(t.Context(), id); err != nil {
		t.Error(err) // nothing of that is cached
	}
	_, err = c.Inspect(t.Context(), " ")
	checkError(t, err, "value is empty")
}

func TestStartedAt(t *testing.T) {
	e := dockertest.New(t)
	c := e.Client(t)
	id := e.Add()
	first, err := c.StartedAt(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	e.Restart(id)
	second, err := c.StartedAt(t.Context(), id)
	if err != nil || !second.After(first) {
		t.Errorf("%v, then %v, %v", first, second, err)
	}
	for _, body := range []string{"{}", `{"Id":"x"}`, `{"State":{"StartedAt":"soon"}}`} {
		e.GarbleInspects(1, body)
		_, err := c.StartedAt(t.Context(), id)
		checkError(t, err, "malformed answer")
	}
	e.Remove(id, true)
	if _, err := c.StartedAt(t.Context(), id); !errors.Is(err, docker.ErrNotFound) {
		t.Error(err)
	}
}

func version(t *testing.T, c *docker.Client) string {
	t.Helper()
	v, err := c.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v.API
}

func TestTheVersionIsNegotiatedAtEachConnection(t *testing.T) {
	e := dockertest.New(t)
	c := e.Client(t)
	for _, step := range []struct{ engine, want string }{
		{"1.41", "1.41"}, {"1.47", "1.47"}, {"1.30", "1.30"}, {"1.99", "1.51"}, {"1.24", "1.24"},
	} {
		e.Down()
		e.SetAPIVersion(step.engine)
		e.Up()
		// The connection from before is dead, and nobody need notice.
		checkTruth(t, c, e)
		if got := version(t, c); got != step.want {
			t.Errorf("engine has %s: spoke %s, want %s", step.engine, got, step.want)
		}
	}
}

// A proxy may keep the connection to us while the engine behind it changes.
func TestTheVersionChangesBehindTheConnection(t *testing.T) {
	e := dockertest.New(t, dockertest.APIVersion("1.47"))
	c := e.Client(t)
	checkTruth(t, c, e)
	e.SetAPIVersion("1.41")
	checkTruth(t, c, e)
	e.SetAPIVersion("1.50")
	e.SetMinAPIVersion("1.44")
	checkTruth(t, c, e)
	if got := version(t, c); got != "1.50" {
		t.Errorf("spoke %s", got)
	}
}

func TestOnePingPerConnection(t *testing.T) {
	e := dockertest.New(t)
	c := e.Client(t)
	for range 20 {
		checkTruth(t, c, e)
	}
	if n := e.Calls(dockertest.Ping); n != 1 {
		t.Errorf("%d pings", n)
	}
	if n := e.Calls(dockertest.List); n != 20 {
		t.Errorf("%d lists", n)
	}
}

func TestEnginesThatAreTooOldOrTooNew(t *testing.T) {
	e := dockertest.New(t, dockertest.APIVersion("1.20"))
	_, err := e.Client(t).List(t.Context())
	checkError(t, err, "engine "+e.Host()+" speaks API 1.20, rollcall needs 1.24 or newer: upgrade the engine")

	e = dockertest.New(t, dockertest.APIVersion("1.70"))
	e.SetMinAPIVersion("1.60")
	_, err = e.Client(t).List(t.Context())
	checkError(t, err, "engine "+e.Host()+" needs API 1.60 or newer, rollcall speaks up to 1.51: upgrade rollcall")

	// Before 1.13 ping says nothing, and the words are others.
	old := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/_ping" {
			http.Error(w, "client is newer than server (client API version: 1.24, server API version: 1.22)", http.StatusBadRequest)
		}
	}
	_, err = serve(t, http.HandlerFunc(old)).List(t.Context())
	checkError(t, err, "speaks API 1.22, rollcall needs 1.24 or newer: upgrade the engine")

	nonsense := func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Api-Version", "latest") }
	_, err = serve(t, http.HandlerFunc(nonsense)).List(t.Context())
	checkError(t, err, `malformed answer: ping: API version "latest"`)
}

func TestAVersionThatIsAskedFor(t *testing.T) {
	e := dockertest.New(t)
	t.Setenv("DOCKER_API_VERSION", "1.40")
	if got := version(t, e.Client(t)); got != "1.40" {
		t.Errorf("spoke %s", got)
	}
	t.Setenv("DOCKER_API_VERSION", "1.45")
	_, err := e.Client(t).List(t.Context())
	checkError(t, err, "speaks API up to 1.41, DOCKER_API_VERSION asks for 1.45: unset it")
	e.SetMinAPIVersion("1.40")
	t.Setenv("DOCKER_API_VERSION", "1.30")
	_, err = e.Client(t).List(t.Context())
	checkError(t, err, "speaks API from 1.40, DOCKER_API_VERSION asks for 1.30: unset it")
}

// serve is a client of an engine on TCP.
func serve(t *testing.T, h http.Handler) *docker.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return newClient(t, docker.Options{Host: "tcp://" + server.Listener.Addr().String()})
}

func TestTCP(t *testing.T) {
	e := dockertest.New(t)
	e.Add()
	c := serve(t, e)
	checkTruth(t, c, e)
	if !c.Local() {
		t.Error("loopback is not local")
	}
}

func TestNoKeepAlive(t *testing.T) {
	e := dockertest.New(t)
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		e.ServeHTTP(w, r)
	}))
	for range 3 {
		checkTruth(t, c, e)
	}
}

func TestTLS(t *testing.T) {
	e := dockertest.New(t)
	e.Add()
	server := httptest.NewUnstartedServer(e)
	server.Config.ErrorLog = quiet
	server.StartTLS()
	t.Cleanup(server.Close)
	host := "tcp://" + server.Listener.Addr().String()
	plain := newClient(t, docker.Options{Host: host})

	certs := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(certs, "ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CERT_PATH", certs)
	t.Setenv("DOCKER_TLS_VERIFY", "1")
	checkTruth(t, newClient(t, docker.Options{Host: host}), e)

	_, err := plain.List(t.Context())
	checkError(t, err, "engine "+host+" speaks TLS: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH")

	other := httptest.NewServer(e)
	t.Cleanup(other.Close)
	_, err = newClient(t, docker.Options{Host: "tcp://" + other.Listener.Addr().String()}).List(t.Context())
	checkError(t, err, "doesn't speak TLS: unset DOCKER_TLS_VERIFY")

	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	_, err = newClient(t, docker.Options{Host: "tcp://localhost:" + port}).List(t.Context())
	checkError(t, err, "certificate that isn't accepted", "DOCKER_CERT_PATH")
}

func TestWhyThereIsNoEngine(t *testing.T) {
	ctx := t.Context()
	e := dockertest.New(t)
	c := e.Client(t)
	const hint = "start Docker, or name its endpoint with --docker-host"
	checkTruth(t, c, e)

	e.Down()
	_, err := c.List(ctx)
	checkError(t, err, "no Docker engine at "+e.Host()+": no such file: "+hint)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("cause of %v", err)
	}
	e.Up()
	checkTruth(t, c, e)
	e.DownHard()
	_, err = c.List(ctx)
	checkError(t, err, "no Docker engine at "+e.Host()+": connection refused: "+hint)
	err = c.Watch(ctx, func(docker.Event) {})
	checkError(t, err, "connection refused: "+hint)
	e.Up()
	checkTruth(t, c, e)

	dir := t.TempDir()
	_, err = newClient(t, docker.Options{Host: "unix://" + dir}).List(ctx)
	checkError(t, err, "it is a directory, not a socket")

	for _, d := range []struct {
		err  error
		want string
	}{
		{os.NewSyscallError("connect", syscall.EACCES), "no access to the Docker engine at tcp://engine.example:2375: permission denied: add the user to the group docker or run as root"},
		{os.NewSyscallError("connect", syscall.EHOSTUNREACH), "no Docker engine at tcp://engine.example:2375: connect: no route to host: " + hint},
		{&net.DNSError{Err: "no such host", Name: "engine.example", IsNotFound: true}, "host engine.example not found: correct the name in --docker-host"},
	} {
		c := newClient(t, docker.Options{Host: "tcp://engine.example", Dial: func(_ context.Context, network, addr string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: network, Err: d.err}
		}})
		_, err := c.List(ctx)
		checkError(t, err, d.want)
		if !errors.Is(err, d.err) {
			t.Errorf("cause of %v", err)
		}
	}
}

func TestDialGetsTheEndpoint(t *testing.T) {
	for host, want := range map[string]string{"unix:///x/y.sock": "unix /x/y.sock", "tcp://10.9.8.7:65": "tcp 10.9.8.7:65"} {
		var got string
		c := newClient(t, docker.Options{Host: host, Dial: func(_ context.Context, network, addr string) (net.Conn, error) {
			got = network + " " + addr
			return nil, errors.New("enough")
		}})
		c.List(t.Context())
		if got != want {
			t.Errorf("%s: dialled %s", host, got)
		}
	}
}

func TestANewEngineAtTheSamePath(t *testing.T) {
	e := dockertest.New(t)
	c := e.Client(t)
	for range 5 {
		checkTruth(t, c, e)
		e.DownHard()
		e.Add()
		e.Up()
	}
	checkTruth(t, c, e)
}

func TestClosed(t *testing.T) {
	e := dockertest.New(t)
	c := e.Client(t)
	e.HangLists(-1)
	ended := make(chan error, 2)
	go func() { ended <- c.Watch(context.Background(), func(docker.Event) {}) }()
	go func() {
		_, err := c.List(context.Background())
		ended <- err
	}()
	e.AwaitStreams(1)
	e.AwaitCalls(dockertest.List, 1)
	c.Close()
	for range 2 {
		if err := <-ended; !errors.Is(err, docker.ErrClosed) {
			t.Errorf("%v", err)
		}
	}
	if _, err := c.List(t.Context()); !errors.Is(err, docker.ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := c.Watch(t.Context(), nil); !errors.Is(err, docker.ErrClosed) {
		t.Errorf("%v", err)
	}
	e.AwaitStreams(0)
	c.Close()
}

func TestHostIPOfAName(t *testing.T) {
	c := newClient(t, docker.Options{Host: "tcp://engine.invalid:2375"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // whatever the resolver would say
	if ip, err := c.HostIP(ctx); err == nil {
		t.Errorf("%v", ip)
	} else {
		checkError(t, err, "address of the Docker engine at tcp://engine.invalid:2375")
	}
	if ip, err := newClient(t, docker.Options{Host: "tcp://192.0.2.1:1"}).HostIP(ctx); err != nil || ip != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("%v, %v", ip, err)
	}
}

// All at once, with an engine that comes and goes, for the race detector: each
// list is the truth or an error.
func TestConcurrentUse(t *testing.T) {
	e := dockertest.New(t)
	id := e.Add()
	for range 5 {
		e.Add()
	}
	want := e.Containers()
	c := e.Client(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	loop := func(do func()) {
		wg.Go(func() {
			for ctx.Err() == nil {
				do()
			}
		})
	}
	for range 3 {
		loop(func() {
			if got, err := c.List(ctx); err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v", got)
			}
		})
	}
	loop(func() { c.Inspect(ctx, id) })
	loop(func() { c.Forget(func(string) bool { return false }) })
	loop(func() { c.Version(ctx) })
	loop(func() { c.Watch(ctx, func(docker.Event) {}) })
	for i := range 30 {
		e.SetAPIVersion(fmt.Sprintf("1.%d", 30+i%15))
		calls := e.Calls(dockertest.List)
		e.AwaitCalls(dockertest.List, calls+2)
		e.DownHard()
		e.Up()
	}
	cancel()
	wg.Wait()
	checkTruth(t, c, e)
}
