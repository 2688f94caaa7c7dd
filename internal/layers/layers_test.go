// SPDX-License-Identifier: Apache-2.0

package layers

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// TestLayers checks the module that this file is part of.
func TestLayers(t *testing.T) {
	problems, err := check(os.DirFS(moduleRoot(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

// moduleRoot goes up from the working directory to that with go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.Contains(string(text), "module "+module+"\n") {
			return dir
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if dir == filepath.Dir(dir) {
			t.Fatalf("no go.mod of %s above the working directory", module)
		}
		dir = filepath.Dir(dir)
	}
}

// TestWalkSeesThisModule guards against a checker that passes because it reads
// nothing.
func TestWalkSeesThisModule(t *testing.T) {
	seen := map[string]bool{}
	err := walk(os.DirFS(moduleRoot(t)), func(name string, inModule bool) error {
		seen[name] = inModule
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"Makefile": true, ".ci/run": true, "internal/layers/layers_test.go": true, "tools/testsum/main.go": false,
	} {
		if got, ok := seen[name]; !ok || got != want {
			t.Errorf("%s: seen %v, in the module %v", name, ok, got)
		}
	}
}

// TestViolations breaks each rule once, and looks at what keeps to it.
func TestViolations(t *testing.T) {
	tests := []struct {
		name    string
		file    string
		imports string // separated by spaces; "+x" is package x of the module, "+." the root package
		want    string // part of the one problem; nothing if there is none
	}{
		{"down one floor", "shm/a.go", "+ring", ""},
		{"down many floors", "cmd/skybus/main.go", "+addr +. fmt", ""},
		{"the root package looks down", "a.go", "+channel +route +shm", ""},
		{"a package that does not exist yet", "console/a.go", "+node", ""},
		{"up one floor", "ring/a.go", "+shm", "ring is on floor 1 and shm on floor 2"},
		{"up to the root package", "channel/a.go", "+.", ". on floor 4"},
		{"a pure package of a floor is higher than its parent's children", "relay/wire/a.go", "+relay", "imports go down"},
		{"the parent looks down", "relay/a.go", "+relay/wire", ""},
		{"across one floor", "channel/a.go", "+route", "both are on floor 3"},
		{"tests keep to the floors", "ring/a_test.go", "+shm", "imports go down"},
		{"a test outside its package", "ring/a_test.go", "+ring", ""},
		{"commands do not see each other", "cmd/skybus/main.go", "+cmd/skybusd", "both are on floor 9"},
		{"parts of a command", "cmd/skybus/main.go", "+cmd/skybus/internal/top", ""},
		{"an example is no library", "rpc/a.go", "+examples/chat", "imports go down"},
		{"an unknown package", "gadget/a.go", "fmt", "gadget: the package is on no floor: add it"},
		{"below a known package", "ring/lap/a.go", "fmt", "ring/lap: the package is on no floor"},
		{"an import of an unknown package", "node/a.go", "+gadget", "it is on no floor: add it"},
		{"an import of another module of the checkout", "node/a.go", "+tools/testsum", "it is on no floor"},

		{"x/sys in internal/sys", "internal/sys/a.go", "golang.org/x/sys/unix syscall", ""},
		{"x/sys elsewhere", "shm/a.go", "golang.org/x/sys/unix", "system calls belong in internal/sys"},
		{"syscall elsewhere", "node/a.go", "syscall", "system calls belong in internal/sys"},
		{"syscall for signals", "cmd/skybusd/main.go", "syscall", ""},
		{"syscall in a test", "shm/a_test.go", "syscall golang.org/x/sys/unix", ""},
		{"a dependency of a low floor", "channel/a.go", "go.example.org/x", "standard library"},
		{"a dependency of the root package", "a.go", "github.com/a/b", "standard library"},
		{"cgo on a low floor", "ring/a.go", "C", "standard library"},
		{"a dependency of a low floor's test", "channel/a_test.go", "go.example.org/x", ""},
		{"a dependency of a high floor", "cluster/a.go", "go.example.org/x", ""},

		{"unsafe where it belongs", "ring/map_unsafe.go", "unsafe", ""},
		{"unsafe in a test file where it belongs", "shm/map_unsafe_test.go", "unsafe", ""},
		{"unsafe in a file of another name", "ring/map.go", "unsafe", "*_unsafe.go"},
		{"unsafe in a test file of another name", "ring/map_test.go", "unsafe", "*_unsafe.go"},
		{"unsafe in another package", "node/map_unsafe.go", "unsafe", "unsafe is for"},
		{"unsafe in a test of another package", "a_unsafe_test.go", "unsafe", "unsafe is for"},

		{"time in ring", "ring/a.go", "time", "ring must not import"},
		{"os in ring", "ring/a.go", "os/signal", "ring must not import"},
		{"time in a test of ring", "ring/a_test.go", "time os", ""},
		{"net below net in relay/wire", "relay/wire/a.go", "net/netip", "relay/wire must not import"},
		{"os in gate/frame", "gate/frame/a.go", "os", "gate/frame must not import"},
		{"time in internal/tbusxml", "internal/tbusxml/a.go", "time", "internal/tbusxml must not import"},
		{"encoding in relay/wire", "relay/wire/a.go", "encoding/binary errors", ""},
		{"net in relay", "relay/a.go", "net os time", ""},

		{"test support in a test", "addr/a_test.go", "+internal/testutil", ""},
		{"test support in what ships", "node/a.go", "+internal/testutil", "for tests only"},
		{"test support looks into the module", "internal/testutil/a.go", "+addr", "test support imports no package"},
		{"test support has dependencies", "internal/testutil/a.go", "go.example.org/x os", ""},

		{"another module", "bench/main.go", "+internal/testutil unsafe syscall", ""},
		{"below another module", "bench/deep/er/main.go", "unsafe", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, fstest.MapFS{
				"go.mod":       {Data: []byte("module " + module + "\n")},
				"bench/go.mod": {Data: []byte("module " + module + "/bench\n")},
				test.file:      {Data: goFile(test.imports)},
			}, test.want)
		})
	}
}

func goFile(imports string) []byte {
	var b strings.Builder
	b.WriteString("// " + license + "\n\npackage p\n")
	for _, imp := range strings.Fields(imports) {
		if dir, ok := strings.CutPrefix(imp, "+"); ok {
			imp = strings.TrimSuffix(module+"/"+dir, "/.")
		}
		b.WriteString("import _ \"" + imp + "\"\n")
	}
	return []byte(b.String())
}

// expect checks fsys and wants one problem that contains want, or none.
func expect(t *testing.T, fsys fs.FS, want string) {
	t.Helper()
	problems, err := check(fsys)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case want == "" && len(problems) > 0:
		t.Errorf("reported %q", problems)
	case want != "" && (len(problems) != 1 || !strings.Contains(problems[0], want)):
		t.Errorf("reported %q, want one problem with %q", problems, want)
	}
}

func TestLicense(t *testing.T) {
	tests := []struct {
		file, text string
		ok         bool
	}{
		{"a.go", "// " + license + "\n\npackage skybus\n", true},
		{"a.go", "package skybus\n", false},
		{"a.go", "//go:build linux\n\n// " + license + "\n\npackage skybus\n", false},
		{"a.go", "// " + license + " OR MIT\n\npackage skybus\n", false},
		{"ring/a_test.go", "package ring\n", false},
		{"bench/main.go", "package main\n", false},
		{"bench/c/ring.c", "/* " + license + " */\nint x;\n", true},
		{"bench/c/ring.c", "int x;\n", false},
		{"Makefile", "# " + license + "\nall:\n", true},
		{"Makefile", "all:\n", false},
		{".golangci.yml", "version: 2\n", false},
		{".ci/run", "#!/usr/bin/env bash\n# " + license + "\ntrue\n", true},
		{".ci/run", "#!/usr/bin/env bash\ntrue\n", false},
		{"script.sh", "true\n", false},
		{"README.md", "# Skybus\n", true},
		{"LICENSE", "text\n", true},
		{"addr/testdata/golden.go", "package golden\n", true},
		{"bin/x.sh", "true\n", true},
		{".idea/x.yml", "a: b\n", true},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			want := ""
			if !test.ok {
				want = test.file + ": its first line is not"
			}
			expect(t, fstest.MapFS{
				test.file:      {Data: []byte(test.text)},
				"bench/go.mod": {Data: []byte("module " + module + "/bench\n")},
			}, want)
		})
	}
}

func TestBrokenFile(t *testing.T) {
	expect(t, fstest.MapFS{"addr/a.go": {Data: []byte("// " + license + "\npackage addr\nimport (\n")}}, "addr/a.go:")
}

// TestTableListsPackagesOnce keeps the table itself in order.
func TestTableListsPackagesOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, packages := range append(floors, testSupport) {
		for _, p := range packages {
			if seen[p] {
				t.Errorf("%s is listed twice", p)
			}
			seen[p] = true
		}
	}
	for p := range pure {
		if !known(p) {
			t.Errorf("the pure package %s is on no floor", p)
		}
	}
	for _, p := range append(mapsMemory, callsSystem...) {
		if !known(p) {
			t.Errorf("%s is on no floor", p)
		}
	}
}
