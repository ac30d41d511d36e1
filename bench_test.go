package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// canned is a backend that answers each request from memory, on bare connections,
// so that its own cost hardly shows.
func canned(b *testing.B, size int) (address string) {
	answer := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nDate: Tue, 24 Nov 2026 03:00:00 GMT\r\n"+
		"Server: bench\r\nContent-Length: "+strconv.Itoa(size)+"\r\n\r\n"), make([]byte, size)...)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReaderSize(conn, 128<<10)
				for skipMessage(in) == nil {
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// skipMessage reads a head, and the body of the Content-Length that it says.
func skipMessage(in *bufio.Reader) error {
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			_, err := in.Discard(length)
			return err
		}
		if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(n)))
		}
	}
}

// processorTime is what this process has taken, client and backends included.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// reportCPU reports the processor time of an operation, which says more than its
// duration on a machine that does other things too. What it returns is called at
// the end.
func reportCPU(b *testing.B) func() {
	before := processorTime(b)
	return func() { b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkProxy is one request's whole way: net/http's server, the proxy with all
// its checks, the upstream transport. Client and backends are bare connections
// that allocate nothing.
func BenchmarkProxy(b *testing.B) {
	for _, c := range []struct {
		name       string
		body, size int
	}{{"GET", 0, 100}, {"GET_64KiB", 0, 64 << 10}, {"GET_10MiB", 0, 10 << 20}, {"POST_64KiB", 64 << 10, 100}, {"PUT_64KiB", 64 << 10, 100}} {
		b.Run(c.name, func(b *testing.B) {
			registry := NewRegistry(quiet(), time.Minute)
			var roll []Entry
			for i := range 4 {
				roll = append(roll, backendOf("shop", fmt.Sprint("web-", i), at(canned(b, c.size))))
			}
			registry.Replace(engineA, roll)
			connectAll(registry)
			front := newFront(NewProxy(registry, time.Second, ForwardedRules{}, quiet()))
			front.Start()
			b.Cleanup(front.Close)
			method := c.name[:bytes.IndexByte([]byte(c.name+"_"), '_')]
			request := fmt.Appendf(nil, "%s /path?query=1 HTTP/1.1\r\nHost: shop.localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n", method)
			if c.body > 0 {
				request = fmt.Appendf(request, "Content-Length: %d\r\n", c.body)
			}
			request = append(append(request, "\r\n"...), make([]byte, c.body)...)
			b.ReportAllocs()
			b.SetBytes(int64(c.body + c.size))
			b.SetParallelism(8)
			defer reportCPU(b)()
			b.RunParallel(func(pb *testing.PB) {
				conn, err := net.Dial("tcp", front.Listener.Addr().String())
				if err != nil {
					b.Error(err)
					return
				}
				defer conn.Close()
				in := bufio.NewReaderSize(conn, 64<<10)
				for pb.Next() {
					if _, err := conn.Write(request); err != nil {
						b.Error(err)
						return
					}
					if err := skipMessage(in); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
