package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// dashboardFiles are the page as it is written: there is no build step.
//
//go:embed dashboard
var dashboardFiles embed.FS

// dashboardPolicy lets the page load and ask nothing but its own listener, and run
// no script that is not one of its files. With trusted types the browser refuses
// to make markup of text, so that no container's name or label can become any.
const dashboardPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// dashboardTypes are the content types of the page's files, said here since the
// machine's own table may differ.
var dashboardTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// dashboardFile is a file of the page, ready to be served.
type dashboardFile struct {
	body        []byte
	contentType string
	tag         string
}

// serveDashboard adds the page to the admin listener: index.html at /, all of its
// files under /dashboard/.
func serveDashboard(mux *http.ServeMux) {
	entries, err := fs.ReadDir(dashboardFiles, "dashboard")
	if err != nil {
		panic(err) // they are in the program
	}
	for _, entry := range entries {
		name := "dashboard/" + entry.Name()
		body, err := dashboardFiles.ReadFile(name)
		if err != nil {
			panic(err)
		}
		file := dashboardFile{body, dashboardTypes[path.Ext(name)], fmt.Sprintf(`"%x"`, sha256.Sum256(body))}
		mux.Handle("GET /"+name, file)
		if name == "dashboard/index.html" {
			mux.Handle("GET /{$}", file)
		}
	}
}

func (f dashboardFile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", f.contentType)
	header.Set("Content-Security-Policy", dashboardPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY") // for browsers that don't know frame-ancestors
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	// Asked for each time, so that the files of two versions never mix.
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", f.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}
