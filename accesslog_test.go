package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"
)

// loggedStand is a stand whose proxy has an access log; finish ends both and reads
// what was written.
type loggedStand struct {
	*stand
	finish func() (lines []string)
}

// newLoggedStand makes one for a format.
func newLoggedStand(t testing.TB, format string) *loggedStand {
	s := &loggedStand{stand: newStand(t, time.Second)}
	var sink bytes.Buffer
	s.proxy.accessLog = newAccessLog(format, &sink, &s.proxy.forwarded, quiet())
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.proxy.accessLog.Run(ctx) })
	s.finish = func() []string {
		s.front.Close() // when all requests have ended
		stop()
		running.Wait()
		return strings.Split(strings.TrimSuffix(sink.String(), "\n"), "\n")
	}
	return s
}

func entryOf(target, referer, agent string) *accessEntry {
	r := httptest.NewRequest("GET", "/", nil)
	r.RequestURI = target
	r.Header.Set("Referer", referer)
	r.Header.Set("User-Agent", agent)
	return &accessEntry{
		began: time.Date(2026, 11, 24, 15, 22, 20, 123e6, time.UTC), client: "192.0.2.7", request: r, status: 200, bytes: 512,
		service: "shop", backend: "8e4d0fc096ea", retries: 1, firstByte: 1500 * time.Microsecond, total: 2 * time.Second,
	}
}

func TestAccessLines(t *testing.T) {
	e := entryOf("/cart?x=1", "https://shop.example.com/", "curl/8.5")
	if got, want := string(appendCombined(nil, e)), `192.0.2.7 - - [24/Nov/2026:15:22:20 +0000] "GET /cart?x=1 HTTP/1.1" 200 512 "https://shop.example.com/" "curl/8.5" shop 8e4d0fc096ea 1 0.001500 2.000000`+"\n"; got != want {
		t.Errorf("text is\n%swant\n%s", got, want)
	}
	if got, want := string(appendAccessJSON(nil, e)), `{"time":"2026-11-24T15:22:20.123Z","client":"192.0.2.7","method":"GET","target":"/cart?x=1","protocol":"HTTP/1.1","referer":"https://shop.example.com/","user_agent":"curl/8.5","service":"shop","backend":"8e4d0fc096ea","status":200,"bytes":512,"retries":1,"first_byte":0.001500,"total":2.000000}`+"\n"; got != want {
		t.Errorf("JSON is\n%swant\n%s", got, want)
	}
	e = &accessEntry{began: e.began, client: "192.0.2.7", request: httptest.NewRequest("GET", "/", nil), status: statusLeft}
	if got, want := string(appendCombined(nil, e)), `192.0.2.7 - - [24/Nov/2026:15:22:20 +0000] "GET / HTTP/1.1" 499 0 "-" "-" - - 0 - 0.000000`+"\n"; got != want {
		t.Errorf("of nothing, text is\n%swant\n%s", got, want)
	}
	if got := string(appendAccessJSON(nil, e)); !strings.Contains(got, `"first_byte":null,`) {
		t.Errorf("of nothing, JSON is %s", got)
	}
}

// Whatever a client sends is one line, in which it can't pose as another field or
// speak to the terminal that shows it.
func FuzzAccessLine(f *testing.F) {
	f.Add("/\" 200 1 \"-\" \"-\" admin", "a\r\n192.0.2.1 - - forged", "\x1b[2J\\\x00\xff\u009b2J\"")
	f.Add("/plain", "", "ünï©ode")
	combined := regexp.MustCompile(`^192\.0\.2\.7 - - \[[^\]]+\] "GET (?:[^"\\]|\\.)* HTTP/1\.1" 200 512 "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*" shop 8e4d0fc096ea 1 0\.001500 2\.000000` + "\n$")
	f.Fuzz(func(t *testing.T, target, referer, agent string) {
		e := entryOf(target, referer, agent)
		text, object := string(appendCombined(nil, e)), appendAccessJSON(nil, e)
		if !combined.MatchString(text) {
			t.Errorf("the text is %q", text)
		}
		if i := strings.IndexFunc(strings.TrimSuffix(text, "\n"), func(c rune) bool { return c < ' ' || c > '~' }); i >= 0 {
			t.Errorf("the text has a character of its own at %d: %q", i, text)
		}
		if i := bytes.IndexFunc(bytes.TrimSuffix(object, []byte("\n")), unicode.IsControl); i >= 0 || !utf8.Valid(object) {
			t.Errorf("the JSON is %q", object)
		}
		var got struct {
			Target    string
			Referer   string
			UserAgent string `json:"user_agent"`
		}
		if err := json.Unmarshal(object, &got); err != nil {
			t.Fatalf("%v: %q", err, object)
		}
		for _, field := range [][2]string{{got.Target, target}, {got.Referer, referer}, {got.UserAgent, agent}} {
			if want := strings.ToValidUTF8(field[1], "\ufffd"); utf8.ValidString(field[1]) && field[0] != want {
				t.Errorf("%q became %q", field[1], field[0])
			}
		}
	})
}

func TestAccessLogOfTheProxy(t *testing.T) {
	s := newLoggedStand(t, "json")
	large := strings.Repeat("x", moveFrom+1)
	s.serves(
		s.runs("shop", "web-1", func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/large":
				w.Header().Set("Content-Length", fmt.Sprint(len(large)))
				io.WriteString(w, large)
			case "/upgrade":
				conn, _, _ := w.(http.Hijacker).Hijack()
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				io.Copy(conn, conn)
				conn.Close()
			case "/empty":
				w.WriteHeader(204)
			default:
				io.WriteString(w, "hello")
			}
		}),
		backendOf("dead", "gone-1", at(closedPort(t)), created(2)), s.runs("dead", "alive-1", says("alive")))

	s.ask("GET", "/", "shop.localhost", "", "User-Agent", "test")
	s.ask("HEAD", "/", "shop.localhost", "")
	s.ask("GET", "/large", "shop.localhost", "")
	s.ask("GET", "/empty", "shop.localhost", "")
	s.ask("GET", "/", "nobody.localhost", "")
	for range 2 { // one of the two goes to the dead one first
		s.ask("GET", "/", "dead.localhost", "")
	}
	conn, err := net.Dial("tcp", s.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET /upgrade HTTP/1.1\r\nHost: shop.localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nping")
	answer := make([]byte, 512)
	for got := ""; !strings.HasSuffix(got, "ping"); {
		n, err := conn.Read(answer)
		if err != nil {
			t.Fatal(err)
		}
		got += string(answer[:n])
	}
	conn.Close()
	s.proxy.upgraded.Wait()

	type line struct {
		Client, Method, Target, Protocol, Service, Backend string
		Status, Retries                                    int
		Bytes                                              int64
		FirstByte                                          *float64 `json:"first_byte"`
		Total                                              float64
	}
	var got []string
	retries := 0
	for _, text := range s.finish() {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if l.FirstByte == nil || *l.FirstByte <= 0 || *l.FirstByte > l.Total || l.Client != "127.0.0.1" || l.Protocol != "HTTP/1.1" {
			t.Errorf("%s", text)
		}
		retries += l.Retries
		got = append(got, fmt.Sprintf("%s %s %d %d %q %q", l.Method, l.Target, l.Status, l.Bytes, l.Service, l.Backend))
	}
	web, alive := short(idOf("web-1")), short(idOf("alive-1"))
	want := []string{
		`GET / 200 5 "shop" "` + web + `"`,
		`HEAD / 200 0 "shop" "` + web + `"`,
		`GET /large 200 ` + fmt.Sprint(len(large)) + ` "shop" "` + web + `"`,
		`GET /empty 204 0 "shop" "` + web + `"`,
		`GET / 404 ` + fmt.Sprint(len(answerNoRoute.text)+1) + ` "" ""`,
		`GET / 200 5 "dead" "` + alive + `"`,
		`GET / 200 5 "dead" "` + alive + `"`,
		`GET /upgrade 101 0 "shop" "` + web + `"`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("logged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if retries != 1 {
		t.Errorf("%d retries, want 1", retries)
	}
}

func TestAccessLogOfAClientThatLeft(t *testing.T) {
	s := newLoggedStand(t, "text")
	entered := make(chan struct{})
	s.serves(s.runs("shop", "web-1", func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}))
	ctx, leave := context.WithCancel(t.Context())
	request, _ := http.NewRequestWithContext(ctx, "GET", s.front.URL+"/slow", nil)
	request.Host = "shop.localhost"
	go func() {
		<-entered
		leave()
	}()
	if _, err := http.DefaultTransport.RoundTrip(request); err == nil {
		t.Fatal("there is an answer")
	}
	lines := s.finish()
	if len(lines) != 1 || !regexp.MustCompile(`"GET /slow HTTP/1\.1" 499 0 "-" "[^"]*" shop `+short(idOf("web-1"))+` 0 - \d`).MatchString(lines[0]) {
		t.Errorf("logged %q", lines)
	}
}

// slowSink is an output that takes nothing until it is told to, or fails.
type slowSink struct {
	gate chan struct{} // closed: it takes everything
	mu   sync.Mutex    // guards the following
	text bytes.Buffer
	fail error
}

func (s *slowSink) Write(p []byte) (int, error) {
	<-s.gate
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return 0, s.fail
	}
	return s.text.Write(p)
}

func (s *slowSink) lines() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Count(s.text.Bytes(), []byte("\n"))
}

// inLogBubble runs a test with time of its own against an access log that runs.
func inLogBubble(t *testing.T, test func(t *testing.T, l *AccessLog, sink *slowSink, book *logBook)) {
	synctest.Test(t, func(t *testing.T) {
		log, book := logToBook(t, slog.LevelInfo)
		sink := &slowSink{gate: make(chan struct{})}
		l := newAccessLog("text", sink, &ForwardedRules{}, log)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { l.Run(ctx) })
		test(t, l, sink, book)
		stop()
		running.Wait()
	})
}

func TestAccessLogIsFlushedEachSecond(t *testing.T) {
	inLogBubble(t, func(t *testing.T, l *AccessLog, sink *slowSink, _ *logBook) {
		close(sink.gate)
		e := entryOf("/", "", "")
		l.write(e)
		pass(accessLogInterval)
		if n := sink.lines(); n != 1 {
			t.Errorf("after a second: %d lines, want 1", n)
		}
		for range 1000 { // much at once does not wait that long
			l.write(e)
		}
		synctest.Wait()
		if n := sink.lines(); n < 500 {
			t.Errorf("at once: %d lines of 1001", n)
		}
		l.write(e)
	})
}

func TestAccessLogIsFlushedAtTheEnd(t *testing.T) {
	var sink *slowSink
	inLogBubble(t, func(t *testing.T, l *AccessLog, s *slowSink, _ *logBook) {
		sink = s
		close(sink.gate)
		l.write(entryOf("/", "", ""))
	})
	if n := sink.lines(); n != 1 {
		t.Errorf("%d lines, want 1", n)
	}
}

func TestAccessLogThatIsBlocked(t *testing.T) {
	inLogBubble(t, func(t *testing.T, l *AccessLog, sink *slowSink, book *logBook) {
		began := time.Now()
		e := entryOf("/", "", "")
		size := len(appendCombined(nil, e))
		const wrote = 100_000
		for range wrote {
			l.write(e)
		}
		if took := time.Since(began); took != 0 { // time passes in a bubble only while all wait
			t.Errorf("the requests have waited %v", took)
		}
		dropped := int(l.Dropped())
		if kept := (wrote - dropped) * size; dropped == 0 || kept > 2*accessLogLimit+accessLogBatch {
			t.Errorf("%d lines are dropped, %d bytes kept", dropped, kept)
		}
		for range 5 {
			l.write(e)
			pass(accessLogInterval)
		}
		if n := book.count("WARN", "access log lines are dropped"); n != 1 {
			t.Errorf("that is told %d times, not once", n)
		}
		metrics := NewMetrics(NewRegistry(quiet(), 0), &Proxy{accessLog: l}, func() *Roll { return &Roll{} })
		scrape := httptest.NewRecorder()
		metrics.Handler().ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
		if want := fmt.Sprintf("\nrollcall_access_log_dropped_total %d\n", l.Dropped()); !strings.Contains(scrape.Body.String(), want) {
			t.Errorf("the metrics lack %s", want)
		}

		close(sink.gate)
		pass(2 * accessLogInterval)
		l.write(e)
		pass(accessLogInterval)
		if n, want := sink.lines(), wrote+6-int(l.Dropped()); n != want {
			t.Errorf("%d lines were written, want %d", n, want)
		}
		if n := book.count("INFO", "no longer dropped"); n != 1 {
			t.Errorf("the end of that is told %d times", n)
		}
	})
}

func TestAccessLogThatStaysBlockedDoesNotHoldUpTheEnd(t *testing.T) {
	var sink *slowSink
	var book *logBook
	synctest.Test(t, func(t *testing.T) {
		log, b := logToBook(t, slog.LevelInfo)
		book, sink = b, &slowSink{gate: make(chan struct{})}
		l := newAccessLog("text", sink, &ForwardedRules{}, log)
		ctx, stop := context.WithCancel(t.Context())
		l.write(entryOf("/", "", ""))
		stop()
		began := time.Now()
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != accessLogPatience {
			t.Errorf("the end took %v", took)
		}
		close(sink.gate) // as the process's end would
	})
	if n := book.count("WARN", "the last lines of the access log are lost"); n != 1 {
		t.Errorf("that is told %d times", n)
	}
}

func TestAccessLogToABrokenPipe(t *testing.T) {
	inLogBubble(t, func(t *testing.T, l *AccessLog, sink *slowSink, book *logBook) {
		sink.fail = errors.New("broken pipe")
		close(sink.gate)
		for range 3 {
			l.write(entryOf("/", "", ""))
		}
		pass(2 * accessLogInterval)
		if l.Dropped() != 3 || book.count("WARN", "access log lines are dropped") != 1 {
			t.Errorf("%d lines are dropped; the log says %s", l.Dropped(), book)
		}
	})
}

func BenchmarkAccessLog(b *testing.B) {
	for _, format := range []string{"text", "json"} {
		b.Run(format, func(b *testing.B) {
			l := newAccessLog(format, io.Discard, &ForwardedRules{}, quiet())
			ctx, stop := context.WithCancel(b.Context())
			var running sync.WaitGroup
			running.Go(func() { l.Run(ctx) })
			e := entryOf("/cart?x=1", "https://shop.example.com/", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					l.write(e)
				}
			})
			stop()
			running.Wait()
			b.ReportMetric(float64(l.Dropped())/float64(b.N), "dropped/op")
		})
	}
}
