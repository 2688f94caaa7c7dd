// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What is generated is what was, also while it is not there; and it compiles.
func TestGolden(t *testing.T) {
	cfg := Config{Dir: "testdata/many", File: "many.go"}
	got, err := Generate(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join(cfg.Dir, cfg.Name())
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is out of date (%v): run go test ./rpc/gen -update", golden, err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "vet", "./"+cfg.Dir).CombinedOutput(); err != nil {
		t.Errorf("it does not compile: %v\n%s", err, out)
	}
}

// The code that the module has is up to date.
func TestUpToDate(t *testing.T) {
	for _, cfg := range []Config{
		{Dir: "..", Types: []string{"Root"}, Out: "root_rpc.go"},
		{Dir: "../rpctest", File: "account.go"},
	} {
		got, err := Generate(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if have, err := os.ReadFile(filepath.Join(cfg.Dir, cfg.Name())); err != nil || !bytes.Equal(got, have) {
			t.Errorf("%s in %s is out of date (%v): run make generate", cfg.Name(), cfg.Dir, err)
		}
	}
}

func TestWrongInterfaces(t *testing.T) {
	for _, test := range []struct {
		cfg  Config
		want []string
	}{
		{Config{Types: []string{"Wrong"}}, []string{
			"wrong.go:12:2: Wrong.Variadic: it is variadic", "wrong.go:13:2: Wrong.NoError: its last result is no error",
			"wrong.go:14:2: Wrong.Channel: parameter c: a channel", "wrong.go:15:2: Wrong.Function: parameter 1: a function",
			"wrong.go:16:2: Wrong.Context: parameter ctx: a context is the first", "wrong.go:17:2: Wrong.TwoResults: a sequence is its only result",
			"wrong.go:18:2: Wrong.BareSeq: a sequence is an iter.Seq2", "wrong.go:19:2: Wrong.Error: parameter err: an error",
			"wrong.go:20:2: Wrong.hidden: it is not exported",
		}},
		{Config{Types: []string{"Generic"}}, []string{"wrong.go:23:6: Generic has type parameters"}},
		{Config{Types: []string{"Empty"}}, []string{"wrong.go:25:6: Empty has no methods"}},
		{Config{Types: []string{"Struct"}}, []string{"wrong.go:27:6: Struct is no interface"}},
		{Config{Types: []string{"Missing"}}, []string{"package wrong has no type Missing"}},
		{Config{File: "other.go"}, []string{"other.go has no interface"}},
	} {
		test.cfg.Dir = "testdata/wrong"
		_, err := Generate(t.Context(), test.cfg)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v %s: %v\nwant %q", test.cfg.Types, test.cfg.File, err, want)
			}
		}
	}
	if _, err := Generate(t.Context(), Config{Dir: t.TempDir()}); err == nil {
		t.Error("a folder without a package was taken")
	}
}
