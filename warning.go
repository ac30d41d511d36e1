package main

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Warning is something wrong with a container that rollcall can tell from what
// the engine says of it, whether or not the container is used. It is comparable.
type Warning struct {
	Text   string // a sentence: what is wrong
	Advice string // what to change
	Key    string // of the label that is at fault or missing, as in labelKeys; "" if it is another matter
	Hosts  string // comma list: what a label means to claim; "" if that is no host
}

// String returns what is wrong; the advice stands beside it.
func (w Warning) String() string { return w.Text }

// sentence returns what is wrong and what to change.
func (w Warning) sentence() string {
	if strings.HasSuffix(w.Text, "?") {
		return w.Text + " " + w.Advice
	}
	return w.Text + ": " + w.Advice
}

// sentences are those of several warnings, never nil.
func sentences(warnings []Warning) []string {
	list := make([]string, len(warnings))
	for i, w := range warnings {
		list[i] = w.sentence()
	}
	return list
}

// badValue warns of a label whose value can't be read.
func badValue(label, key, value string, err error) Warning {
	w := Warning{
		Text:   fmt.Sprintf("label %s=%s is ignored: %v", label, oneLine(value), err),
		Advice: "correct its value; without the label its default counts",
		Key:    key,
	}
	if key == "host" {
		if host, path := hostMeant(value); host != "" {
			w.Hosts = host
			w.Advice = fmt.Sprintf("write %s=%s", label, host)
			if path != "" {
				w.Advice += fmt.Sprintf(" and %s=%s", strings.TrimSuffix(label, "host")+"path", path)
			}
		}
	}
	return w
}

// hostMeant takes the host, and the path if there is more than a slash, out of
// what is no host but perhaps a URL; "" if there is none in it.
func hostMeant(value string) (host, path string) {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	if err != nil {
		return "", ""
	}
	host, err = parseHosts(u.Host)
	if err != nil {
		return "", ""
	}
	return host, strings.TrimSuffix(u.Path, "/")
}

// hostPort warns of a port in a label's host: it is read, and has no effect.
func hostPort(label, value string) (w Warning, found bool) {
	for _, item := range splitList(value) {
		host, port, err := net.SplitHostPort(item)
		if err != nil {
			continue
		}
		return Warning{
			Text:   fmt.Sprintf("label %s=%s names the port %s, but hosts are compared without one: it is read as %s", label, oneLine(value), port, host),
			Advice: fmt.Sprintf("leave the port out; if it is the container's, say so with %s=%s", strings.TrimSuffix(label, "host")+"port", port),
			Key:    "host",
		}, true
	}
	return Warning{}, false
}
