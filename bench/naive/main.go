// Command naive is the load balancer that one writes in an afternoon, as a
// contestant of the benchmark: one httputil.NewSingleHostReverseProxy for each
// backend, taken in turn under a lock, net/http's default transport, and a line
// printed for each request.
//
//	naive -listen 127.0.0.1:8080 127.0.0.1:9001 127.0.0.1:9002
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address")
	flag.Parse()
	var pool pool
	for _, address := range flag.Args() {
		pool.proxies = append(pool.proxies, httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address}))
	}
	log.Fatal("naive: ", http.ListenAndServe(*listen, &pool))
}

// pool sends each request to the next of its proxies.
type pool struct {
	mu      sync.Mutex
	next    int
	proxies []*httputil.ReverseProxy
}

func (p *pool) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	i := p.next % len(p.proxies)
	p.next++
	p.mu.Unlock()
	fmt.Println("backend", i, r.Method, r.URL.Path)
	p.proxies[i].ServeHTTP(w, r)
}
