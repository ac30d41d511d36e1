package docker

import (
	"context"
	"strings"
	"testing"
)

func TestEndpoints(t *testing.T) {
	for _, name := range []string{"DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION"} {
		t.Setenv(name, "")
	}
	for _, c := range []struct {
		host  string
		want  string // the endpoint, or what the error has to say
		bad   bool
		local bool
		ip    string
	}{
		{host: "", want: "unix:///var/run/docker.sock", local: true, ip: "127.0.0.1"},
		{host: "unix:///run/user/1000/docker.sock", want: "unix:///run/user/1000/docker.sock", local: true, ip: "127.0.0.1"},
		{host: "tcp://10.1.2.3:2375", want: "tcp://10.1.2.3:2375", ip: "10.1.2.3"},
		{host: "tcp://10.1.2.3", want: "tcp://10.1.2.3:2375", ip: "10.1.2.3"},
		{host: "tcp://10.1.2.3:2375/", want: "tcp://10.1.2.3:2375", ip: "10.1.2.3"},
		{host: "10.1.2.3:4000", want: "tcp://10.1.2.3:4000", ip: "10.1.2.3"},
		{host: "tcp://[fd00::1]:2375", want: "tcp://[fd00::1]:2375", ip: "fd00::1"},
		{host: "tcp://[fd00::1]", want: "tcp://[fd00::1]:2375", ip: "fd00::1"},
		{host: "tcp://:2375", want: "tcp://127.0.0.1:2375", local: true, ip: "127.0.0.1"},
		{host: "tcp://localhost:2375", want: "tcp://localhost:2375", local: true, ip: "127.0.0.1"},
		{host: "tcp://[::1]:2375", want: "tcp://[::1]:2375", local: true, ip: "127.0.0.1"},
		{host: "tcp://0.0.0.0:2375", want: "tcp://0.0.0.0:2375", local: true, ip: "127.0.0.1"},

		{host: "ssh://me@host", bad: true, want: "forward the socket with `ssh -nNT -L"},
		{host: "npipe:////./pipe/docker_engine", bad: true, want: "Windows only"},
		{host: "http://host:2375", bad: true, want: "write tcp://host:2375"},
		{host: "fd://", bad: true, want: "unix:///var/run/docker.sock"},
		{host: "ftp://x", bad: true, want: "accepted are unix:///path and tcp://host:port"},
		{host: "/var/run/docker.sock", bad: true, want: "accepted are unix:///path"},
		{host: "unix://", bad: true, want: "absolute"},
		{host: "unix://docker.sock", bad: true, want: "absolute: unix:///docker.sock"},
		{host: "unix:///" + strings.Repeat("x", 200), bad: true, want: "too long"},
		{host: "tcp://", bad: true, want: "accepted are"},
		{host: "tcp://a b", bad: true, want: "accepted are"},
		{host: "tcp://a:b:c:d", bad: true, want: "accepted are"},
		{host: "tcp://host:0", bad: true, want: `port "0"`},
		{host: "tcp://host:http", bad: true, want: `port "http"`},
		{host: "tcp://host:99999", bad: true, want: `port "99999"`},
	} {
		client, err := New(Options{Host: c.host})
		if c.bad {
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.host) {
				t.Errorf("%q: error %v, want %q", c.host, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.host, err)
			continue
		}
		if client.Host() != c.want || client.Local() != c.local {
			t.Errorf("%q: host %q, local %v", c.host, client.Host(), client.Local())
		}
		if ip, err := client.HostIP(context.Background()); err != nil || ip.String() != c.ip {
			t.Errorf("%q: address %v, %v", c.host, ip, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, name := range []string{"DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION"} {
		t.Setenv(name, "")
	}
	t.Run("DOCKER_HOST", func(t *testing.T) {
		t.Setenv("DOCKER_HOST", "tcp://10.0.0.9:1234")
		c, err := New(Options{})
		if err != nil || c.Host() != "tcp://10.0.0.9:1234" {
			t.Errorf("%v, %v", c, err)
		}
		if c, err = New(Options{Host: "unix:///x"}); err != nil || c.Host() != "unix:///x" {
			t.Errorf("%v, %v", c, err)
		}
	})
	t.Run("DOCKER_API_VERSION", func(t *testing.T) {
		for version, want := range map[string]string{
			"1.20": "DOCKER_API_VERSION=1.20: rollcall needs 1.24 or newer",
			"9.99": "DOCKER_API_VERSION=9.99: rollcall speaks up to " + maxAPI,
			"new":  `DOCKER_API_VERSION="new": accepted is a version like ` + maxAPI,
		} {
			t.Setenv("DOCKER_API_VERSION", version)
			if _, err := New(Options{}); err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
	})
	t.Run("TLS without certificates", func(t *testing.T) {
		t.Setenv("DOCKER_TLS_VERIFY", "1")
		t.Setenv("DOCKER_CERT_PATH", t.TempDir())
		_, err := New(Options{Host: "tcp://10.0.0.9"})
		if err == nil || !strings.Contains(err.Error(), "ca.pem") || !strings.Contains(err.Error(), "DOCKER_CERT_PATH") {
			t.Errorf("%v", err)
		}
		// A socket needs none, whatever the environment still says.
		if _, err := New(Options{Host: "unix:///x"}); err != nil {
			t.Error(err)
		}
	})
	t.Run("TLS has a port of its own", func(t *testing.T) {
		t.Setenv("DOCKER_TLS", "1")
		t.Setenv("DOCKER_CERT_PATH", t.TempDir())
		c, err := New(Options{Host: "tcp://10.0.0.9"})
		if err != nil || c.Host() != "tcp://10.0.0.9:2376" {
			t.Errorf("%v, %v", c, err)
		}
	})
}

// A proxy in the environment must not come between rollcall and a socket.
func TestNoProxyForSockets(t *testing.T) {
	c, err := New(Options{Host: "unix:///x"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.newSession()
	if err != nil || s.transport.Proxy != nil {
		t.Errorf("the transport of a socket has a proxy (%v)", err)
	}
}
