package main

import (
	"strings"

	"rollcall/internal/docker"
)

// reference returns the image that a container was started from, as it was
// named then: once the tag has moved, the engine's list shows only an ID.
func reference(c docker.Container, config docker.Config) string {
	if looksLikeID(c.Image) && config.Image != "" {
		return config.Image
	}
	return c.Image
}

// looksLikeID tells whether an image is named by its ID, whole or short.
func looksLikeID(image string) bool {
	hex, digest := strings.CutPrefix(image, "sha256:")
	if !digest && len(hex) != 12 && len(hex) != 64 {
		return false
	}
	return strings.Trim(hex, "0123456789abcdef") == ""
}

// matchImage tells whether an image reference is of an image that is named by
// pattern: its name from a slash or its beginning on, any registry before it;
// with a tag only if the pattern has one. "hello" matches "hello:v2" and
// "registry.example/team/hello:v2", and not "othello".
func matchImage(image, pattern string) bool {
	if pattern == "" {
		return false
	}
	image, _, _ = strings.Cut(image, "@")
	name, tag := splitTag(image)
	wantName, wantTag := splitTag(pattern)
	if wantTag != "" && wantTag != tag && (tag != "" || wantTag != "latest") {
		return false
	}
	return name == wantName || strings.HasSuffix(name, "/"+wantName)
}

// splitTag cuts a reference at its tag. A colon before a slash is a registry's
// port.
func splitTag(reference string) (name, tag string) {
	colon := strings.LastIndexByte(reference, ':')
	if colon < 0 || strings.Contains(reference[colon:], "/") {
		return reference, ""
	}
	return reference[:colon], reference[colon+1:]
}

// imageName returns the last part of an image's name, without registry, tag and
// digest.
func imageName(image string) string {
	image, _, _ = strings.Cut(image, "@")
	name, _ := splitTag(image)
	return name[strings.LastIndexByte(name, '/')+1:]
}
