// SPDX-License-Identifier: Apache-2.0

package wheel

// A Timer is meant to be a field of the struct that it is for: the wheel links
// timers themselves and allocates nothing for them. The zero value with Fire set
// is ready for Start. While it is pending, a Timer is in one wheel only, must not
// be copied, and is kept from being collected by the wheel. It is 32 bytes.
type Timer struct {
	// Fire is called when the time has come, with the timer, which is no longer
	// pending and may be started again. It runs on the goroutine of the wheel
	// without its lock: it may call everything but Close. All other timers wait
	// until it returns, so it must be quick and must neither block nor panic.
	// It may be set as long as the timer is not pending and not about to fire;
	// nil does nothing.
	Fire func(t *Timer)

	// The list that the timer is in, guarded by the wheel's lock; nil when it
	// is in none.
	next, prev *Timer

	// when is the tick at which it fires; in the head of a list, its index.
	when int64
}

// pending reports whether t is in a list.
func (t *Timer) pending() bool { return t.next != nil }

// unlink takes t out of its list.
func (t *Timer) unlink() {
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
}

// The following treat t as the head of a list, which is circular: the head of
// an empty one is its own neighbor.

func (t *Timer) makeEmpty()  { t.next, t.prev = t, t }
func (t *Timer) empty() bool { return t.next == t }

func (t *Timer) pushBack(e *Timer) {
	e.prev, e.next = t.prev, t
	t.prev.next, t.prev = e, e
}

// takeAll moves what is in from to t, which is empty. The cost does not depend on
// how much it is.
func (t *Timer) takeAll(from *Timer) {
	t.next, t.prev = from.next, from.prev
	t.next.prev, t.prev.next = t, t
	from.makeEmpty()
}
