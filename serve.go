package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall/internal/docker"
)

// Run is the daemon: it opens the listeners, so that an address in use fails
// before anything runs, polls once, and then runs everything until ctx is done
// and the requests in flight have ended.
func (c *serveCommand) Run(ctx context.Context, std streams) error {
	tuneMemory(os.Getenv)
	log := c.logger(std.Err)
	var registrar *Registrar
	engine, err := docker.New(docker.Options{
		Host:   c.DockerHost,
		Opened: func() { registrar.Wake() }, // no event tells what happened before
	})
	if err != nil {
		return errUsage{err}
	}
	defer engine.Close()
	front, err := listen("--listen", c.Listen)
	if err != nil {
		return err
	}
	defer front.Close()

	registry := NewRegistry(log, time.Duration(c.Drain))
	registrar = NewRegistrar(engine, registry, c.rules(), time.Duration(c.Interval), log)
	health := NewHealth(registry)
	forwarded := ForwardedRules{}
	for _, trusted := range c.TrustedProxies {
		forwarded.Trusted = append(forwarded.Trusted, netip.Prefix(trusted))
	}
	proxy := NewProxy(registry, time.Duration(c.Hold), forwarded, log)
	proxy.explain = func(host, path string) string {
		return (&Explainer{registry.Snapshot(), registrar.Roll()}).ExplainRequest(host, path).Verdict
	}
	if c.AccessLog != accessLogOff {
		// Whoever reads the log may leave; that must not end a proxy.
		signal.Ignore(syscall.SIGPIPE)
		proxy.accessLog = newAccessLog(c.AccessLog, std.Out, &proxy.forwarded, log)
	}
	var admin *Admin
	var guard *Guard
	var back net.Listener
	if c.Admin != adminOff {
		if back, err = listen("--admin", c.Admin); err != nil {
			return err
		}
		defer back.Close()
		metrics := NewMetrics(registry, proxy, registrar.Roll)
		registrar.polled = metrics.Polled
		admin = NewAdmin(registry, registrar, metrics)
		registrar.turned = admin.watch.EngineTurned
		hostname, _ := os.Hostname() // "" is no one's name
		guard = NewGuard(admin, newAdminNames(c.Admin, back.Addr(), hostname), string(c.AdminToken))
	}
	log.Info("rollcall serves", "version", version(), "listen", front.Addr().String(), "admin", addressOf(back), "engine", engine.Host())
	registrar.poll(ctx) // bounded by the client's own deadline; a failure is logged and kept

	// Discovery goes on while requests are still in flight: work ends after them.
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer endWork()
	group, stopping := errgroup.WithContext(ctx)
	group.Go(func() error { return registrar.Run(work) })
	group.Go(func() error { return health.Run(work) })
	if proxy.accessLog != nil {
		group.Go(func() error { return proxy.accessLog.Run(work) })
	}
	if admin != nil {
		server := &Server{Handler: guard, Listener: back, Drain: time.Second, ErrorLog: proxy.errorLog}
		group.Go(func() error { return server.Run(work) })
		group.Go(func() error { return admin.Run(work) })
	}
	server := &Server{Handler: proxy, Listener: registrar.clients.watch(front), Watches: true, Drain: time.Duration(c.Drain), ErrorLog: proxy.errorLog, Upgraded: &proxy.upgraded}
	server.OnStop = func() {
		if admin != nil {
			admin.Leave() // first: whoever sends requests here should learn of it
		}
		log.Info("rollcall stops, requests in flight go on", "at_most", time.Duration(c.Drain))
	}
	group.Go(func() error {
		defer endWork()
		return server.Run(stopping)
	})
	err = group.Wait()
	log.Info("rollcall ends")
	return err
}

// addressOf is where a listener is reached, "off" if there is none.
func addressOf(listener net.Listener) string {
	if listener == nil {
		return string(adminOff)
	}
	return listener.Addr().String()
}

// listen opens a TCP listener, and names the flag if it can't.
func listen(flag string, addr listenAddr) (net.Listener, error) {
	listener, err := net.Listen("tcp", string(addr))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %s is in use by another program; stop that one, or choose another address", flag, addr)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s: no permission to listen on %s; ports below 1024 may need root, choose a higher one", flag, addr)
	case err != nil:
		return nil, fmt.Errorf("%s: cannot listen on %s: %w", flag, addr, err)
	}
	return listener, nil
}
