// Package http1 sends requests to one plain HTTP/1.1 server over connections that it keeps: the upstream half of a
// reverse proxy. A Pool is an http.RoundTripper for one address.
//
// # One exchange
//
// The calling goroutine writes the request and reads the response head; the goroutine that reads the response body
// reads it from the connection. A connection has no goroutine of its own. A request body that isn't in memory already
// is sent by a goroutine of its own, which lives as long as the sending, because a backend may answer before it has read the
// body and a client may wait for that answer. Its first bytes travel with the head in one write; a head never waits for
// them longer than 20 ms.
//
// # Reuse
//
// A connection goes back to the pool only after a whole response with a known end, a whole request, and not one byte
// beyond. The most recently used one is taken first. Before it is used it is looked at without blocking: if it was closed or
// if it holds bytes that nobody asked for, it is thrown away and the next one is tried, so that neither a dead connection nor
// one client's late answer reaches the next client (RFC 9112, sections 9.3.1, 9.5 and 11.2). The look needs Linux, macOS or
// a BSD, and a connection that is a syscall.Conn; elsewhere a dead connection shows as a Stale error.
//
// # What is accepted
//
// A response is parsed more strictly than RFC 9112 permits, because this is where two parsers must agree on where a message
// ends. Refused, with the connection closed (Malformed):
//
//   - versions other than HTTP/1.0 and HTTP/1.1, and a status below 100 (section 4)
//   - lines that end in a bare LF, a bare CR or any other control character in a line (section 2.2)
//   - empty or non-token field names, whitespace before the colon, folded lines (section 5)
//   - a Content-Length that isn't one run of digits, or more than one, even if they are equal (section 6.3)
//   - any Transfer-Encoding but a single "chunked", and that together with Content-Length or in HTTP/1.0 (section 6.1)
//   - an interim response that announces a body; a 101 that wasn't asked for (RFC 9110, section 15.2)
//   - framing fields in a trailer or announced for it (RFC 9110, section 6.5.1)
//   - heads and trailers above Options.MaxHeadBytes, interim responses counted in
//
// Requests are held to the same grammar before anything is dialled (Refused).
//
// # What is not done
//
// Nothing is added to a request but Host and the framing fields: no User-Agent, no Accept-Encoding; a User-Agent that is
// empty is left out. Hop-by-hop fields of request and response are the caller's business, in particular Connection,
// which is kept in the response header even if it says close. Of a httptrace.ClientTrace only Got1xxResponse and
// Got100Continue are called. CONNECT is refused. Redirects, cookies, proxies, TLS are elsewhere.
package http1
