// SPDX-License-Identifier: Apache-2.0

package actor

import "github.com/skybus-io/skybus/internal/invariant"

// check panics in builds with invariants when another goroutine than the
// handler's uses c. In others that corrupts it unseen: it costs too much to ask.
func (c *Context) check() {
	if invariant.Enabled && goroutineNumber() != c.goroutine {
		panic("actor: a Context was used by another goroutine than its handler's; give that c.Runtime() and c.Self()")
	}
}
