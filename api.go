package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"time"
)

// The form of the API's answers. They are JSON in snake_case, durations in
// seconds, times in RFC 3339 and UTC, and every list is sorted; each carries the
// version of the snapshot it is of in Rollcall-Version.

// problemView is the answer to a request that can't be fulfilled.
type problemView struct {
	Error string `json:"error"`
}

// writeJSON answers with what may be another at the next moment.
func writeJSON(w http.ResponseWriter, status int, version uint64, value any) {
	body := encodeJSON(value)
	describeJSON(w, version)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // an error is a client that left
}

// writeTaggedJSON answers a GET with an ETag, or with 304 if the client has this
// answer already. The tag is made of the answer itself, not of the version: that
// says nothing about counters and the last roll, and begins anew with each
// rollcall.
func writeTaggedJSON(w http.ResponseWriter, r *http.Request, version uint64, value any) {
	body := encodeJSON(value)
	describeJSON(w, version)
	writeTagged(w, r, body)
}

// writeTagged answers a GET with a body whose Content-Type is set, or with 304.
func writeTagged(w http.ResponseWriter, r *http.Request, body []byte) {
	sum := fnv.New128a()
	sum.Write(body)
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum.Sum(nil)))
	w.Header().Set("Cache-Control", "no-cache") // to be asked for each time, with the tag
	r.Header.Del("Range")                       // a part of an answer is of no use to anybody
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

func describeJSON(w http.ResponseWriter, version uint64) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Rollcall-Version", strconv.FormatUint(version, 10))
}

// encodeJSON encodes one of the API's views, which can't fail.
func encodeJSON(value any) []byte {
	body, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		panic(err)
	}
	return append(body, '\n')
}

// openapiDocument describes the API in the terms of OpenAPI 3.1.
//
//go:embed openapi.json
var openapiDocument []byte

func (a *Admin) openapi(w http.ResponseWriter, r *http.Request) {
	describeJSON(w, a.registry.Snapshot().Version)
	writeTagged(w, r, openapiDocument)
}
