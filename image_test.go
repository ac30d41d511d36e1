package main

import (
	"strings"
	"testing"
)

func TestMatchImage(t *testing.T) {
	digest := "@sha256:" + idOf("x")
	cases := []struct {
		image, pattern string
		want           bool
	}{
		{"hello", "hello", true},
		{"hello:v2", "hello", true},
		{"hello" + digest, "hello", true},
		{"hello:v2" + digest, "hello", true},
		{"team/hello", "hello", true},
		{"registry.example/team/hello:v2", "hello", true},
		{"registry.example:5000/team/hello", "hello", true},
		{"registry.example:5000/hello:v2", "team/hello", false},
		{"registry.example/team/hello:v2", "team/hello", true},
		{"registry.example/myteam/hello", "team/hello", false},
		{"othello", "hello", false},
		{"hello-world", "hello", false},
		{"hello/world", "hello", false},
		{"shello:hello", "hello", false},
		{"hello:v2", "hello:v2", true},
		{"hello:v2", "hello:v1", false},
		{"hello", "hello:v1", false},
		{"hello", "hello:latest", true},
		{"hello:latest", "hello:latest", true},
		{"registry.example:5000/hello", "registry.example:5000/hello", true},
		{"Hello", "hello", false},
		{"hello", "", false},
		{"", "hello", false},
		{"sha256:" + idOf("x"), "hello", false},
	}
	for _, c := range cases {
		if got := matchImage(c.image, c.pattern); got != c.want {
			t.Errorf("image %s, --image %s: %t", c.image, c.pattern, got)
		}
	}
}

// The basic design compares what the list shows, which is an ID once the tag has
// moved.
func TestReferenceOutlivesItsTag(t *testing.T) {
	for shown, want := range map[string]string{
		"hello:v1":                  "hello:v1",
		"sha256:" + idOf("x"):       "hello:origin",
		idOf("x")[:12]:              "hello:origin",
		idOf("x"):                   "hello:origin",
		"deadbeef":                  "deadbeef", // a name, not an ID
		"hello@sha256:" + idOf("x"): "hello@sha256:" + idOf("x"),
	} {
		c := container("web-1", image(shown))
		c.config.Image = "hello:origin"
		if got := reference(c.Container, c.config); got != want {
			t.Errorf("listed as %s: %s, want %s", shown, got, want)
		}
	}
}

func FuzzMatchImage(f *testing.F) {
	f.Add("registry.example:5000/team/hello:v2@sha256:abc", "hello")
	f.Fuzz(func(t *testing.T, image, pattern string) {
		if matchImage(image, pattern) && !strings.Contains(image, strings.TrimSuffix(pattern, ":latest")) {
			t.Errorf("%q matches %q", image, pattern)
		}
		if name := imageName(image); strings.Contains(name, "/") {
			t.Errorf("the image %q is named %q", image, name)
		}
	})
}
