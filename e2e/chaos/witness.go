package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"rollcall/e2e/lab"
)

// Witness learns from the apps which POSTs have reached them. A POST that was
// sent twice is seen here even if its client got a single answer.
type Witness struct {
	Dir  string // holds its socket; each container gets it as /witness
	mu   sync.Mutex
	seen map[string][]string // container names by path; guarded by mu
}

func newWitness(t lab.T, l *lab.Lab) *Witness {
	t.Helper()
	w := &Witness{Dir: filepath.Join(l.Dir, "witness"), seen: map[string][]string{}}
	if err := os.Mkdir(w.Dir, 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	path := filepath.Join(w.Dir, "socket")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatalf("%v", err)
	}
	// The app is another user.
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatalf("%v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.listen(socket)
	}()
	t.Cleanup(func() {
		socket.Close()
		<-done
	})
	return w
}

func (w *Witness) listen(socket *net.UnixConn) {
	var buffer [512]byte
	for {
		n, err := socket.Read(buffer[:])
		if err != nil {
			return
		}
		path, container, _ := strings.Cut(string(buffer[:n]), " ")
		w.mu.Lock()
		w.seen[path] = append(w.seen[path], container)
		w.mu.Unlock()
	}
}

// Twice returns the POSTs that reached an app more than once.
func (w *Witness) Twice() map[string][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	twice := map[string][]string{}
	for path, containers := range w.seen {
		if len(containers) > 1 {
			twice[path] = containers
		}
	}
	return twice
}

// Saw tells whether a POST has reached an app.
func (w *Witness) Saw(path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen[path]) > 0
}

// Len returns how many POSTs were seen.
func (w *Witness) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen)
}
