// SPDX-License-Identifier: Apache-2.0

// Package share holds data that all services of a process read in place: the
// tables of a game, such as monsters and drop rates, that are replaced as a
// whole while the process runs (skynet's sharedata).
//
// A [Table] has one current [Version] at a time. A version is never changed: a
// writer makes a new value and puts it in the place of the old one, from one
// moment to the next. Reading is one atomic load, without a lock and without a
// copy, and readers never wait for writers. Whoever has taken a version may keep
// it as long as it likes: it stays as it was, and the garbage collector frees it
// after its last reader.
//
//	monsters := share.New("monsters", map[string]Monster{"orc": {HP: 30}})
//	...
//	hp := monsters.Get()["orc"].HP
//
// A handler that looks twice takes the version once, and so sees one state:
//
//	v := monsters.Load()
//	a, b := v.Value()["orc"], v.Value()["elf"]
//
// # What holds
//
//   - Numbers of versions begin with 1 and grow by one. No reader sees a version
//     and after it an older one.
//   - [Table.Update] loses no update of another writer.
//   - Each watcher is told of versions in order, one at a time, and always of the
//     last one; it may miss versions that were current only while it was busy.
//
// # What the program owes
//
// A value belongs to the table from the moment it is handed over, with all that
// can be reached from it. Nobody changes it after that, neither the writer nor a
// reader. Go cannot enforce this; the race detector finds who breaks it. To
// change a table, copy what differs and share the rest:
//
//	monsters.Update(func(old map[string]Monster) (map[string]Monster, error) {
//		next := maps.Clone(old)
//		next["orc"] = Monster{HP: 35}
//		return next, nil
//	})
//
// A [Registry] lists the tables of a process for its tools and finds them by
// name. A [Tree] is a table without a Go type of its own, read by path with [At].
// Package share/files keeps tables up to date with files.
package share
