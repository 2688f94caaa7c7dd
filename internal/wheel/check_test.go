// SPDX-License-Identifier: Apache-2.0

package wheel

import (
	"fmt"
	"testing"
)

// check fails the test unless all lists are sound, each timer is in the list that
// it belongs to, and the bitmaps and the count tell the truth.
func (s *slots) check(t *testing.T) {
	t.Helper()
	if err := s.verify(); err != nil {
		t.Fatal(err)
	}
}

func (s *slots) verify() error {
	total := 0
	for i := range s.heads {
		n, err := s.verifyList(uint(i))
		if err != nil {
			return fmt.Errorf("list %d at tick %d: %w", i, s.cur, err)
		}
		total += n
	}
	if total != s.n {
		return fmt.Errorf("%d timers are in the lists, the count is %d", total, s.n)
	}
	for l, used := range s.used {
		if bit := s.inUse>>l&1 == 1; bit != (used != 0) {
			return fmt.Errorf("level %d in use: %v, with slots %#x", l, bit, used)
		}
	}
	return nil
}

func (s *slots) verifyList(list uint) (n int, err error) {
	head := &s.heads[list]
	for t := head.next; t != head; t = t.next {
		if t.next.prev != t || t.prev.next != t {
			return n, fmt.Errorf("the neighbors of timer %d do not know it", n)
		}
		if err := s.verifyPlace(t, list); err != nil {
			return n, err
		}
		n++
	}
	if list == takenList {
		return n, nil
	}
	if bit := s.used[list/width]>>(list%width)&1 == 1; bit != (n > 0) {
		return n, fmt.Errorf("in use: %v, with %d timers", bit, n)
	}
	return n, nil
}

func (s *slots) verifyPlace(t *Timer, list uint) error {
	l := s.levelOf(t.when)
	switch {
	case t.when < s.cur:
		return fmt.Errorf("a deadline in the past: %d", t.when)
	case list == takenList && l >= max(s.level, 1):
		return fmt.Errorf("deadline %d was taken at level %d", t.when, s.level)
	case list != takenList && list != l*width+uint(t.when>>(l*digit))%width:
		return fmt.Errorf("deadline %d is in the wrong list", t.when)
	}
	return nil
}
