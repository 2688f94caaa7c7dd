// SPDX-License-Identifier: Apache-2.0

package mailbench

import (
	"fmt"
	"testing"
)

// BenchmarkMailbox times each case for each candidate. An op is a message; in
// ping-pong it is one there and one back.
func BenchmarkMailbox(b *testing.B) {
	for _, c := range testCases() {
		b.Run(c.name, func(b *testing.B) {
			for _, d := range Designs() {
				b.Run(d.Name, func(b *testing.B) {
					b.ReportAllocs()
					c.run(d, b.N)
				})
			}
		})
	}
}

// BenchmarkRetained is no time, but the heap bytes of a mailbox that handled a message,
// or 10,000 of them, and is idle.
func BenchmarkRetained(b *testing.B) {
	for _, messages := range []int{1, burst} {
		b.Run(fmt.Sprintf("%d_messages", messages), func(b *testing.B) {
			for _, d := range Designs() {
				b.Run(d.Name, func(b *testing.B) {
					for b.Loop() {
						b.ReportMetric(held(d, 200, messages), "B/idle")
					}
				})
			}
		})
	}
}
