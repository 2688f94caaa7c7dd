// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package invariant

import "sync/atomic"

// Enabled tells whether this build has the hooks.
const Enabled = true

var hook atomic.Pointer[func(site string)]

// SetHook installs f, to be called with the name of each step that any
// goroutine passes; nil removes it.
func SetHook(f func(site string)) {
	if f == nil {
		hook.Store(nil)
		return
	}
	hook.Store(&f)
}

// Step calls the hook. A site is named "package.what", after the store that
// comes next.
func Step(site string) {
	if f := hook.Load(); f != nil {
		(*f)(site)
	}
}
