package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"rollcall/e2e/lab"
)

const prometheusToken = "e2e-0123456789abcdef"

// A Prometheus that is told where rollcall's admin listener is scrapes rollcall,
// and discovers the backends there.
const prometheusConfig = `
global:
  scrape_interval: 250ms
  scrape_timeout: 250ms
scrape_configs:
  - job_name: rollcall
    authorization: {type: Bearer, credentials: TOKEN}
    static_configs:
      - targets: ["ADMIN"]
  - job_name: backends
    http_sd_configs:
      - url: http://ADMIN/v1/prometheus
        refresh_interval: 250ms
        authorization: {type: Bearer, credentials: TOKEN}
    relabel_configs:
      - {source_labels: [__meta_rollcall_service], target_label: service}
      - {source_labels: [__meta_rollcall_container], target_label: container}
      - {source_labels: [__meta_rollcall_state], target_label: state}
`

// prometheus is a running Prometheus.
type prometheus struct {
	t   *testing.T
	url string
}

func startPrometheus(t *testing.T, admin string) *prometheus {
	t.Helper()
	if _, err := exec.LookPath("prometheus"); err != nil {
		t.Fatalf("Prometheus can't be started (it is in Debian's package prometheus): %v", err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := strings.NewReplacer("ADMIN", strings.TrimPrefix(admin, "http://"), "TOKEN", prometheusToken).Replace(prometheusConfig)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	log := &strings.Builder{}
	cmd := exec.CommandContext(t.Context(), "prometheus", "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended := make(chan error, 1)
	go func() {
		// The signal comes at the death of the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		ended <- cmd.Run()
	}()
	t.Cleanup(func() { // t's context has ended it
		if err := <-ended; t.Failed() {
			t.Logf("Prometheus ended with %v; its log:\n%s", err, log)
		}
	})
	return &prometheus{t, "http://" + address}
}

// get asks Prometheus's API and decodes the data of its answer.
func (p *prometheus) get(path string, data any) error {
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Status string
		Data   any
	}{Data: data}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("%s: %s", response.Status, body)
	}
	return nil
}

// target is one that Prometheus has discovered.
type target struct {
	Labels    map[string]string
	ScrapeURL string
}

// discovered returns what Prometheus makes of the list of targets, by container.
func (p *prometheus) discovered() (map[string]target, error) {
	var data struct{ ActiveTargets []target }
	if err := p.get("/api/v1/targets?state=active", &data); err != nil {
		return nil, err
	}
	found := map[string]target{}
	for _, t := range data.ActiveTargets {
		if t.Labels["job"] == "backends" {
			found[t.Labels["container"]] = t
		}
	}
	return found, nil
}

// value returns the only sample of a query, "" if there is none.
func (p *prometheus) value(query string) (string, error) {
	var data struct {
		Result []struct{ Value [2]any }
	}
	if err := p.get("/api/v1/query?query="+url.QueryEscape(query), &data); err != nil || len(data.Result) == 0 {
		return "", err
	}
	if len(data.Result) > 1 {
		return "", fmt.Errorf("%s has %d samples", query, len(data.Result))
	}
	return fmt.Sprint(data.Result[0].Value[1]), nil
}

// awaitValue waits until a query yields a value.
func (p *prometheus) awaitValue(query, value string) {
	p.t.Helper()
	lab.Await(p.t, query+" is "+value, func() error {
		got, err := p.value(query)
		if err != nil {
			return err
		}
		return want(got, value)
	})
}

func TestPrometheusDiscoversBackends(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "prometheus", lab.App)
	first, second := engine.Run(t, image), engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image, "--admin-token", prometheusToken)
	rollcall.AwaitState(t, first, "healthy")
	rollcall.AwaitState(t, second, "healthy")
	for range 6 {
		rollcall.Get(t, "/")
	}
	p := startPrometheus(t, rollcall.Admin)
	awaitTargets := func(when string, containers ...*lab.Container) {
		t.Helper()
		wanted := map[string]target{}
		for _, c := range containers {
			wanted[c.Name(t)] = target{ScrapeURL: "http://" + c.IP(t, "bridge") + ":8080/metrics"}
		}
		lab.Await(t, when+" Prometheus has the targets", func() error {
			found, err := p.discovered()
			if err != nil {
				return err
			}
			// Other tests' labelled containers are on this engine, too.
			for name, t := range found {
				if !strings.HasPrefix(t.Labels["service"], "prometheus-") {
					delete(found, name)
				}
			}
			if len(found) != len(wanted) {
				return fmt.Errorf("they are %v", found)
			}
			for name, w := range wanted {
				if f := found[name]; f.ScrapeURL != w.ScrapeURL || f.Labels["state"] != "healthy" {
					return fmt.Errorf("%s is %v, want %v", name, f, w)
				}
			}
			return nil
		})
	}
	awaitTargets("at first", first, second)
	service := first.Inspect(t, "{{.Config.Image}}")
	service = service[strings.LastIndexByte(service, '/')+1:]
	p.awaitValue(`up{job="rollcall"}`, "1")
	p.awaitValue(`rollcall_requests_total{service="`+service+`",code="200"}`, "6")
	p.awaitValue(`rollcall_request_duration_seconds_count{service="`+service+`"}`, "6")
	p.awaitValue(`rollcall_backend_state{backend="`+first.Hostname()+`",state="healthy"}`, "1")

	first.Remove(t)
	awaitTargets("after a removal", second)
	p.awaitValue(`rollcall_backend_state{backend="`+first.Hostname()+`",state="healthy"}`, "")
	third := engine.Run(t, image)
	awaitTargets("after a start", second, third)
	p.awaitValue(`rollcall_backend_state{backend="`+third.Hostname()+`",state="healthy"}`, "1")
}
