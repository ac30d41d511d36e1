package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// entrants are all that are compared. Each keeps its connections to the backends,
// takes them in turn, writes no access log, tells the backend who asks, and may
// use all processors.
func entrants(o *Options, bin *Binaries) []entrant {
	entrants := []entrant{
		rollcallEntrant(rollcall, bin.Rollcall, "as built from this repository; it finds the backends as containers of an engine"),
		{
			name: nginx, says: "defaults, and `keepalive 64` to the backends",
			version: func() string { return versionOf(bin.Nginx, "-v") },
			files: func(g *ground) map[string]string {
				return map[string]string{"nginx.conf": nginxConf(g, "keepalive 64;", "", "")}
			},
			command: nginxCommand,
		},
		{
			name: nginxTuned, says: "`keepalive 1024`, connections that are never retired, `reuseport`, buffers that hold 128 KiB of request and 1 MiB of response, no temporary files",
			version: func() string { return versionOf(bin.Nginx, "-v") },
			files: func(g *ground) map[string]string {
				return map[string]string{"nginx.conf": nginxConf(g, "keepalive 1024; keepalive_requests 100000000;", "reuseport", `
	keepalive_requests 100000000;
	sendfile on; tcp_nopush on;
	client_body_buffer_size 128k;
	proxy_buffer_size 16k; proxy_buffers 32 32k; proxy_busy_buffers_size 512k;
	proxy_max_temp_file_size 0;`)}
			},
			command: nginxCommand,
		},
		{
			name: haproxy, says: "`nbthread` as processors, `http-reuse always`",
			version: func() string { return versionOf(bin.HAProxy, "-v") },
			files: func(g *ground) map[string]string {
				return map[string]string{"haproxy.cfg": haproxyConf(g)}
			},
			command: func(g *ground) []string {
				return []string{g.bin.HAProxy, "-db", "-f", filepath.Join(g.dir, "haproxy.cfg")}
			},
		},
		{
			name: caddy, says: "`lb_policy round_robin`, 1024 idle connections per backend",
			version: func() string { return moduleOf(bin.Caddy) },
			files: func(g *ground) map[string]string {
				return map[string]string{"Caddyfile": caddyfile(g)}
			},
			command: func(g *ground) []string {
				return []string{g.bin.Caddy, "run", "--adapter", "caddyfile", "--config", filepath.Join(g.dir, "Caddyfile")}
			},
		},
		{
			name: naive, says: "bench/naive: `NewSingleHostReverseProxy`, default transport, a line printed per request (to /dev/null)",
			version: func() string { return versionOf("go", "version") },
			command: func(g *ground) []string {
				return append([]string{g.bin.Naive, "-listen", g.listen}, g.backends...)
			},
		},
	}
	for rival := range strings.SplitSeq(o.Rivals, ",") {
		if name, program, ok := strings.Cut(rival, "="); ok {
			entrants = append(entrants, rollcallEntrant(name, program, "another build of rollcall"))
		}
	}
	return entrants
}

func rollcallEntrant(name, program, says string) entrant {
	return entrant{
		name: name, says: says,
		version: func() string { return versionOf(program, "version") },
		command: func(g *ground) []string {
			return []string{program, "serve", "--listen", g.listen, "--admin", g.admin, "--docker-host", g.engine, "--address", "published", "--log-level", "warn"}
		},
	}
}

func nginxCommand(g *ground) []string {
	return []string{g.bin.Nginx, "-p", g.dir, "-c", filepath.Join(g.dir, "nginx.conf"), "-e", filepath.Join(g.dir, "error.log")}
}

// nginxConf is nginx's configuration but for what differs between the two.
func nginxConf(g *ground, keepalive, listen, http string) string {
	var servers strings.Builder
	for _, b := range g.backends {
		fmt.Fprintf(&servers, " server %s;", b)
	}
	return fmt.Sprintf(`daemon off;
worker_processes auto;
worker_rlimit_nofile 65536;
pid nginx.pid;
error_log error.log;
events { worker_connections 8192; }
http {
	access_log off;
	client_body_temp_path body; proxy_temp_path proxy;
	fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
	upstream backends {%s %s }%s
	server {
		listen %s %s;
		location / {
			proxy_pass http://backends;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_set_header X-Forwarded-Host $http_host;
		}
	}
}
`, servers.String(), keepalive, http, g.listen, listen)
}

func haproxyConf(g *ground) string {
	var servers strings.Builder
	for i, b := range g.backends {
		fmt.Fprintf(&servers, "\tserver b%d %s\n", i, b)
	}
	return fmt.Sprintf(`global
	maxconn 8192
	nbthread %d
defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
	retries 3
	option redispatch
frontend front
	bind %s
	http-request set-header X-Forwarded-Proto http
	http-request set-header X-Forwarded-Host %%[req.hdr(Host)]
	default_backend backends
backend backends
	balance roundrobin
	option forwardfor
	http-reuse always
%s`, processors, g.listen, servers.String())
}

func caddyfile(g *ground) string {
	_, port, _ := strings.Cut(g.listen, ":")
	return fmt.Sprintf(`{
	admin off
	auto_https off
	persist_config off
	grace_period 1s
	log {
		output discard
	}
	servers {
		protocols h1
	}
}
http://:%s {
	bind 127.0.0.1
	reverse_proxy %s {
		lb_policy round_robin
		transport http {
			keepalive_idle_conns_per_host 1024
			max_conns_per_host 0
		}
	}
}
`, port, strings.Join(g.backends, " "))
}
