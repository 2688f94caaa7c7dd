// SPDX-License-Identifier: Apache-2.0

package share_test

import (
	"testing"

	"github.com/skybus-io/skybus/share"
)

// BenchmarkGet reads a table from all processors at once.
func BenchmarkGet(b *testing.B) {
	table := share.New("t", &world{stamp: 1})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if table.Get().stamp != 1 {
				b.Error("wrong world")
			}
		}
	})
}

// BenchmarkAt walks two levels of a tree.
func BenchmarkAt(b *testing.B) {
	tree := testTree()
	b.ReportAllocs()
	for b.Loop() {
		if hp, err := share.At[int64](tree, "orc", "hp"); hp != 30 || err != nil {
			b.Fatal(hp, err)
		}
	}
}

// BenchmarkReplace replaces a table that nobody watches.
func BenchmarkReplace(b *testing.B) {
	table := share.New("t", &world{stamp: 1})
	w := &world{stamp: 2}
	b.ReportAllocs()
	for b.Loop() {
		table.Replace(w)
	}
}
