package http1

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// unknown is the length of a body that will be sent or comes in chunks.
const unknown = -1

// outline is what the rest of the exchange has to know of a request.
type outline struct {
	length  int64 // of the body: 0 none, unknown
	head    bool  // the method is HEAD: the response has no body
	expect  bool  // the body waits for 100 Continue
	close   bool  // the connection ends with this exchange
	upgrade bool  // 101 is a possible answer
}

// appendRequest appends the head of req to b, or says why it can't be sent. Nothing that the caller put into req can end a
// line early or change where the message ends (RFC 9112, sections 11.1 and 11.2).
func appendRequest(b []byte, req *http.Request) ([]byte, outline, error) {
	var o outline
	if req.URL == nil {
		return b, o, errors.New("no URL")
	}
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	if !isToken(method) {
		return b, o, fmt.Errorf("bad method %q", method)
	}
	if method == http.MethodConnect {
		return b, o, errors.New("CONNECT is not supported")
	}
	b = append(b, method...)
	b = append(b, ' ')
	start := len(b)
	b = appendTarget(b, req.URL)
	if !isTarget(b[start:]) {
		return b, o, fmt.Errorf("bad request target %q", b[start:])
	}
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	if !isHost(host) {
		return b, o, fmt.Errorf("bad Host %q", host)
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\n"...)

	o.head = method == http.MethodHead
	o.length = bodyLength(req)
	b, err := appendFields(b, req.Header, &o)
	if err != nil {
		return b, o, err
	}
	if req.Close && !o.close {
		o.close = true
		b = append(b, "Connection: close\r\n"...)
	}
	b, err = appendFraming(b, req, method, o.length)
	return append(b, "\r\n"...), o, err
}

// appendTarget writes an Opaque that begins with a slash byte for byte: the target as the client sent it, which a parsed
// path can't always give back ("//x", "/a|b").
func appendTarget(b []byte, u *url.URL) []byte {
	if u.Opaque != "" && u.Opaque[0] != '/' {
		return append(b, u.RequestURI()...)
	}
	switch path := u.Opaque; {
	case path != "":
		b = append(b, path...)
	default:
		if path = u.EscapedPath(); path == "" {
			path = "/"
		}
		b = append(b, path...)
	}
	if u.ForceQuery || u.RawQuery != "" {
		b = append(b, '?')
		b = append(b, u.RawQuery...)
	}
	return b
}

// bodyLength follows the documentation of http.Request: a length of 0 with a body means that it isn't known.
// Trailers need chunks.
func bodyLength(req *http.Request) int64 {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return 0
	case req.ContentLength <= 0 || len(req.Trailer) > 0:
		return unknown
	}
	return req.ContentLength
}

func appendFields(b []byte, header http.Header, o *outline) ([]byte, error) {
	upgrade := false
	for key, values := range header {
		if !isToken(key) {
			return b, fmt.Errorf("bad field name %q", key)
		}
		switch skip, err := inspectField(key, values, o, &upgrade); {
		case err != nil:
			return b, err
		case skip:
			continue
		}
		for _, v := range values {
			if !isFieldValue(v) {
				return b, fmt.Errorf("bad value of field %q", key)
			}
			b = append(b, key...)
			b = append(b, ": "...)
			b = append(b, v...)
			b = append(b, "\r\n"...)
		}
	}
	o.upgrade = o.upgrade && upgrade
	return b, nil
}

// inspectField notes what the exchange depends on, and reports which fields are not the caller's to write. Names are compared
// without case: a map key can be spelled in a way that http.Header's methods never produce.
func inspectField(key string, values []string, o *outline, upgrade *bool) (skip bool, err error) {
	switch len(key) {
	case len("Host"):
		return strings.EqualFold(key, "Host"), nil
	case len("Expect"):
		if o.length != 0 && strings.EqualFold(key, "Expect") {
			o.expect = hasToken(values, "100-continue")
		}
	case len("Upgrade"), // and Trailer
		len("Content-Length"), len("Transfer-Encoding"):
		if strings.EqualFold(key, "Upgrade") {
			*upgrade = true
		}
		return strings.EqualFold(key, "Trailer") || strings.EqualFold(key, "Content-Length") ||
			strings.EqualFold(key, "Transfer-Encoding"), nil
	case len("Connection"): // and User-Agent
		if strings.EqualFold(key, "Connection") {
			o.close = o.close || hasToken(values, "close")
			o.upgrade = hasToken(values, "upgrade")
		}
		return key == "User-Agent" && len(values) == 1 && values[0] == "", nil
	}
	return false, nil
}

func appendFraming(b []byte, req *http.Request, method string, length int64) ([]byte, error) {
	switch {
	case length > 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, length, 10)
		return append(b, "\r\n"...), nil
	case length == 0:
		if method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
			b = append(b, "Content-Length: 0\r\n"...) // RFC 9110, section 8.6
		}
		return b, nil
	}
	b = append(b, "Transfer-Encoding: chunked\r\n"...)
	if len(req.Trailer) == 0 {
		return b, nil
	}
	sep := "Trailer: "
	for key := range req.Trailer {
		if !isToken(key) || isFraming(key) {
			return b, fmt.Errorf("bad trailer name %q", key)
		}
		b = append(b, sep...)
		b = append(b, key...)
		sep = ", "
	}
	return append(b, "\r\n"...), nil
}

// appendTrailer writes the fields that follow the last chunk. Their values are known only now.
func appendTrailer(b []byte, trailer http.Header) ([]byte, error) {
	for key, values := range trailer {
		if !isToken(key) || isFraming(key) {
			return b, fmt.Errorf("bad trailer name %q", key)
		}
		for _, v := range values {
			if !isFieldValue(v) {
				return b, fmt.Errorf("bad value of trailer %q", key)
			}
			b = append(b, key...)
			b = append(b, ": "...)
			b = append(b, v...)
			b = append(b, "\r\n"...)
		}
	}
	return b, nil
}
