// SPDX-License-Identifier: Apache-2.0

package layers

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A source is one Go file of the module.
type source struct {
	dir     string // the directory of its package; "." for the root package
	name    string // its path
	imports []string
	test    bool
}

// check reads the module in fsys and returns one line for each violation.
func check(fsys fs.FS) ([]string, error) {
	var problems []string
	report := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	unknown := map[string]bool{}
	err := walk(fsys, func(name string, inModule bool) error {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		if wantsLicense(name, text) && !hasLicense(text) {
			report("%s: its first line is not %q", name, license)
		}
		if !inModule || path.Ext(name) != ".go" {
			return nil
		}
		src, err := parse(name, text)
		if err != nil {
			report("%v", err)
			return nil
		}
		if !known(src.dir) {
			if !unknown[src.dir] {
				unknown[src.dir] = true
				report("%s: the package is on no floor: add it to the table in internal/layers/rules_test.go", src.dir)
			}
			return nil
		}
		for _, imp := range src.imports {
			if why := refuse(src, imp); why != "" {
				report("%s: imports %s: %s", src.name, imp, why)
			}
		}
		return nil
	})
	return problems, err
}

// walk calls visit with each file that belongs to the project, and says whether
// it is part of the main module or of one in a directory below.
func walk(fsys fs.FS, visit func(name string, inModule bool) error) error {
	nested := map[string]bool{}
	return fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.IsDir() {
			if !entry.Type().IsRegular() {
				return nil
			}
			return visit(name, !nested[path.Dir(name)])
		}
		if name != "." {
			if skipped(entry.Name()) {
				return fs.SkipDir
			}
			_, err := fs.Stat(fsys, path.Join(name, "go.mod"))
			nested[name] = err == nil || nested[path.Dir(name)]
		}
		return nil
	})
}

// skipped reports whether a directory holds no sources of the project: what was
// built, test data, and hidden directories but for that of the CI script.
func skipped(dir string) bool {
	switch dir {
	case ".ci":
		return false
	case "bin", "out", "testdata", "vendor":
		return true
	}
	return strings.HasPrefix(dir, ".") || strings.HasPrefix(dir, "_")
}

func parse(name string, text []byte) (source, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
	if err != nil {
		return source{}, err
	}
	src := source{dir: path.Dir(name), name: name, test: strings.HasSuffix(name, "_test.go")}
	src.imports = importsOf(file)
	return src, nil
}

func importsOf(file *ast.File) []string {
	var paths []string
	for _, spec := range file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// refuse says why src must not import imp, or nothing if it may.
func refuse(src source, imp string) string {
	if dir, ok := inModule(imp); ok {
		return refusePackage(src, dir)
	}
	switch {
	case imp == "unsafe":
		return refuseUnsafe(src)
	case src.test:
		return ""
	case under(imp, "syscall/...", "golang.org/x/sys/...") && !under(src.dir, callsSystem...):
		return "system calls belong in internal/sys"
	case under(imp, pure[src.dir]...):
		return fmt.Sprintf("%s must not import any of %s", src.dir, strings.Join(pure[src.dir], ", "))
	case isLean(src.dir) && !isStandard(imp) && !under(imp, "golang.org/x/sys/..."):
		return fmt.Sprintf("floors up to %d depend on the standard library and golang.org/x/sys alone", leanFloor)
	}
	return ""
}

// refusePackage says why src must not import the package of the module in dir.
func refusePackage(src source, dir string) string {
	from, to := floorOf(src.dir), floorOf(dir)
	switch {
	case dir == src.dir && src.test: // foo_test imports foo
		return ""
	case under(src.dir, testSupport...):
		return "test support imports no package of the module"
	case under(dir, testSupport...):
		if src.test {
			return ""
		}
		return "test support is for tests only"
	case to < 0:
		return "it is on no floor: add it to the table in internal/layers/rules_test.go"
	case to < from, sameProgram(src.dir, dir):
		return ""
	case to == from:
		return fmt.Sprintf("both are on floor %d, and packages of one floor do not see each other", to)
	}
	return fmt.Sprintf("%s is on floor %d and %s on floor %d: imports go down", src.dir, from, dir, to)
}

func refuseUnsafe(src source) string {
	switch {
	case !under(src.dir, mapsMemory...):
		return "unsafe is for " + strings.Join(mapsMemory, ", ")
	case !strings.HasSuffix(src.name, "_unsafe.go") && !strings.HasSuffix(src.name, "_unsafe_test.go"):
		return "unsafe belongs in a file named *_unsafe.go or *_unsafe_test.go"
	}
	return ""
}

// inModule returns the directory of an imported package of the module.
func inModule(imp string) (dir string, ok bool) {
	if imp == module {
		return ".", true
	}
	return strings.CutPrefix(imp, module+"/")
}

// floorOf returns the floor of the package in dir, or -1.
func floorOf(dir string) int {
	return slices.IndexFunc(floors, func(packages []string) bool { return under(dir, packages...) })
}

func known(dir string) bool {
	return floorOf(dir) >= 0 || under(dir, testSupport...)
}

func isLean(dir string) bool {
	floor := floorOf(dir)
	return floor >= 0 && floor <= leanFloor
}

// isStandard tells the standard library from other modules, whose first element
// is a domain name. "C" is no package.
func isStandard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return imp != "C" && !strings.Contains(first, ".")
}

// sameProgram reports whether both packages belong to the same command or
// example: the same directory one below that of a "dir/..." of the floors.
func sameProgram(a, b string) bool {
	return program(a) != "" && program(a) == program(b)
}

func program(dir string) string {
	for _, packages := range floors {
		for _, pattern := range packages {
			top, ok := strings.CutSuffix(pattern, "/...")
			if rest, below := strings.CutPrefix(dir, top+"/"); ok && below {
				name, _, _ := strings.Cut(rest, "/")
				return top + "/" + name
			}
		}
	}
	return ""
}

// under reports whether name matches one of the patterns: it is the pattern
// itself, or the pattern is "dir/..." and name is dir or below it.
func under(name string, patterns ...string) bool {
	for _, pattern := range patterns {
		top, tree := strings.CutSuffix(pattern, "/...")
		if name == top || tree && strings.HasPrefix(name, top+"/") {
			return true
		}
	}
	return false
}

func wantsLicense(name string, text []byte) bool {
	ext := path.Ext(name)
	if ext == "" && bytes.HasPrefix(text, []byte("#!")) {
		return true
	}
	return slices.Contains(licensed, path.Base(name)) || ext != "" && slices.Contains(licensed, ext)
}

func hasLicense(text []byte) bool {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	if bytes.HasPrefix(first, []byte("#!")) {
		first, _, _ = bytes.Cut(rest, []byte("\n"))
	}
	line := strings.TrimSpace(strings.TrimRight(strings.TrimLeft(string(first), "/*# "), "*/"))
	return line == license
}
