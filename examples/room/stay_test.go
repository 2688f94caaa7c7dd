// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/console"
	"github.com/skybus-io/skybus/internal/testutil"
)

func TestStay(t *testing.T) {
	testutil.NoLeaks(t)
	t.Setenv(console.EnvRun, filepath.Join(t.TempDir(), "run"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- stay(ctx, w, slog.New(slog.DiscardHandler)) }()
	text := make([]byte, 4096)
	n, err := r.Read(text)
	if err != nil || !strings.Contains(string(text[:n]), "skybus call ann say hello\n") {
		t.Fatalf("%q, %v", text[:n], err)
	}
	sockets, err := console.Sockets(console.Dir())
	if err != nil || len(sockets) != 1 || !strings.Contains(string(text[:n]), "skybus console "+sockets[0]+"\n") {
		t.Fatalf("%q, %v; printed %q", sockets, err, text[:n])
	}
	c, err := console.Dial(t.Context(), sockets[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, step := range []struct{ line, answer, wrong string }{
		{"call ann say hello all", "3", ""},
		{"call bob heard 3", `["bob joins","cat joins","ann: hello all"]`, ""},
		{"call cat crash", "", "panic: bad luck"},
		{"call bob heard many", "", "want say TEXT, heard NUMBER, leave or crash"},
		{"call bob heard 4", `["bob joins","cat joins","ann: hello all","cat is gone (panic: bad luck)"]`, ""},
		{"call ann leave", "1", ""},
	} {
		answer, err := c.Do(t.Context(), step.line)
		if answer != step.answer || (err != nil) != (step.wrong != "") || err != nil && !strings.Contains(err.Error(), step.wrong) {
			t.Errorf("%s: %q, %v, want %q, %q", step.line, answer, err, step.answer, step.wrong)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
