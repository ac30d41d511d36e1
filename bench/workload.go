package main

import (
	"bytes"
	"fmt"
	"strings"
)

// Workload is one kind of load, the same for every contestant.
type Workload struct {
	Name  string // one word, for -only
	Title string
	Conns int  // connections at one time
	Once  bool // each request on a new connection
	Rate  int  // requests a second, on time whatever happens; 0: each connection sends when it has its answer
	Path  string
	Post  int // bytes of the request's body; 0: it is a GET
	Want  int // bytes of the answer's body
}

// sizes of the backends' answers, see backend/main.go.
const (
	smallSize = 73
	k64       = 64 << 10
	m10       = 10 << 20
)

// workloads returns all of them; rate is that of the one with a fixed rate.
func workloads(rate int) []Workload {
	return []Workload{
		{Name: "small-64", Title: "small GETs, 64 connections", Conns: 64, Path: "/", Want: smallSize},
		{Name: "small-512", Title: "small GETs, 512 connections", Conns: 512, Path: "/", Want: smallSize},
		{Name: "new-conn", Title: "a new connection per request, 64 at a time", Conns: 64, Once: true, Path: "/", Want: smallSize},
		{Name: "get-64k", Title: "GETs of 64 KiB, 64 connections", Conns: 64, Path: "/64k", Want: k64},
		{Name: "get-10m", Title: "GETs of 10 MiB, 8 connections", Conns: 8, Path: "/10m", Want: m10},
		{Name: "post-64k", Title: "POSTs of 64 KiB, 64 connections", Conns: 64, Path: "/", Post: k64, Want: len(fmt.Sprint(k64))},
		{Name: "rate", Title: fmt.Sprintf("small GETs, %d a second", rate), Conns: 64, Rate: rate, Path: "/", Want: smallSize},
	}
}

// request is the bytes of the workload's request.
func (w *Workload) request(address string) []byte {
	var b strings.Builder
	method := "GET"
	if w.Post > 0 {
		method = "POST"
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n", method, w.Path, address)
	if w.Post > 0 {
		fmt.Fprintf(&b, "Content-Type: application/octet-stream\r\nContent-Length: %d\r\n", w.Post)
	}
	if w.Once {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("\r\n")
	return append([]byte(b.String()), bytes.Repeat([]byte("0123456789abcdef"), w.Post/16)...)
}

// client returns a client for the workload; it closes what it opened.
func (w *Workload) client(address string) *client {
	return &client{address: address, request: w.request(address), once: w.Once, want: w.Want}
}
