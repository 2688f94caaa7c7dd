// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/names"
)

// ErrNotBound means that no live process of this host has the address.
var ErrNotBound = errors.New("the address is not bound on this host")

// lifeOf returns how often an address was bound, the last process among them that has it now.
// The lock is asked for first: who binds takes it and then counts, so the count is never that of a
// process before whose lock was seen.
func (r *Registry) lifeOf(a addr.Addr) (life uint64, bound bool, err error) {
	_, bound, err = sys.LockedAt(r.file, int64(a), 1)
	if err != nil {
		return 0, false, fmt.Errorf("ask who has %v bound: %w", a, err)
	}
	return r.binds(a), bound, nil
}

// A lifeKey is a process at an address.
type lifeKey struct {
	addr addr.Addr
	life uint64
}

// A census remembers for one look who is alive.
type census struct {
	r    *Registry
	seen map[lifeKey]bool
}

func (r *Registry) census() *census { return &census{r: r, seen: map[lifeKey]bool{}} }

func (s *census) alive(c *names.Claim) (bool, error) {
	key := lifeKey{c.Addr, c.Life}
	is, known := s.seen[key]
	if known {
		return is, nil
	}
	life, bound, err := s.r.lifeOf(c.Addr)
	if err != nil {
		return false, err
	}
	is = bound && life == c.Life
	s.seen[key] = is
	return is, nil
}

// living returns the claims whose processes are alive: list itself if all are.
func (s *census) living(list []names.Claim) ([]names.Claim, error) {
	for i := range list {
		is, err := s.alive(&list[i])
		if err != nil {
			return nil, err
		}
		if is {
			continue
		}
		left := append([]names.Claim(nil), list[:i]...)
		for j := i + 1; j < len(list); j++ {
			if is, err = s.alive(&list[j]); err != nil {
				return nil, err
			} else if is {
				left = append(left, list[j])
			}
		}
		return left, nil
	}
	return list, nil
}
