// SPDX-License-Identifier: Apache-2.0

// Package route holds the route table of a host: which addresses live behind
// which other host, and how messages to them are relayed.
//
// A table is named by a relay key and lies in shared memory, in the folder
// skybus-routes-KEY (docs/format/route.md). All domains of a host that name the
// key follow it. It is copied on write: [Store] and [Update] make a new segment
// and let the table's name lead to it from one moment to the next, so a reader
// takes no lock and sees the old table or the new one, also when the writer is
// killed. Two writers exclude each other by a lock that dies with its holder.
//
// A process that routes keeps a [View], which reads the table again only when it
// was replaced:
//
//	view := route.NewView(root, key)
//	...
//	t, err := view.Table()
//	if err != nil {
//		return err
//	}
//	m, ok := t.Lookup(dst)
//
// What lies in shared memory is not trusted: every offset, count, text and
// number is checked before it is used, in a copy that nobody else can change.
package route
