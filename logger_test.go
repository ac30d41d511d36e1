package main

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// logTo logs to the test: silent when it is green, the whole story when it is
// red.
func logTo(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// quiet is the logger of tests that make too much of a story.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// logBook keeps what is logged, for tests that ask for it.
type logBook struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
	copy io.Writer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.copy != nil {
		b.copy.Write(p)
	}
	return b.text.Write(p)
}

// count tells how many of the lines contain all of the words.
func (b *logBook) count(words ...string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
next:
	for line := range strings.Lines(b.text.String()) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue next
			}
		}
		n++
	}
	return n
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// logToBook logs to a book, from level on.
func logToBook(t testing.TB, level slog.Level) (*slog.Logger, *logBook) {
	book := &logBook{copy: t.Output()}
	return slog.New(slog.NewTextHandler(book, &slog.HandlerOptions{Level: level})), book
}
