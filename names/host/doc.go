// SPDX-License-Identifier: Apache-2.0

// Package host is the registry of the names of one host: a table in the shared memory of a
// domain (docs/format/names.md).
//
//	r, err := host.Open(folder, key, binds)
//	defer r.Close()
//	standing, err := r.Request(ctx, "bank", owner, 0)
//
// Readers take no lock and wait for nobody: they copy what they want, and look whether it was
// changed meanwhile. A change is made under a lock that the kernel gives back when its holder
// dies, and is seen from one store to the next; what a process leaves that is killed in between,
// the next change puts right.
//
// Whether an owner is alive, the kernel and the domain say together: its address is bound, and as
// often as when it got the name. No time is involved, and a process that was stopped keeps its
// names. A dead owner is nobody to all who look; whoever finds one takes it out.
//
// What lies in shared memory is not trusted: offsets, counts and lengths are checked in a
// copy before they are used.
//
// Floor 3.
package host
