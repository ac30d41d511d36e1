package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// nearRoots warns of labels that would be rollcall's but for a typing error:
// rolcall.port, Rollcall.host, rollcall-host, or rollcall alone.
func nearRoots(all map[string]string) []Warning {
	var warnings []Warning
	for _, label := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(label, labelPrefix) {
			continue
		}
		root, rest := label, ""
		if end := strings.IndexAny(label, ".-_:/"); end >= 0 {
			root, rest = label[:end], label[end+1:]
		}
		if nearest(strings.ToLower(root), []string{"rollcall"}) == "" {
			continue
		}
		if rest == "" {
			if root != "rollcall" {
				continue // a word like it, of someone else's
			}
			rest = "enable"
		}
		meant := labelPrefix + knownKey(rest)
		if labelKeys[keyOf(meant)] == nil {
			continue // what follows means nothing here: rollcall-backup, of someone else's
		}
		warnings = append(warnings, misspelled(label, all[label], "is not rollcall's", meant))
	}
	return warnings
}

// misspelled warns of a label that is near to one that is known.
func misspelled(label, value, problem, meant string) Warning {
	w := Warning{
		Text:   fmt.Sprintf("label %s %s; did you mean %s?", label, problem, meant),
		Advice: fmt.Sprintf("write %s=%s", meant, oneLine(value)),
		Key:    keyOf(meant),
	}
	if w.Key == "host" {
		w.Hosts, _ = hostMeant(unquote(strings.TrimSpace(value)))
		if hosts, err := parseHosts(unquote(strings.TrimSpace(value))); err == nil {
			w.Hosts = hosts
		}
	}
	return w
}

// unknownLabel warns of rollcall.NAME.KEY with a key that is none; name is "" in
// the plain form.
func unknownLabel(label, value, name, key string) Warning {
	problem := "is not known"
	if name != "" && (key == "service" || key == "enable") {
		return Warning{
			Text:   fmt.Sprintf("label %s is not known: %s is of the whole container", label, key),
			Advice: fmt.Sprintf("write %s%s, or leave it out: NAME in rollcall.NAME.KEY is the service", labelPrefix, key),
			Key:    key,
		}
	}
	prefix := labelPrefix
	if name != "" {
		prefix += name + "."
	}
	if known := knownKey(key); labelKeys[known] != nil {
		return misspelled(label, value, problem, prefix+known)
	}
	if name != "" && labelKeys[name] != nil {
		// rollcall.port.web: the right words in the wrong order.
		if service := serviceName(key); service == key {
			return misspelled(label, value, problem, labelPrefix+service+"."+name)
		}
	}
	if name != "" {
		if known := knownKey(name + "." + key); labelKeys[known] != nil {
			return misspelled(label, value, problem, labelPrefix+known)
		}
	}
	return Warning{
		Text:   fmt.Sprintf("label %s is not known; known are %s", label, strings.Join(slices.Sorted(maps.Keys(labelKeys)), ", ")),
		Advice: "use one of these keys, or remove the label",
	}
}

// keyOf returns KEY of rollcall.KEY or rollcall.NAME.KEY.
func keyOf(label string) string {
	key := strings.TrimPrefix(label, labelPrefix)
	if _, last, named := strings.Cut(key, "."); named && labelKeys[key] == nil {
		return last
	}
	return key
}

// knownKey returns the known key, or NAME.KEY, that is nearest to key; key itself
// if none is near.
func knownKey(key string) string {
	lower := strings.ToLower(key)
	if labelKeys[lower] != nil {
		return lower
	}
	known := slices.Sorted(maps.Keys(labelKeys))
	if near := nearest(lower, known); near != "" {
		return near
	}
	if name, last, named := strings.Cut(key, "."); named && serviceName(name) == name {
		if near := knownKey(last); labelKeys[near] != nil {
			return name + "." + near
		}
	}
	return key
}

// nearest returns the word that is a typing error away from s, "" if none is.
func nearest(s string, words []string) string {
	best, least := "", 3 // more than two edits is another word
	for _, word := range words {
		if len(s)-len(word) >= least || len(word)-len(s) >= least {
			continue // each byte more or less is an edit
		}
		if d := editDistance(s, word); d < least && d < len(word) {
			best, least = word, d
		}
	}
	return best
}

// editDistance is Levenshtein's, in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
