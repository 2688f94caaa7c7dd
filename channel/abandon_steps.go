// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

// Abandon ends a table as the death of its process does, for simulations: locks
// are given back, memory is unmapped, and nothing is tidied up. The caller may
// have been stopped anywhere in a method; nothing of the table is used again.
func (t *Table) Abandon() {
	for _, s := range t.pool.open {
		for range s.ends {
			s.seg.Close()
		}
	}
	for _, in := range t.inboxes {
		in.seg.Close()
	}
	t.seg.Close()
	t.file.Close()
	t.locks.Close()
}
