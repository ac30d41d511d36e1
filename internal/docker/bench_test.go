package docker_test

import (
	"fmt"
	"testing"

	"rollcall/internal/docker/dockertest"
)

// BenchmarkList is a poll as a whole, the fake's share included.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := dockertest.New(b)
			for i := range n {
				e.Add(dockertest.Name(fmt.Sprintf("web-%d", i)), dockertest.Published("", 0, 8080), dockertest.Label("service", "web"))
			}
			c := e.Client(b)
			b.ReportAllocs()
			for b.Loop() {
				if list, err := c.List(b.Context()); err != nil || len(list) != n {
					b.Fatal(len(list), err)
				}
			}
		})
	}
}
