package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// screen is where a command's tables go: a terminal, or anything else, which gets
// neither colours nor a limit on its lines.
type screen struct {
	io.Writer
	size   func() (columns, rows int) // of the terminal; nil: it is none
	colour bool
}

func newScreen(w io.Writer) *screen {
	s := &screen{Writer: w}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		s.size = func() (int, int) {
			columns, rows, err := term.GetSize(int(file.Fd()))
			if err != nil || columns <= 0 || rows <= 0 {
				return 80, 24
			}
			return columns, rows
		}
		s.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return s
}

func (s *screen) terminal() bool { return s.size != nil }

// columns returns the terminal's width, 0 where lines may be of any length.
func (s *screen) columns() int {
	if s.size == nil {
		return 0
	}
	columns, _ := s.size()
	return columns
}

// What a terminal is told (ECMA-48).
const (
	styleBold   = "\x1b[1m"
	styleFaint  = "\x1b[2m"
	styleRed    = "\x1b[31m"
	styleGreen  = "\x1b[32m"
	styleYellow = "\x1b[33m"
	styleEnd    = "\x1b[0m"

	enterPage = "\x1b[?1049h\x1b[?25l" // a page of its own, without a cursor
	leavePage = "\x1b[?25h\x1b[?1049l"
	pageTop   = "\x1b[H"
	lineEnd   = "\x1b[K" // what stood behind it is gone
	pageEnd   = "\x1b[J"
)

// styled puts text in a style, "" for none.
func (s *screen) styled(style, text string) string {
	if style == "" || text == "" || !s.colour {
		return text
	}
	return style + text + styleEnd
}

// page shows lines in place of what the terminal shows; those that don't fit are
// counted in its last line.
func (s *screen) page(lines []string) {
	_, rows := s.size()
	if len(lines) > rows {
		left := len(lines) - rows + 1
		lines = append(lines[:rows-1:rows-1], s.styled(styleFaint, fmt.Sprintf("… and %d lines more", left)))
	}
	io.WriteString(s, pageTop+strings.Join(lines, lineEnd+"\r\n")+lineEnd+pageEnd)
}

// clip shortens text to so many columns.
func clip(text string, columns int) string {
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	runes := []rune(text)
	return string(runes[:max(0, columns-1)]) + "…"
}
