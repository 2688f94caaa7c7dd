// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var ruleName = regexp.MustCompile(`\bR(\d+)\b`)

// Each rule of docs/format/ring.md is named in a comment at the code that keeps
// it. Three are not, or not only, this package's.
func TestEveryRuleIsNamedWhereItIsKept(t *testing.T) {
	others := map[string]string{"R10": "channel", "R11": "channel", "R15": "shm"}
	here := rulesIn(t, ".")
	for n := 1; n <= 15; n++ {
		rule := "R" + strconv.Itoa(n)
		if other := others[rule]; other != "" {
			if !rulesIn(t, filepath.Join("..", other))[rule] {
				t.Errorf("no comment in package %s names %s", other, rule)
			}
			if rule == "R15" {
				continue
			}
		}
		if !here[rule] {
			t.Errorf("no comment in package ring names %s", rule)
		}
	}
}

// rulesIn returns the rules that the comments of a package name, but for its
// documentation.
func rulesIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no sources in %s: %v", dir, err)
	}
	rules := map[string]bool{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || filepath.Base(name) == "doc.go" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, comment := range file.Comments {
			for _, rule := range ruleName.FindAllString(comment.Text(), -1) {
				rules[rule] = true
			}
		}
	}
	return rules
}
