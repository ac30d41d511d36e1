package load

import "time"

// Kind is what sort of request one is.
type Kind uint8

const (
	Get    Kind = iota // on a kept-alive connection, as all but Fresh
	Fresh              // GET on a connection of its own
	Head               //
	Put                // with a body
	Delete             //
	Post               // with a body
)

var kindNames = [...]string{"GET", "GET fresh", "HEAD", "PUT", "DELETE", "POST"}

func (k Kind) String() string { return kindNames[k] }

// Method is the request's.
func (k Kind) Method() string {
	if k == Fresh {
		return "GET"
	}
	return kindNames[k]
}

// Idempotent tells whether sending it twice does no harm (RFC 9110, section
// 9.2.2).
func (k Kind) Idempotent() bool { return k != Post }

// mix is the order in which kinds follow each other.
var mix = [...]Kind{Get, Post, Fresh, Head, Get, Put, Get, Fresh, Post, Delete}

// Bodies are small enough to be sent again: what rollcall can't keep, it can't
// retry either.
var bodySizes = [...]int{100, 4 << 10, 32 << 10}

// delays are how long the app takes for an answer. The long ones are in flight
// when something happens to it.
var delays = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, time.Millisecond, 20 * time.Millisecond,
	time.Millisecond, 5 * time.Millisecond, 300 * time.Millisecond,
}
