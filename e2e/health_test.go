package e2e

import (
	"net/http"
	"testing"

	"rollcall/e2e/lab"
)

// healthcheck is the image's HEALTHCHECK: checks that fail count only after the
// first that has passed, and then at once.
const healthcheck = `HEALTHCHECK --interval=200ms --timeout=10s --start-period=1h --retries=1 CMD ["/service", "healthcheck"]`

func TestHealthcheck(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "health", lab.App, "EXPOSE 8080", healthcheck, "ENV APP_HEALTH=503")
	a, b := engine.Run(t, image), engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image, "--hold", "200ms")
	rollcall.AwaitState(t, a, "starting")
	if answer := rollcall.Get(t, "/"); answer.Status != http.StatusServiceUnavailable {
		t.Errorf("while no HEALTHCHECK has passed: %s", answer)
	}
	setHealth(t, a, "200")
	rollcall.AwaitState(t, a, "healthy")
	rollcall.AwaitServedBy(t, "", "/", a)
	setHealth(t, b, "200")
	rollcall.AwaitState(t, b, "healthy")
	rollcall.AwaitServedBy(t, "", "/", a, b)
	setHealth(t, a, "503")
	rollcall.AwaitState(t, a, "unhealthy")
	rollcall.AwaitServedBy(t, "", "/", b)
	// A check can be wrong; a 503 is certain.
	setHealth(t, b, "503")
	rollcall.AwaitState(t, b, "unhealthy")
	rollcall.AwaitServedBy(t, "", "/", a, b)
}

// setHealth tells a container what its /healthz is to say.
func setHealth(t *testing.T, c *lab.Container, status string) {
	t.Helper()
	askApp(t, c, http.MethodPost, "/healthz?status="+status)
}

// askApp asks a container without rollcall in between.
func askApp(t *testing.T, c *lab.Container, method, path string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.IP(t, "bridge")+":8080"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	lab.Await(t, "the container answers "+path, func() error {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		return response.Body.Close()
	})
}
