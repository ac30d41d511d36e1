package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// The values of labels. Each parser's error says what is accepted; the caller
// names the label and the value.

func parseBool(value string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "true", "1", "yes", "on":
		return true, nil
	case "false", "0", "no", "off":
		return false, nil
	}
	return false, fmt.Errorf("it must be true or false")
}

func parsePort(value string) (uint16, error) {
	port, err := strconv.ParseUint(value, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("a port is a number from 1 to 65535")
	}
	return uint16(port), nil
}

func parsePriority(value string) (int, error) {
	priority, err := strconv.Atoi(value)
	if err != nil {
		return 0, fmt.Errorf("a priority is a whole number; the larger wins")
	}
	return priority, nil
}

func parseTimeout(value string) (time.Duration, error) {
	timeout, err := time.ParseDuration(value)
	if err != nil || timeout <= 0 {
		return 0, fmt.Errorf("it takes a duration such as 500ms, 30s or 2m")
	}
	return timeout, nil
}

func parseScheme(value string) (string, error) {
	switch value {
	case "http", "https", "h2c":
		return value, nil
	}
	return "", fmt.Errorf("a scheme is http, https or h2c")
}

func parseWeight(value string) (int, error) {
	weight, err := strconv.Atoi(value)
	if err != nil || weight < 1 || weight > 1000 {
		return 0, fmt.Errorf("a weight is a number from 1 to 1000")
	}
	return weight, nil
}

func parseBalance(value string) (string, error) {
	_, err := newBalancer(value)
	return value, err
}

func parseCookieName(value string) (string, error) {
	if !isToken(value) {
		return "", fmt.Errorf("a cookie's name has no blanks, commas, semicolons or other separators")
	}
	return value, nil
}

// parseCheckPath takes the target of a request: a path, perhaps with a query.
func parseCheckPath(value string) (string, error) {
	if u, err := url.ParseRequestURI(value); err != nil || u.Host != "" || !strings.HasPrefix(value, "/") {
		return "", fmt.Errorf("a path begins with /, such as /healthz")
	}
	return value, nil
}

// parseStatusRange takes a status code, or a range of them.
func parseStatusRange(value string) (low, high int, err error) {
	from, to, ranged := strings.Cut(value, "-")
	if !ranged {
		to = from
	}
	low, err1 := strconv.Atoi(strings.TrimSpace(from))
	high, err2 := strconv.Atoi(strings.TrimSpace(to))
	if err1 != nil || err2 != nil || low < 100 || high > 599 || low > high {
		return 0, 0, fmt.Errorf("a status is a code such as 204 or a range such as 200-399")
	}
	return low, high, nil
}

// parseService takes what can stand in a host name, so that SERVICE.DOMAIN is
// one.
func parseService(value string) (string, error) {
	if value == "" || serviceName(value) != value {
		return "", fmt.Errorf("a service name is made of a-z, 0-9, - and _; this would be %q", serviceName(value))
	}
	return value, nil
}

// serviceName turns a word into a service name: lower case, other characters
// become "-".
func serviceName(word string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, word)
	return strings.Trim(name, "-")
}

// parseHosts takes a comma list of host patterns and gives it back in the form
// that routes are compared in.
func parseHosts(value string) (string, error) {
	hosts := splitList(value)
	if len(hosts) == 0 {
		return "", fmt.Errorf("a host is a name such as shop.example.com, *.example.com or *")
	}
	for i, item := range hosts {
		host, err := parseHost(item)
		if err != nil {
			return "", err
		}
		hosts[i] = host
	}
	return strings.Join(hosts, ","), nil
}

// parsePaths takes a comma list of path prefixes and gives it back in the form
// that routes are compared in.
func parsePaths(value string) (string, error) {
	paths := splitList(value)
	if len(paths) == 0 {
		return "", fmt.Errorf("a path is a prefix such as / or /api")
	}
	for i, item := range paths {
		path := normalPath(item)
		if item[0] != '/' || strings.ContainsAny(item, "?#;*\\ ") || strings.ContainsFunc(path, unicode.IsControl) || strings.Contains(path, ",") {
			return "", fmt.Errorf("%q can't be a path prefix; it begins with / and has no ?, #, ;, *, \\ or blank, such as /api", item)
		}
		if path != "/" {
			path = strings.TrimRight(path, "/")
		}
		paths[i] = path
	}
	return strings.Join(paths, ","), nil
}
