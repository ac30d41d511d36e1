package e2e

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"rollcall/e2e/lab"
)

func TestWebSocket(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "websocket", lab.App)
	c := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", c)
	conn, response, err := websocket.Dial(t.Context(), rollcall.URL+"/websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	if from := response.Header.Get("X-Hello"); from != c.Hostname() {
		t.Errorf("the handshake's answer is from %q", from)
	}
	for n := range 5 {
		message := []byte(strings.Repeat("rollcall ", n*1000))
		if err := conn.Write(t.Context(), websocket.MessageBinary, message); err != nil {
			t.Fatal(err)
		}
		kind, got, err := conn.Read(t.Context())
		if err != nil || kind != websocket.MessageBinary || !bytes.Equal(got, message) {
			t.Fatalf("%d bytes came back as %v (%v), %d were sent", len(got), kind, err, len(message))
		}
	}
	if n := rollcall.Backends(t, c)[0].InFlight; n != 1 {
		t.Errorf("%d requests are in flight, want the WebSocket", n)
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	lab.Await(t, "nothing is in flight", func() error { return want(fmt.Sprint(rollcall.Backends(t, c)[0].InFlight), "0") })
}

// A stopping container tells its WebSockets so, and rollcall passes it on.
func TestWebSocketEndsAsItsContainerSays(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "websocket-end", lab.App)
	c := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", c)
	conn, _, err := websocket.Dial(t.Context(), rollcall.URL+"/websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	ended := make(chan error, 1)
	go func() {
		_, _, err := conn.Read(t.Context())
		ended <- err
	}()
	c.Stop(t)
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("it ended with %v, want 1001", err)
	}
}

// Events come one by one, and those of one container are not held up by changes
// of others.
func TestEventStreamGoesOnWhileOthersComeAndGo(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "events", lab.App)
	c := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", c)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, rollcall.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: &http.Transport{}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("Content-Type is %q", kind)
	}
	events := bufio.NewReader(response.Body)
	n := 0
	next := func() {
		t.Helper()
		n++
		line, err := events.ReadString('\n')
		if want := fmt.Sprintf("data: %s %d\n", c.Hostname(), n); line != want || err != nil {
			t.Fatalf("got %q (%v), want %q", line, err, want)
		}
		if _, err := events.Discard(1); err != nil { // the empty line
			t.Fatal(err)
		}
	}
	next()
	other := engine.Run(t, image)
	rollcall.AwaitServedBy(t, "", "/", c, other)
	next()
	other.Remove(t)
	rollcall.AwaitState(t, other, "gone")
	for range 20 {
		next()
	}
}

func TestLargeUploadComesBackWhole(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "upload", lab.App)
	c := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", c)
	body := make([]byte, 4<<20)
	if _, err := rand.Read(body); err != nil {
		t.Fatal(err)
	}
	for _, known := range []bool{true, false} {
		// A reader of unknown kind is sent in chunks.
		var reader io.Reader = bytes.NewReader(body)
		if !known {
			reader = io.MultiReader(reader)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, rollcall.URL+"/upload", reader)
		if err != nil {
			t.Fatal(err)
		}
		request.URL.Path = "/echo"
		answer, err := rollcall.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body != string(body) {
			t.Errorf("length known %v: %d bytes came back, %d were sent", known, len(answer.Body), len(body))
		}
	}
}

func TestRequestArrivesByteForByte(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "bytes", lab.App)
	c := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", c)
	const query = "?a=1;b&c=%zz"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, rollcall.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "shop.example.com"
	request.URL.Opaque = "/request" + query
	request.Header.Set("X-Forwarded-For", "203.0.113.9")
	request.Header.Set("Connection", "X-Secret")
	request.Header.Set("X-Secret", "for the proxy only")
	answer, err := rollcall.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"GET /request" + query + "\n", "Host: shop.example.com\n", "X-Forwarded-For: 127.0.0.1\r\n", "X-Forwarded-Host: shop.example.com\r\n", "X-Forwarded-Proto: http\r\n"} {
		if !strings.Contains(answer.Body, line) {
			t.Errorf("the request lacks %q:\n%s", line, answer.Body)
		}
	}
	if strings.Contains(answer.Body, "X-Secret") {
		t.Errorf("a hop-by-hop field went on:\n%s", answer.Body)
	}
}
