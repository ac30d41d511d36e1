package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// commandLine is all that rollcall can be told, by flags and environment.
// A flag beats its environment variable.
type commandLine struct {
	Serve       serveCommand       `cmd:"" default:"withargs" help:"Run registrar, registry and proxy (the default command)."`
	Ps          psCommand          `cmd:"" help:"List the backends that the running daemon knows."`
	Why         whyCommand         `cmd:"" help:"Explain which backend a request would reach and why, or what stops it."`
	Check       checkCommand       `cmd:"" help:"Ask the engine once, print a verdict per container, serve nothing."`
	Drain       drainCommand       `cmd:"" help:"Take a container's backends out of rotation, let their requests finish."`
	Undrain     undrainCommand     `cmd:"" help:"Put a container's backends back into rotation."`
	Healthcheck healthcheckCommand `cmd:"" help:"Exit 0 when the local daemon is ready."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

// client returns the way to the running daemon.
func (f *adminFlags) client() adminClient { return adminClient{f.Admin.client(), string(f.AdminToken)} }

// discoveryFlags say which engine is asked, and what is made of its containers.
type discoveryFlags struct {
	Image      []string    `env:"ROLLCALL_IMAGE" default:"hello" placeholder:"NAME" help:"Containers of this image are backends without any label; repeatable, comma lists (default: hello)."`
	DockerHost string      `env:"DOCKER_HOST" placeholder:"URL" help:"Engine endpoint, such as unix:///var/run/docker.sock or tcp://host:2376; TLS by DOCKER_TLS_VERIFY and DOCKER_CERT_PATH."`
	Address    AddressMode `env:"ROLLCALL_ADDRESS" default:"auto" enum:"auto,container,published" help:"How backends are reached: auto, container (its IP) or published (its host port) (default: auto)."`
	Network    string      `env:"ROLLCALL_NETWORK" placeholder:"NAME" help:"Prefer this Docker network for container addresses."`
	Domain     domainName  `env:"ROLLCALL_DOMAIN" default:"localhost" placeholder:"NAME" help:"A labelled service without host answers to SERVICE.DOMAIN (default: localhost)."`
}

// rules returns the discovery rules that the flags make.
func (f *discoveryFlags) rules() Rules {
	return Rules{Images: f.Image, Domain: string(f.Domain), Address: f.Address, Network: f.Network}
}

// logFlags say what is logged, on standard error.
type logFlags struct {
	LogLevel  slog.Level `env:"ROLLCALL_LOG_LEVEL" default:"info" placeholder:"LEVEL" help:"debug, info, warn or error (default: info)."`
	LogFormat string     `env:"ROLLCALL_LOG_FORMAT" default:"text" enum:"text,json" help:"text or json (default: text)."`
}

func (f *logFlags) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: f.LogLevel}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// adminFlags say where the admin listener is, for the daemon and its clients.
type adminFlags struct {
	Admin      listenAddr `env:"ROLLCALL_ADMIN" default:"127.0.0.1:3001" placeholder:"ADDR" help:"Admin listener: health, API; off turns it off (default: 127.0.0.1:3001)."`
	AdminToken adminToken `env:"ROLLCALL_ADMIN_TOKEN" placeholder:"TOKEN" help:"What the admin listener asks of everybody but probes; better in the environment (default: nothing)."`
}

type serveCommand struct {
	Listen         listenAddr `env:"ROLLCALL_LISTEN" default:":3000" placeholder:"ADDR" help:"The proxy (default: :3000)."`
	adminFlags     `embed:""`
	Interval       duration `env:"ROLLCALL_INTERVAL" default:"3s" placeholder:"TIME" help:"Time between two polls (default: 3s)."`
	discoveryFlags `embed:""`
	Hold           duration `env:"ROLLCALL_HOLD" default:"5s" placeholder:"TIME" help:"How long a request for a known service waits for a first usable backend before 503 (default: 5s)."`
	Drain          duration `env:"ROLLCALL_DRAIN" default:"30s" placeholder:"TIME" help:"At most this long for requests in flight, of a leaving backend and of rollcall itself on SIGTERM (default: 30s)."`
	TrustedProxies []cidr   `env:"ROLLCALL_TRUSTED_PROXIES" placeholder:"CIDR" help:"CIDRs whose X-Forwarded-* are believed; comma list (default: none)."`
	AccessLog      string   `env:"ROLLCALL_ACCESS_LOG" default:"off" enum:"off,text,json" help:"A line for each request on standard output: off, text or json (default: off)."`
	logFlags       `embed:""`
}

// Validate is called by kong once all values are there.
func (c *serveCommand) Validate() error {
	if c.Interval < duration(100*time.Millisecond) {
		return fmt.Errorf("--interval: %s is too short; at least 100ms is accepted", time.Duration(c.Interval))
	}
	if c.Listen == adminOff {
		return errors.New(`--listen: "off" is not accepted; it takes an address such as :3000`)
	}
	return nil
}

type checkCommand struct {
	File           string `arg:"" optional:"" placeholder:"COMPOSE-FILE" help:"A compose file: judge what it would start, without the engine."`
	discoveryFlags `embed:""`
	JSON           bool `name:"json" help:"Print JSON."`
}

type healthcheckCommand struct {
	adminFlags `embed:""`
	Listen     listenAddr `env:"ROLLCALL_LISTEN" default:":3000" hidden:""`
}

type psCommand struct {
	adminFlags `embed:""`
	JSON       bool `name:"json" help:"Print JSON."`
	Watch      bool `help:"Draw the table anew with each change, until Ctrl-C; with --json, a line for each."`
}

type whyCommand struct {
	Target     string `arg:"" help:"A URL, a host, or a container."`
	adminFlags `embed:""`
	JSON       bool `name:"json" help:"Print JSON."`
}

type drainCommand struct {
	Container  string `arg:"" help:"Name or ID of the container, or the beginning of its ID."`
	adminFlags `embed:""`
	JSON       bool `name:"json" help:"Print JSON."`
}

type undrainCommand drainCommand

type versionCommand struct{}

// duration is a time.Duration whose error says what is accepted.
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed < 0 {
		return fmt.Errorf("%q is not accepted; it takes a duration such as 500ms, 3s or 2m", text)
	}
	*d = duration(parsed)
	return nil
}

// listenAddr is an address to listen on.
type listenAddr string

const adminOff listenAddr = "off"

func (a *listenAddr) UnmarshalText(text []byte) error {
	*a = listenAddr(text)
	if *a == adminOff {
		return nil
	}
	if _, port, err := net.SplitHostPort(string(text)); err == nil {
		if _, err := net.LookupPort("tcp", port); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%q is not accepted; it takes an address such as :3000 or 127.0.0.1:3000", text)
}

// client returns the address under which the listener is reached on this host.
func (a listenAddr) client() string {
	host, port, err := net.SplitHostPort(string(a))
	if err != nil {
		return string(a)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// adminToken is the admin listener's token, "" for none. Errors don't tell it.
type adminToken string

func (t *adminToken) UnmarshalText(text []byte) error {
	for _, c := range text {
		if c <= ' ' || c > '~' {
			return errors.New("a token of visible ASCII characters without blanks is accepted, such as openssl rand -hex 16 makes")
		}
	}
	*t = adminToken(text)
	return nil
}

// domainName is a host that others can be below.
type domainName string

func (d *domainName) UnmarshalText(text []byte) error {
	host, err := parseHost(string(text))
	if err != nil || strings.ContainsAny(host, "*:") {
		return fmt.Errorf("%q is not accepted; it takes a domain such as localhost or apps.example.com", text)
	}
	*d = domainName(host)
	return nil
}

// cidr is a network, or a single address.
type cidr netip.Prefix

func (c *cidr) UnmarshalText(text []byte) error {
	if prefix, err := netip.ParsePrefix(string(text)); err == nil {
		*c = cidr(prefix.Masked())
		return nil
	}
	if addr, err := netip.ParseAddr(string(text)); err == nil {
		*c = cidr(netip.PrefixFrom(addr, addr.BitLen()))
		return nil
	}
	return fmt.Errorf("%q is not accepted; it takes networks such as 10.0.0.0/8 or fd00::/8", text)
}

// errUsage marks a command line that can't be run; the program exits 2.
type errUsage struct{ error }

// errHelp says that the help has been printed and nothing is left to do.
var errHelp = errors.New("help")

// parse reads the command line, and the environment where no flag speaks.
func parse(args []string, stdout io.Writer) (*kong.Context, error) {
	helped := false
	parser, err := kong.New(&commandLine{},
		kong.Name("rollcall"),
		kong.Description("Service discovery and load balancing for Docker."),
		kong.UsageOnError(),
		kong.Writers(stdout, io.Discard),
		kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		return nil, err
	}
	command, err := parser.Parse(args)
	if helped {
		return nil, errHelp
	}
	if err != nil {
		return nil, errUsage{errors.New(strings.TrimSpace(err.Error()) + "; rollcall --help lists what is accepted")}
	}
	return command, nil
}
