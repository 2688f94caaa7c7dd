// SPDX-License-Identifier: Apache-2.0

// Package page is the chat in a browser: files that need no build step, and the
// handler that serves them from the gate's own port.
package page

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed static
var files embed.FS

// policy lets the page load nothing but its own files, and speak to nobody but the server that it came from.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves the page.
func Handler() http.Handler {
	static, err := fs.Sub(files, "static")
	if err != nil {
		return http.NotFoundHandler() // the folder is embedded: this cannot be
	}
	serve := http.FileServerFS(static)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache") // embedded files have no time
		serve.ServeHTTP(w, r)
	})
}
