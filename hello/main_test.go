package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestMain lets a test start hello as a process of its own: this very binary.
func TestMain(m *testing.M) {
	if os.Getenv("HELLO_TEST_PROCESS") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is hello with the given arguments and environment, not started yet.
func process(t *testing.T, args []string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	// The last two keep a binary built with -cover or -race from saying or
	// waiting for something of its own at its end.
	cmd.Env = append(env, "HELLO_TEST_PROCESS=1", "GOCOVERDIR="+t.TempDir(), "GORACE=atexit_sleep_ms=0")
	return cmd
}

func TestProcessLivesUntilSIGTERM(t *testing.T) {
	hello := process(t, nil, "HELLO_PORT=0")
	stdout, err := hello.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hello.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "hello: listening on ")
	if !ok {
		t.Fatalf("first line is %q", line)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	// Asking as the image's HEALTHCHECK does, where a proxy is set as well.
	env := []string{"HELLO_PORT=" + port, "HTTP_PROXY=http://127.0.0.1:1"}
	if out, err := process(t, []string{"healthcheck"}, env...).CombinedOutput(); err != nil {
		t.Errorf("healthcheck of a living hello: %v: %s", err, out)
	}

	if err := hello.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := hello.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	out, err := process(t, []string{"healthcheck"}, env...).CombinedOutput()
	checkFailure(t, out, err, 1, "connection refused")
}

func TestWrongUsage(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		env  string
		says string
	}{
		{"unknown argument", []string{"health"}, "", `unknown arguments ["health"]`},
		{"two arguments", []string{"healthcheck", "now"}, "", "unknown arguments"},
		{"delay without a unit", nil, "HELLO_START_DELAY=5", `HELLO_START_DELAY="5" is not a delay`},
		{"delay below zero", nil, "HELLO_STOP_DELAY=-1s", `HELLO_STOP_DELAY="-1s" is not a delay`},
		{"delay in words", nil, "HELLO_ANSWER_DELAY=soon", `HELLO_ANSWER_DELAY="soon" is not a delay`},
		{"port in words", nil, "HELLO_PORT=http", `HELLO_PORT="http" is not a port`},
		{"port too large", nil, "HELLO_PORT=65536", `HELLO_PORT="65536" is not a port`},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := process(t, test.args, test.env).CombinedOutput()
			checkFailure(t, out, err, 2, test.says)
		})
	}
}

func checkFailure(t *testing.T, out []byte, err error, code int, says string) {
	t.Helper()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != code {
		t.Errorf("ended with %v, want exit code %d", err, code)
	}
	text := string(out)
	if !strings.HasPrefix(text, "hello: ") || !strings.Contains(text, says) || strings.Count(text, "\n") != 1 {
		t.Errorf("said %q, want one line with %q", text, says)
	}
}

func TestStartDelayComesBeforeListening(t *testing.T) {
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	env := func(name string) string {
		return map[string]string{"HELLO_PORT": port, "HELLO_START_DELAY": "1h"}[name]
	}

	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := run(t.Context(), nil, env, io.Discard)
		if !errors.Is(err, syscall.EADDRINUSE) || time.Since(start) != time.Hour {
			t.Errorf("on a taken port: %v after %v, want address in use after 1h", err, time.Since(start))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		err := run(ctx, nil, env, io.Discard)
		if err != nil || time.Since(start) != time.Minute {
			t.Errorf("stopped while starting: %v after %v, want nil after 1m", err, time.Since(start))
		}
	})
}

func TestStop(t *testing.T) {
	const signal = 3 * time.Second // comes this long after the request
	for _, test := range []struct {
		name         string
		answer, stop time.Duration
		want         time.Duration // from the signal to the end
	}{
		{"waits for the request in flight", 10 * time.Second, 0, 7 * time.Second},
		{"waits for the stop delay", 10 * time.Second, time.Minute, time.Minute},
		{"waits for nothing else", 0, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := newPipeListener()
				client := &http.Client{Transport: &http.Transport{DialContext: ln.dial}}
				defer client.CloseIdleConnections()
				ctx, cancel := context.WithTimeout(t.Context(), signal)
				defer cancel()
				cfg := config{hostname: "me", answerDelay: test.answer, stopDelay: test.stop}
				ended := make(chan error, 1)
				go func() { ended <- serve(ctx, ln, cfg) }()
				answered := make(chan error, 1)
				go func() {
					resp, err := client.Get("http://hello/")
					if err == nil {
						_, err = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					answered <- err
				}()

				<-ctx.Done()
				start := time.Now()
				synctest.Wait()
				if _, err := ln.dial(t.Context(), "", ""); err == nil {
					t.Error("still accepts connections after the signal")
				}
				if err := <-ended; err != nil {
					t.Errorf("serve: %v", err)
				}
				// Shutdown looks every 500 ms at the latest whether all are idle.
				if took := time.Since(start); took < test.want || took > test.want+time.Second {
					t.Errorf("ended %v after the signal, want %v", took, test.want)
				}
				if err := <-answered; err != nil {
					t.Errorf("request in flight: %v", err)
				}
			})
		})
	}
}

func TestStopEndsEventStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		client := &http.Client{Transport: &http.Transport{DialContext: ln.dial}}
		defer client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- serve(ctx, ln, config{hostname: "me"}) }()

		resp, err := client.Get("http://hello/events")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
			t.Errorf("Content-Type is %q", kind)
		}
		events, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		if want := "data: me 1\n\ndata: me 2\n\ndata: me 3\n\n"; string(events) != want {
			t.Errorf("got %q, want %q", events, want)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestEventStreamEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/events", nil)
		newHandler(config{hostname: "me"}, nil).ServeHTTP(w, r)
		if n := strings.Count(w.Body.String(), "data: me "); n < 60 || n > 61 {
			t.Errorf("%d events in a minute", n)
		}
	})
}

func TestAnswers(t *testing.T) {
	const delay = 3 * time.Second
	for _, test := range []struct {
		method, target, body string
		want                 string
		after                time.Duration
	}{
		{"GET", "/", "", "Hello from me\n", delay},
		{"GET", "//a/../%2f?q=1", "", "Hello from me\n", delay},
		{"DELETE", "/healthz/", "", "Hello from me\n", delay},
		{"POST", "/", "ignored", "Hello from me\n", delay},
		{"GET", "/healthz", "", "ok", 0},
		{"PUT", "/echo", "<p>some bytes", "<p>some bytes", delay},
		{"GET", "/echo", "", "", delay},
	} {
		t.Run(test.method+" "+test.target, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				w := httptest.NewRecorder()
				r := httptest.NewRequest(test.method, test.target, strings.NewReader(test.body))
				newHandler(config{hostname: "me", answerDelay: delay}, nil).ServeHTTP(w, r)
				if w.Code != http.StatusOK || w.Body.String() != test.want {
					t.Errorf("got %d %q, want 200 %q", w.Code, w.Body, test.want)
				}
				if got := w.Header().Get("X-Hello"); got != "me" {
					t.Errorf("X-Hello is %q", got)
				}
				if took := time.Since(start); took != test.after {
					t.Errorf("took %v, want %v", took, test.after)
				}
			})
		})
	}
}

func TestEchoOfLargeBody(t *testing.T) {
	server := httptest.NewServer(newHandler(config{hostname: "me"}, nil))
	defer server.Close()
	// More than the 256 KiB that net/http reads on its own before it answers.
	body := make([]byte, 4<<20)
	rand.Read(body)
	resp, err := http.Post(server.URL+"/echo", "image/png", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes came back (%v), %d were sent", len(got), err, len(body))
	}
	if resp.ContentLength != int64(len(body)) || resp.Header.Get("Content-Type") != "image/png" {
		t.Errorf("Content-Length %d, Content-Type %q", resp.ContentLength, resp.Header.Get("Content-Type"))
	}
}

func TestEchoOfBrokenBodyIsNoWholeAnswer(t *testing.T) {
	server := httptest.NewServer(newHandler(config{hostname: "me"}, nil))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "POST /echo HTTP/1.1\r\nHost: hello\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return // the connection ended before an answer: fine too
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a broken body was echoed as a whole answer: %d %q", resp.StatusCode, body)
	}
}

// pipeListener is a listener in memory, so that time can stand still around it.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newPipeListener() *pipeListener {
	closed := make(chan struct{})
	return &pipeListener{make(chan net.Conn), closed, sync.OnceFunc(func() { close(closed) })}
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.close(); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }
