package docker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/tlsconfig"
)

// An endpoint is where and how an engine is reached: all that New takes from
// options and environment.
type endpoint struct {
	host    string // normalised, as the SDK takes it
	proto   string // "unix", "npipe", "tcp"
	addr    string // path, or host:port
	version string // of DOCKER_API_VERSION; "" = negotiate

	tls       bool
	tlsVerify bool
	certPath  string
}

func newEndpoint(host string) (endpoint, error) {
	if host == "" {
		host = os.Getenv(client.EnvOverrideHost)
	}
	if host == "" {
		host = client.DefaultDockerHost
	}
	ep := endpoint{
		tlsVerify: os.Getenv(client.EnvTLSVerify) != "",
		certPath:  os.Getenv(client.EnvOverrideCertPath),
	}
	ep.tls = ep.tlsVerify || os.Getenv("DOCKER_TLS") != ""

	var err error
	if ep.version, err = versionFromEnv(); err != nil {
		return endpoint{}, err
	}
	proto, addr, ok := strings.Cut(host, "://")
	if !ok { // the docker command takes host:port as well
		proto, addr = "tcp", host
	}
	switch proto {
	case "unix":
		err = checkPath(addr)
	case "tcp":
		addr, err = ep.tcpAddr(addr)
	case "npipe":
		if runtime.GOOS != "windows" {
			err = errors.New("named pipes exist on Windows only")
		}
	case "ssh":
		err = errors.New("ssh isn't supported: forward the socket with" +
			" `ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock USER@HOST` and use unix:///tmp/docker.sock")
	case "fd":
		err = errors.New("fd:// is for the engine's own command line: use unix:///var/run/docker.sock")
	case "http", "https":
		err = fmt.Errorf("write tcp://%s (TLS is a matter of DOCKER_TLS_VERIFY and DOCKER_CERT_PATH)", addr)
	default:
		err = errors.New("accepted are unix:///path and tcp://host:port")
	}
	if err != nil {
		return endpoint{}, badHost(host, err.Error())
	}
	ep.proto, ep.addr = proto, addr
	ep.host = proto + "://" + addr
	ep.tls = ep.tls && proto == "tcp"
	return ep, nil
}

func badHost(host, why string) error {
	return fmt.Errorf("engine endpoint %q: %s", host, why)
}

func checkPath(path string) error {
	if !strings.HasPrefix(path, "/") && !filepath.IsAbs(path) {
		return fmt.Errorf("the path of a socket has to be absolute: unix:///%s", strings.TrimLeft(path, "./"))
	}
	return nil
}

// tcpAddr completes host:port the way the docker command does.
func (ep endpoint) tcpAddr(addr string) (string, error) {
	addr = strings.TrimSuffix(addr, "/")
	if strings.ContainsAny(addr, "/?#@ ") || addr == "" {
		return "", errors.New("accepted are unix:///path and tcp://host:port")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		host, port = strings.Trim(addr, "[]"), "2375"
		if ep.tls {
			port = "2376"
		}
		if strings.Contains(host, ":") {
			if _, err := netip.ParseAddr(host); err != nil {
				return "", errors.New("accepted are unix:///path and tcp://host:port")
			}
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %q: accepted is 1 to 65535", port)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

func versionFromEnv() (string, error) {
	v := strings.TrimPrefix(os.Getenv(client.EnvOverrideAPIVersion), "v")
	switch {
	case v == "":
		return "", nil
	case !apiVersion.MatchString(v):
		return "", fmt.Errorf("DOCKER_API_VERSION=%q: accepted is a version like %s", v, maxAPI)
	case versions.LessThan(v, minAPI):
		return "", fmt.Errorf("DOCKER_API_VERSION=%s: rollcall needs %s or newer", v, minAPI)
	case versions.GreaterThan(v, maxAPI):
		return "", fmt.Errorf("DOCKER_API_VERSION=%s: rollcall speaks up to %s", v, maxAPI)
	}
	return v, nil
}

func (ep endpoint) scheme() string {
	if ep.tls {
		return "https"
	}
	return "http"
}

// tlsConfig reads the certificates, each time anew, so that rotated ones count
// from the next connection on. nil means no TLS.
func (ep endpoint) tlsConfig() (*tls.Config, error) {
	if !ep.tls {
		return nil, nil
	}
	dir := ep.certPath
	if dir == "" {
		dir = os.Getenv("DOCKER_CONFIG")
	}
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("TLS to the Docker engine: %w: set DOCKER_CERT_PATH", err)
		}
		dir = filepath.Join(home, ".docker")
	}
	o := tlsconfig.Options{
		InsecureSkipVerify: !ep.tlsVerify,
		ExclusiveRootPools: true,
		CertFile:           filepath.Join(dir, "cert.pem"),
		KeyFile:            filepath.Join(dir, "key.pem"),
	}
	if ep.tlsVerify {
		o.CAFile = filepath.Join(dir, "ca.pem")
	}
	// Client certificates are optional, as for the docker command.
	if _, err := os.Stat(o.CertFile); errors.Is(err, fs.ErrNotExist) {
		o.CertFile, o.KeyFile = "", ""
	}
	config, err := tlsconfig.Client(o)
	if err != nil {
		return nil, fmt.Errorf("TLS to the Docker engine: %w: set DOCKER_CERT_PATH to the directory with ca.pem, cert.pem and key.pem", err)
	}
	return config, nil
}

// Host returns the endpoint, e.g. "unix:///var/run/docker.sock".
func (c *Client) Host() string { return c.endpoint.host }

// Local reports whether the engine is on this machine, as far as the endpoint
// tells: a unix socket, a named pipe or a loopback address.
func (c *Client) Local() bool {
	if c.endpoint.proto != "tcp" {
		return true
	}
	host := c.endpoint.hostname()
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.Unmap().IsLoopback() || ip.IsUnspecified())
}

// HostIP returns the address of the engine's host, where published ports are:
// 127.0.0.1 for a local engine, otherwise what its name resolves to, IPv4 first
// because ports are always published there.
func (c *Client) HostIP(ctx context.Context) (netip.Addr, error) {
	if c.Local() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	host := c.endpoint.hostname()
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap(), nil
	}
	ctx, cancel := c.within(ctx)
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, c.timeout)
	defer stop()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("address of the Docker engine at %s: %w", c.Host(), err)
	}
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.Is4() {
			return ip, nil
		}
	}
	return ips[0], nil // LookupNetIP never returns an empty list without an error
}

func (ep endpoint) hostname() string {
	host, _, _ := net.SplitHostPort(ep.addr) // tcpAddr has seen to its form
	return host
}
