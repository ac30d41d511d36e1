package main

import (
	"bufio"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func by(scheme string) entryOption { return func(e *Entry) { e.Scheme = scheme } }

func insecure() entryOption { return func(e *Entry) { e.Insecure = true } }

// speaks is a container whose server speaks h2c, or https with HTTP/2 or
// without.
func (s *stand) speaks(protocol, service, name string, handler http.HandlerFunc, options ...entryOption) Entry {
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = s.proxy.errorLog
	s.t.Cleanup(server.Close)
	switch protocol {
	case "h2c":
		server.Config.Protocols = &http.Protocols{}
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Start()
		options = append(options, by("h2c"))
	case "https":
		server.StartTLS()
		options = append(options, by("https"))
	case "https2":
		server.EnableHTTP2 = true
		server.StartTLS()
		options = append(options, by("https"))
	default:
		server.Start()
	}
	return backendOf(service, name, append(options, at(server.Listener.Addr().String()))...)
}

var protocols = []string{"http", "https", "https2", "h2c"}

func TestProtocolsToTheBackend(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			s := newStand(t, 0)
			s.serves(s.speaks(protocol, "a", "a-1", func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				w.Header().Set("Trailer", "X-Sum")
				fmt.Fprintf(w, "%s %s %s %s %s", r.Proto, r.Host, r.Method, r.Header.Get("X-Forwarded-For"), body)
				w.Header().Set("X-Sum", "1")
			}, insecure()))
			proto := map[string]string{"http": "HTTP/1.1", "https": "HTTP/1.1", "https2": "HTTP/2.0", "h2c": "HTTP/2.0"}[protocol]
			response, body := s.ask("PUT", "/x", "a.localhost", "big "+strings.Repeat("x", 100000))
			if want := proto + " a.localhost PUT 127.0.0.1 big x"; !strings.HasPrefix(body, want) || len(body) != len(want)+99999 || response.Trailer.Get("X-Sum") != "1" {
				t.Errorf("answered %d %.80s, trailer %v; want %s", response.StatusCode, body, response.Trailer, want)
			}
		})
	}
}

func TestProtocolsKeepTheTarget(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			s := newStand(t, 0)
			s.serves(s.speaks(protocol, "a", "a-1", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Target", r.RequestURI) }, insecure(), catchAll()))
			for _, sent := range []string{"/", "/?", "/a%2fb%2F%7e?q=%zz&;", "//double//slash", "/a/../b/./c", `/a|b"c^d{e}`, "/x?y?z#w", "/:a@b!$&'()*+,="} {
				response := s.raw("GET " + sent + " HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n")
				if got := response.Header.Get("Target"); got != sent {
					t.Errorf("%s arrived as %s (%s)", sent, got, response.Status)
				}
			}
		})
	}
}

func TestProtocolsTimeOut(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			s := newStand(t, 0)
			hang := make(chan struct{})
			s.serves(s.speaks(protocol, "a", "a-1", func(http.ResponseWriter, *http.Request) { <-hang }, insecure(), answersWithin(50*time.Millisecond)))
			t.Cleanup(func() { close(hang) })
			if response, _ := s.ask("GET", "/", "a.localhost", ""); response.StatusCode != 504 || response.Header.Get("Rollcall-Error") != "backend-timeout" {
				t.Errorf("answered %s %s", response.Status, response.Header.Get("Rollcall-Error"))
			}
		})
	}
}

// What a client does wrong must not take a backend out of rotation.
func TestProtocolsAndBadClients(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			s := newStand(t, 0)
			s.serves(s.speaks(protocol, "a", "a-1", func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }, insecure()))
			for range 2 * ejectAfter {
				_, in := s.open("PUT / HTTP/1.1\r\nHost: a.localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n\r\n")
				wantStatus(t, in, "400")
			}
			if m := s.registry.List()[0]; m.State != Healthy || m.Failures() != 0 {
				t.Errorf("the backend is %s with %d failures: %s", m.State, m.Failures(), m.Reason)
			}
		})
	}
}

// HTTP/2 has no upgrade: over it the offer is not made, as a server may ignore it
// anyway. curl --http2 makes one with each request.
func TestProtocolsAndUpgrades(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			s := newStand(t, 0)
			s.serves(s.speaks(protocol, "a", "a-1", func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Upgrade") != "websocket" {
					io.WriteString(w, "no websocket")
					return
				}
				conn, err := websocket.Accept(w, r, nil)
				if err != nil {
					return
				}
				defer conn.CloseNow()
				kind, message, err := conn.Read(r.Context())
				if err == nil {
					conn.Write(r.Context(), kind, []byte(strings.ToUpper(string(message))))
				}
			}, insecure(), catchAll()))
			for range 2 * ejectAfter {
				response, body := s.ask("GET", "/", "", "", "Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "HTTP2-Settings", "AAMAAABkAAQAAP__")
				if response.StatusCode != 200 || body != "no websocket" {
					t.Fatalf("an offer of h2c is answered %d %s", response.StatusCode, body)
				}
			}
			conn, response, err := websocket.Dial(t.Context(), s.front.URL, nil)
			if protocol == "h2c" {
				if err == nil || response.StatusCode != 200 {
					t.Errorf("a WebSocket over h2c: %v %v", response, err)
				}
			} else if err != nil {
				t.Errorf("a WebSocket over %s: %v", protocol, err)
			} else {
				conn.Write(t.Context(), websocket.MessageText, []byte("hello"))
				if _, got, err := conn.Read(t.Context()); err != nil || string(got) != "HELLO" {
					t.Errorf("came back: %q %v", got, err)
				}
				conn.CloseNow()
			}
			if m := s.registry.List()[0]; m.State != Healthy || m.Failures() != 0 {
				t.Errorf("the backend is %s with %d failures: %s", m.State, m.Failures(), m.Reason)
			}
		})
	}
}

// gRPC as it is on the wire: a call is a POST whose messages go both ways at a
// time, and whose status comes in a trailer.
func grpcLike(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" {
		http.Error(w, "no gRPC", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
	w.WriteHeader(200)
	w.(http.Flusher).Flush()
	messages := bufio.NewReader(r.Body)
	for {
		message, err := messages.ReadString('\n')
		if err != nil {
			break
		}
		io.WriteString(w, "echo "+message)
		w.(http.Flusher).Flush()
	}
	w.Header().Set("Grpc-Status", "0")
	w.Header().Set("Grpc-Message", "bye "+r.Trailer.Get("X-Last"))
}

// newHTTP2Stand is a stand whose clients may speak HTTP/2.
func newHTTP2Stand(t *testing.T) *stand {
	s := newStand(t, 0)
	s.front = newFront(s.proxy)
	s.front.Config.Protocols = &http.Protocols{}
	s.front.Config.Protocols.SetHTTP1(true)
	s.front.Config.Protocols.SetUnencryptedHTTP2(true)
	s.front.Start()
	t.Cleanup(s.front.Close)
	return s
}

func TestGRPC(t *testing.T) {
	for _, client := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run("from "+client, func(t *testing.T) {
			s := newHTTP2Stand(t)
			s.serves(s.speaks("h2c", "a", "a-1", grpcLike, catchAll()))
			transport := &http.Transport{Protocols: &http.Protocols{}}
			defer transport.CloseIdleConnections()
			transport.Protocols.SetHTTP1(client == "HTTP/1.1")
			transport.Protocols.SetUnencryptedHTTP2(client == "HTTP/2.0")
			reader, writer := io.Pipe()
			request, _ := http.NewRequestWithContext(t.Context(), "POST", s.front.URL+"/shop.Cart/Talk", reader)
			request.Header.Set("Te", "trailers")
			request.Trailer = http.Header{"X-Last": {"now"}}
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.Proto != client || response.StatusCode != 200 {
				t.Fatalf("answered %s %s", response.Proto, response.Status)
			}
			answers := bufio.NewReader(response.Body)
			for _, word := range []string{"one", "two", "three"} {
				io.WriteString(writer, word+"\n")
				if line, err := answers.ReadString('\n'); err != nil || line != "echo "+word+"\n" {
					t.Fatalf("to %s came %q, %v", word, line, err)
				}
			}
			writer.Close()
			if rest, err := io.ReadAll(answers); err != nil || len(rest) > 0 {
				t.Errorf("at the end came %q, %v", rest, err)
			}
			if got := response.Trailer; got.Get("Grpc-Status") != "0" || got.Get("Grpc-Message") != "bye now" {
				t.Errorf("the trailer is %v", got)
			}
		})
	}
}

// An error that a gRPC server gives without a message is a trailer alone.
func TestGRPCErrors(t *testing.T) {
	s := newHTTP2Stand(t)
	s.serves(s.speaks("h2c", "a", "a-1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "12")
	}, catchAll()))
	transport := &http.Transport{Protocols: &http.Protocols{}}
	defer transport.CloseIdleConnections()
	transport.Protocols.SetUnencryptedHTTP2(true)
	request, _ := http.NewRequestWithContext(t.Context(), "POST", s.front.URL, strings.NewReader("x"))
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	if response.Trailer.Get("Grpc-Status") != "12" && response.Header.Get("Grpc-Status") != "12" {
		t.Errorf("the status is lost: %v %v", response.Header, response.Trailer)
	}
}

// A client that leaves ends its call, and nothing else on the connection.
func TestGRPCEndsWithItsClient(t *testing.T) {
	s := newHTTP2Stand(t)
	ended := make(chan struct{})
	s.serves(s.speaks("h2c", "a", "a-1", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/other" {
			return
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(ended)
	}, catchAll()))
	ctx, cancel := context.WithCancel(t.Context())
	request, _ := http.NewRequestWithContext(ctx, "GET", s.front.URL, nil)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended
	response.Body.Close()
	if response, _ := s.ask("GET", "/other", "", ""); response.StatusCode != 200 {
		t.Errorf("then another is answered %s", response.Status)
	}
}

func TestEventStreamsOverAllProtocols(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			s := newStand(t, 0)
			next := make(chan string)
			s.serves(s.speaks(protocol, "a", "a-1", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.(http.Flusher).Flush()
				for word := range next {
					fmt.Fprintf(w, "data: %s\n", word)
					w.(http.Flusher).Flush()
				}
			}, insecure(), catchAll()))
			response, err := http.Get(s.front.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			lines := bufio.NewReader(response.Body)
			for _, word := range []string{"one", "two"} {
				next <- word
				if line, err := lines.ReadString('\n'); err != nil || line != "data: "+word+"\n" {
					t.Fatalf("got %q, %v", line, err)
				}
			}
			close(next)
		})
	}
}

// Unless a label says otherwise, a backend's certificate must be good: one that
// nobody vouches for is not.
func TestHTTPSIsVerified(t *testing.T) {
	for _, protocol := range []string{"https", "https2"} {
		s := newStand(t, 0)
		s.serves(s.speaks(protocol, "a", "a-1", func(http.ResponseWriter, *http.Request) { t.Error("a request reached it") }, hosts("example.com")))
		for range 2 {
			if response, _ := s.ask("POST", "/", "example.com", "x"); response.StatusCode != 502 || response.Header.Get("Rollcall-Error") != "backend-failed" {
				t.Errorf("%s: answered %s", protocol, response.Status)
			}
		}
	}
}

// With a root that vouches for it, it is good for its own name only. A process
// reads its roots once, so this one is another.
func TestHTTPSIsVerifiedByName(t *testing.T) {
	const inChild = "ROLLCALL_TEST_ROOTS"
	if os.Getenv(inChild) == "" {
		server := httptest.NewTLSServer(nil)
		defer server.Close()
		roots := filepath.Join(t.TempDir(), "roots.pem")
		if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), inChild+"="+roots, "SSL_CERT_FILE="+roots)
		if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	s := newStand(t, 0)
	s.serves(
		s.speaks("https", "good", "good-1", says("good"), hosts("*.example.com,example.com")),
		s.speaks("https2", "other", "other-1", says("other"), hosts("other.example.org")),
		s.speaks("https2", "careless", "careless-1", says("careless"), hosts("careless.example.org"), insecure()),
	)
	for host, status := range map[string]int{"example.com": 200, "www.example.com": 200, "other.example.org": 502, "careless.example.org": 200} {
		if response, body := s.ask("GET", "/", host, ""); response.StatusCode != status {
			t.Errorf("%s: answered %s %s", host, response.Status, body)
		}
	}
}

// What speaks no TLS, or no HTTP/2, is a failure that tells itself apart from a
// backend that answers.
func TestWrongSchemes(t *testing.T) {
	s := newStand(t, 0)
	s.serves(
		s.speaks("http", "tls", "tls-1", says("plain"), by("https"), insecure()),
		s.speaks("http", "h2c", "h2c-1", says("plain"), by("h2c")),
	)
	for _, service := range []string{"tls", "h2c"} {
		if response, _ := s.ask("GET", "/", service+".localhost", ""); response.StatusCode != 502 {
			t.Errorf("%s: answered %s", service, response.Status)
		}
	}
}
