// Command rollcall is service discovery and load balancing for Docker.
package main

import (
	_ "github.com/alecthomas/kong"
	_ "github.com/docker/docker/client"
	_ "golang.org/x/sync/errgroup"
)

func main() {}
