// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A pkg is the package that interfaces are of.
type pkg struct {
	fset  *token.FileSet
	types *types.Package
	dir   string
}

// listed is what go list says of a package.
type listed struct {
	ImportPath  string
	Export      string
	Dir         string
	GoFiles     []string
	TestGoFiles []string
	DepOnly     bool
	ForTest     string
	Error       *struct{ Err string }
}

// load reads and checks the package. Its own errors do not matter unless the interfaces have them.
func load(ctx context.Context, cfg *Config) (*pkg, error) {
	test := strings.HasSuffix(cfg.Name(), "_test.go")
	all, err := list(ctx, cfg.Dir, test)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	var own *listed
	for i, l := range all {
		if !l.DepOnly && l.ForTest == "" && !strings.HasSuffix(l.ImportPath, ".test") {
			own = &all[i]
		} else if l.ForTest == "" {
			exports[l.ImportPath] = l.Export
		}
	}
	if own == nil || len(own.GoFiles)+len(own.TestGoFiles) == 0 {
		return nil, fmt.Errorf("%s: no Go package here", cfg.Dir)
	}
	files := own.GoFiles
	if test {
		files = append(slices.Clone(files), own.TestGoFiles...)
	}
	p := &pkg{fset: token.NewFileSet(), dir: own.Dir}
	return p, p.check(own.ImportPath, files, filepath.Base(cfg.Name()), exports)
}

// list asks the Go command for the package in dir and what it imports.
func list(ctx context.Context, dir string, test bool) ([]listed, error) {
	args := []string{"list", "-e", "-deps", "-export", "-json=ImportPath,Export,Dir,GoFiles,TestGoFiles,DepOnly,ForTest,Error"}
	if test {
		args = append(args, "-test")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...) //nolint:gosec // the arguments are fixed
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if said := bytes.TrimSpace(stderr.Bytes()); len(said) > 0 {
			return nil, fmt.Errorf("go list in %s: %w\n%s", dir, err, said)
		}
		return nil, fmt.Errorf("go list in %s: %w", dir, err)
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		switch err := d.Decode(&l); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("go list in %s: %w", dir, err)
		}
		all = append(all, l)
	}
}

// check parses the files, but for the one that is written anew, and finds out their types.
func (p *pkg) check(path string, names []string, out string, exports map[string]string) error {
	var files []*ast.File
	for _, name := range names {
		if name == out {
			continue
		}
		f, err := parser.ParseFile(p.fset, filepath.Join(p.dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		files = append(files, f)
	}
	lookup := func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("package %s does not compile, or is not there", path)
		}
		return os.Open(exports[path])
	}
	cfg := types.Config{
		Importer: importer.ForCompiler(p.fset, "gc", lookup),
		Error:    func(error) {}, // bodies of functions may use what is not generated yet
	}
	p.types, _ = cfg.Check(path, p.fset, files, nil)
	return nil
}

// at is where obj is, from the package's folder.
func (p *pkg) at(obj types.Object) string {
	pos := p.fset.Position(obj.Pos())
	if rel, err := filepath.Rel(p.dir, pos.Filename); err == nil {
		pos.Filename = filepath.ToSlash(rel)
	}
	return pos.String()
}
