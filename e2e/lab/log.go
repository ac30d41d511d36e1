package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

// Log is what a rollcall has written on standard error, line by line. It is safe
// for concurrent use.
type Log struct {
	mu    sync.Mutex // guards the following fields
	rest  []byte     // of a line whose end has not come yet
	lines []Line
}

// Line is one line of a log. Those that are not JSON are all Msg.
type Line struct {
	Msg    string
	Level  string // "INFO"
	Fields map[string]string
	Text   string // the whole line
}

// Write takes a piece of the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		l.lines = append(l.lines, parseLine(string(line)))
		l.rest = rest
	}
}

func parseLine(text string) Line {
	line := Line{Msg: text, Text: text, Fields: map[string]string{}}
	fields := map[string]any{}
	if json.Unmarshal([]byte(text), &fields) == nil {
		for key, value := range fields {
			line.Fields[key] = fmt.Sprint(value)
		}
		line.Msg, line.Level = line.Fields["msg"], line.Fields["level"]
	}
	return line
}

// Lines returns the lines so far whose message begins with prefix.
func (l *Log) Lines(prefix string) []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Line
	for _, line := range l.lines {
		if strings.HasPrefix(line.Msg, prefix) {
			found = append(found, line)
		}
	}
	return found
}

// String returns the whole log.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, line := range l.lines {
		b.WriteString(line.Text + "\n")
	}
	b.Write(l.rest)
	return b.String()
}

// Await waits for a line whose message begins with prefix, and returns the first.
func (l *Log) Await(t T, prefix string) Line {
	t.Helper()
	return l.AwaitMore(t, prefix, 0)[0]
}

// AwaitMore waits until there are more than n lines whose message begins with
// prefix, and returns those after the n-th.
func (l *Log) AwaitMore(t T, prefix string, n int) []Line {
	t.Helper()
	var lines []Line
	Await(t, fmt.Sprintf("the log says %q", prefix), func() error {
		if lines = l.Lines(prefix); len(lines) <= n {
			return fmt.Errorf("the log is:\n%s", l)
		}
		return nil
	})
	return lines[n:]
}
