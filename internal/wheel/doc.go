// SPDX-License-Identifier: Apache-2.0

// Package wheel keeps timers of one millisecond resolution in a hierarchical
// timing wheel: a million of them cost per Start, Stop and expiry what a few do.
//
//	type call struct {
//		timeout wheel.Timer
//		...
//	}
//
//	w := wheel.New()
//	defer w.Close()
//	c.timeout.Fire = onTimeout
//	w.Start(&c.timeout, 5*time.Second)
//	...
//	if !w.Stop(&c.timeout) {
//		// onTimeout runs or has run
//	}
//
// The wheel is that of Varghese and Lauck, "Hashed and hierarchical timing
// wheels: data structures for the efficient implementation of a timer facility"
// (SOSP 1987), their scheme 7. A deadline is a number of ticks, read as digits of
// six bits; the highest digit in which it differs from the current tick is its
// level, the value of that digit its slot:
//
//	level      0      1       2        3       4        5         6         7
//	slot is   1 ms   64 ms   4.1 s    4.4 min  4.7 h   12.4 d    2.2 y     139 y
//	reaches   64 ms  4.1 s   4.4 min  4.7 h    12.4 d  2.2 y     139 y     8900 y
//
// Eight levels hold every time.Duration, so there is no list for what is too far
// away. When time comes to a slot of level 0, its timers fire; those of a slot of
// a higher level are distributed to lower ones. A timer is moved seven times at
// most, one of an hour three times as a rule, and one that is stopped before (what
// happens to most timeouts) perhaps never. A large slot is distributed in parts
// between which others get the lock; what is due meanwhile fires later, by some
// 2 ms for 100,000 timers in one slot.
//
// By this choice of the level all slots in use lie ahead of the current tick, so
// the first is found by counting the trailing zeros of two bitmaps. To skip empty
// ticks costs nothing, however many they are: after a long sleep, or when the
// process was stopped, the cost is that of the timers which are due.
//
// A goroutine, begun by the first Start, sleeps until the first deadline, and a
// Start wakes nobody: if its deadline comes before the one slept for, it sets the
// alarm earlier. A Stop leaves the alarm as it is. While nothing is pending the
// goroutine sleeps without an alarm.
//
// One lock guards all. Where several processors start and stop timers all the time,
// a wheel for each, chosen by what the timer is for, multiplies what they can do.
//
// Time is that of package time alone, so that a wheel made in a bubble of
// testing/synctest runs in its virtual time. Like that of all Go timers it is
// monotonic: setting the system's clock changes nothing, and time in which the
// system is suspended does not count on Linux.
package wheel
