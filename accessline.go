package main

import (
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// accessEntry is what is told of one request.
type accessEntry struct {
	began     time.Time
	client    string
	request   *http.Request
	status    int           // statusLeft if the client left before there was one
	bytes     int64         // of the answer's body
	service   string        // "" if none was reached
	backend   string        // the container's short ID; "" if none was tried
	retries   int           // further attempts after the first
	firstByte time.Duration // from the request's head to the answer's; 0: there was none
	total     time.Duration
}

// statusLeft is what nginx calls an answer that nobody waited for.
const statusLeft = 499

// appendCombined appends the combined log format, and what it does not have:
// service, backend, retries, time to the first byte and total time in seconds.
func appendCombined(line []byte, e *accessEntry) []byte {
	r := e.request
	line = append(line, e.client...)
	line = append(line, " - - ["...)
	line = e.began.AppendFormat(line, "02/Jan/2006:15:04:05 -0700")
	line = append(line, `] "`...)
	line = appendEscaped(line, r.Method)
	line = append(line, ' ')
	line = appendEscaped(line, r.RequestURI)
	line = append(line, ' ')
	line = appendEscaped(line, r.Proto)
	line = append(line, `" `...)
	line = strconv.AppendInt(line, int64(e.status), 10)
	line = append(line, ' ')
	line = strconv.AppendInt(line, e.bytes, 10)
	line = append(line, ` "`...)
	line = appendEscaped(line, orDash(r.Header.Get("Referer")))
	line = append(line, `" "`...)
	line = appendEscaped(line, orDash(r.Header.Get("User-Agent")))
	line = append(line, `" `...)
	line = appendEscaped(line, orDash(e.service))
	line = append(line, ' ')
	line = append(line, orDash(e.backend)...)
	line = append(line, ' ')
	line = strconv.AppendInt(line, int64(e.retries), 10)
	line = append(line, ' ')
	if e.firstByte > 0 {
		line = appendSeconds(line, e.firstByte)
	} else {
		line = append(line, '-')
	}
	line = append(line, ' ')
	line = appendSeconds(line, e.total)
	return append(line, '\n')
}

// appendAccessJSON appends the same as a JSON object.
func appendAccessJSON(line []byte, e *accessEntry) []byte {
	r := e.request
	line = append(line, `{"time":"`...)
	line = e.began.UTC().AppendFormat(line, "2006-01-02T15:04:05.000Z07:00")
	line = append(line, '"')
	for _, field := range [...]struct{ name, value string }{
		{"client", e.client}, {"method", r.Method}, {"target", r.RequestURI}, {"protocol", r.Proto},
		{"referer", r.Header.Get("Referer")}, {"user_agent", r.Header.Get("User-Agent")}, {"service", e.service}, {"backend", e.backend},
	} {
		line = append(line, `,"`...)
		line = append(line, field.name...)
		line = append(line, `":`...)
		line = appendJSONString(line, field.value)
	}
	line = append(line, `,"status":`...)
	line = strconv.AppendInt(line, int64(e.status), 10)
	line = append(line, `,"bytes":`...)
	line = strconv.AppendInt(line, e.bytes, 10)
	line = append(line, `,"retries":`...)
	line = strconv.AppendInt(line, int64(e.retries), 10)
	line = append(line, `,"first_byte":`...)
	if e.firstByte > 0 {
		line = appendSeconds(line, e.firstByte)
	} else {
		line = append(line, "null"...)
	}
	line = append(line, `,"total":`...)
	line = appendSeconds(line, e.total)
	return append(line, "}\n"...)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func appendSeconds(line []byte, d time.Duration) []byte {
	return strconv.AppendFloat(line, d.Seconds(), 'f', 6, 64)
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends what a client may have chosen as it wants, so that it can
// end neither a quoted part nor the line, nor speak to a terminal. The form is
// Apache's.
func appendEscaped(line []byte, text string) []byte {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			line = append(line, '\\', c)
		case c < ' ' || c > '~':
			line = append(line, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		default:
			line = append(line, c)
		}
	}
	return line
}

// appendJSONString appends text as a JSON string. What is no UTF-8 becomes U+FFFD.
func appendJSONString(line []byte, text string) []byte {
	line = append(line, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			line = append(line, '\\', byte(c))
		case c < ' ' || c >= 0x7f && c < 0xa0: // control characters
			line = append(line, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			line = utf8.AppendRune(line, c)
		}
	}
	return append(line, '"')
}
