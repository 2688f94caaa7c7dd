// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"strings"
	"testing"
)

// CheckGuide checks the types of the Go code in a page, all blocks as one file behind head, which has the package
// clause and the imports. There must be at least so many blocks.
func CheckGuide(t testing.TB, page, head string, blocks int) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "```go\n")[1:]
	if len(parts) < blocks {
		t.Fatalf("%s has %d blocks of code, want %d at least", page, len(parts), blocks)
	}
	code := head
	for _, part := range parts {
		block, _, ended := strings.Cut(part, "```")
		if !ended {
			t.Fatalf("%s: a block does not end: %.60q", page, part)
		}
		code += block
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, page, code, parser.AllErrors)
	if err != nil {
		t.Fatal(err)
	}
	cfg := types.Config{Importer: importer.ForCompiler(fset, "source", nil), Error: func(err error) { t.Error(err) }}
	_, _ = cfg.Check("guide", fset, []*ast.File{file}, nil) // Error has them all
}
