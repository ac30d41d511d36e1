package load

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Streams keeps WebSockets and event streams to one host open, and opens another
// when one ends.
type Streams struct {
	addr, host string
	mu         sync.Mutex // guards the following fields
	open, most int
	ends       []StreamEnd
	longest    time.Duration
}

// StreamEnd is the end of one stream.
type StreamEnd struct {
	Kind   string // "WebSocket" or "event stream"
	At     time.Time
	Reason string // Goodbye, or what happened instead
}

// Goodbye is the reason of an end that the app itself has announced.
const Goodbye = "the app said goodbye"

// NewStreams returns streams to a host at addr, "127.0.0.1:80".
func NewStreams(addr, host string) *Streams { return &Streams{addr: addr, host: host} }

// Run keeps so many of each kind open until ctx is done.
func (s *Streams) Run(ctx context.Context, each int) {
	var streams sync.WaitGroup
	for range each {
		streams.Go(func() { s.keep(ctx, "WebSocket", s.webSocket) })
		streams.Go(func() { s.keep(ctx, "event stream", s.events) })
	}
	streams.Wait()
}

// Open returns how many streams are open now.
func (s *Streams) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// Most returns how many streams were open at one time.
func (s *Streams) Most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// Ends returns the ends so far.
func (s *Streams) Ends() []StreamEnd {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ends[:len(s.ends):len(s.ends)]
}

// Longest returns the longest time between two messages of a stream, which come
// each 100 ms.
func (s *Streams) Longest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.longest
}

func (s *Streams) keep(ctx context.Context, kind string, one func(context.Context) error) {
	for ctx.Err() == nil {
		err := one(ctx)
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		s.ends = append(s.ends, StreamEnd{kind, time.Now(), reasonOfEnd(err)})
		s.mu.Unlock()
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func reasonOfEnd(err error) string {
	if err == nil || websocket.CloseStatus(err) == websocket.StatusGoingAway {
		return Goodbye
	}
	return reason(err)
}

// count counts streams that are open.
func (s *Streams) count(change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open += change
	s.most = max(s.most, s.open)
}

// message notes that one came, and returns when.
func (s *Streams) message(last time.Time) time.Time {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.longest = max(s.longest, now.Sub(last))
	return now
}

func (s *Streams) webSocket(ctx context.Context) error {
	client := &http.Client{Transport: &http.Transport{}}
	conn, _, err := websocket.Dial(ctx, "ws://"+s.addr+"/websocket", &websocket.DialOptions{HTTPClient: client, Host: s.host})
	if err != nil {
		return fmt.Errorf("not opened: %w", err)
	}
	defer conn.CloseNow()
	s.count(+1)
	defer s.count(-1)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	last := time.Now()
	for n := 1; ; n++ {
		text := fmt.Sprint(n)
		if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			return err
		}
		_, got, err := conn.Read(ctx) // a goodbye is read here
		if err != nil {
			return err
		}
		if string(got) != text {
			return fmt.Errorf("message %s came as %q", text, got)
		}
		last = s.message(last)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Streams) events(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/events", nil)
	if err != nil {
		return err
	}
	request.Host = s.host
	response, err := (&http.Transport{}).RoundTrip(request)
	if err != nil {
		return fmt.Errorf("not opened: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not opened: %d %s", response.StatusCode, response.Header.Get("Rollcall-Error"))
	}
	s.count(+1)
	defer s.count(-1)
	lines := bufio.NewReader(response.Body)
	last := time.Now()
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		if line == "event: bye\n" {
			return nil
		}
		if want := fmt.Sprintf("data: %d\n", n); line != want {
			return fmt.Errorf("event %d came as %q", n, strings.TrimSpace(line))
		}
		last = s.message(last)
		if _, err := lines.Discard(1); err != nil { // the empty line
			return err
		}
	}
}
