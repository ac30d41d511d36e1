// Command backend is what the proxies of the benchmark send requests to: as many
// HTTP servers as -n says, each on a free port of 127.0.0.1, in one process. It
// prints their addresses, one a line, and serves until its standard input ends.
//
//	GET /       a line of text
//	GET /64k    64 KiB
//	GET /10m    10 MiB
//	POST /      reads the body and answers with its length
//
// Each answer says in the field Backend which of them gave it.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
)

func main() {
	n := flag.Int("n", 4, "how many servers")
	flag.Parse()
	for i := range *n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal("backend: ", err)
		}
		fmt.Println(listener.Addr())
		go func() { log.Fatal("backend: ", http.Serve(listener, server(strconv.Itoa(i)))) }()
	}
	io.Copy(io.Discard, os.Stdin)
}

var (
	small = []byte("Hello from one of the backends, and nothing more than this line of text.\n")
	k64   = bytes.Repeat([]byte("0123456789abcdef"), 64<<10/16)
	m10   = bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
)

// server answers under a name.
func server(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := small
		switch {
		case r.Method == http.MethodPost:
			length, err := io.Copy(io.Discard, r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			body = strconv.AppendInt(nil, length, 10)
		case r.URL.Path == "/64k":
			body = k64
		case r.URL.Path == "/10m":
			body = m10
		}
		header := w.Header()
		header["Backend"] = []string{name}
		header["Content-Type"] = []string{"text/plain; charset=utf-8"}
		header["Content-Length"] = []string{strconv.Itoa(len(body))}
		w.Write(body)
	})
}
