// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"sync"
)

// A Guard lets leaders write to a store in the order of their tokens: it remembers the highest one that
// it has seen and refuses older leaders. It belongs to the store, not to the leaders; each election
// needs its own. A store that outlives its process keeps Highest together with what was written,
// and begins with [NewGuard]. The zero Guard has seen nobody. Any goroutine may call its methods.
type Guard struct {
	mu      sync.Mutex
	highest uint64
}

// NewGuard returns a Guard that has seen a leader with that token.
func NewGuard(highest uint64) *Guard { return &Guard{highest: highest} }

// Do calls write for the leader with that token, and returns its error. Calls come one at a time, so
// that nothing of an older leader is written after something of a newer one. Errors: ErrOldLeader, then
// write is not called; of the token 0, which no leader has.
func (g *Guard) Do(token uint64, write func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.admit(token); err != nil {
		return err
	}
	return write()
}

// Admit is Do for a store that sees to the order itself: it has to write before it admits the next.
func (g *Guard) Admit(token uint64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.admit(token)
}

func (g *Guard) admit(token uint64) error {
	switch {
	case token == 0:
		return fmt.Errorf("token 0: want that of a leader")
	case token < g.highest:
		return fmt.Errorf("token %d: %w, with token %d", token, ErrOldLeader, g.highest)
	}
	g.highest = token
	return nil
}

// Highest returns the highest token that was admitted, 0 if there was none.
func (g *Guard) Highest() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.highest
}
