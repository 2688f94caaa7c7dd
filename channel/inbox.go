// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/shm"
)

// An inbox is the mapped page that the reader of an address shares with those
// that send to it.
type inbox struct {
	seg  *shm.Segment
	page *inboxPage
	addr addr.Addr
}

// inbox returns the page of address a, making it if make is set and there is
// none. Making needs the change lock.
func (t *Table) inbox(a addr.Addr, make bool) (*inbox, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if in, ok := t.inboxes[a]; ok {
		return in, nil
	}
	path := t.path(inboxName(a))
	seg, err := shm.Open(path, magicInbox, false)
	if make && errors.Is(err, fs.ErrNotExist) {
		body := inboxBody{key: t.key, addr: uint32(a)}
		seg, err = shm.Create(path, shm.Spec{
			Magic: magicInbox, Size: inboxSize, Body: bodyBytes(&body), Access: t.cfg.Access, Now: time.Now().UnixNano(),
		})
	}
	if err != nil {
		return nil, fmt.Errorf("inbox of %s: %w", t.nameOf(a), budget(damage(err)))
	}
	body := bodyOf[inboxBody](seg.Body())
	if body.key != t.key || body.addr != uint32(a) || len(seg.Mem()) != inboxSize {
		seg.Close()
		return nil, fmt.Errorf("%w: %s is the inbox of %s in domain %d", ErrDamaged, path, t.Format(addr.Addr(body.addr)), body.key)
	}
	in := &inbox{seg: seg, page: shm.View[inboxPage](seg.Mem(), 0), addr: a}
	t.inboxes[a] = in
	return in, nil
}

// budget makes the limits of the process and of the file system what they are
// to a user: a budget.
func budget(err error) error {
	if errors.Is(err, shm.ErrMappings) || errors.Is(err, shm.ErrNoSpace) {
		return fmt.Errorf("%w: %w", ErrBudget, err)
	}
	return err
}

// takeSlot gives out a bit of a's ready set. Under the change lock.
func (t *Table) takeSlot(a addr.Addr) (uint32, error) {
	in, err := t.inbox(a, true)
	if err != nil {
		return 0, err
	}
	n := in.page.slots.Load()
	if n < MaxInboxLanes {
		step("table.slot")
		in.page.slots.Store(n + 1)
		return n, nil
	}
	// All given out: look for one whose lane was deleted.
	used := map[uint32]bool{}
	for _, i := range t.lanesTo(a) {
		used[t.lane(i).bit()] = true
	}
	if a == relayAddr {
		for i := range t.laneCount() {
			if l, ok := relayLane(t.lane(i)); ok {
				used[l.Slot] = true
			}
		}
	}
	for s := range uint32(MaxInboxLanes) {
		if !used[s] {
			return s, nil
		}
	}
	return 0, fmt.Errorf("%w: %d lanes end at %s, the most for one address", ErrBudget, MaxInboxLanes, t.nameOf(a))
}

// words returns how many words of the ready set are in use.
func (p *inboxPage) words() int { return int(min(p.slots.Load()+63, MaxInboxLanes) / 64) }

// quiet reports whether announce would find nothing to do: what nearly every
// message meets, in two loads.
func (p *inboxPage) quiet(slot uint32, last uint32) bool {
	if invariant.Enabled {
		return false // announce has the steps
	}
	invariant.Fence()
	return p.ready[slot/64].Load()>>(slot%64)&1 != 0 && p.bell.Quiet(last)
}

// announce tells the reader that the lane with that slot has something: its
// bit, then the bell. What is announced was stored atomically before. It
// reports whether anything had to be done.
func (p *inboxPage) announce(slot uint32, last *uint32) (news, rang bool) {
	w, bit := &p.ready[slot/64], uint64(1)<<(slot%64)
	if invariant.Enabled {
		invariant.Step("inbox.bit")
	}
	invariant.Fence()
	if w.Load()&bit == 0 {
		step("inbox.setbit")
		w.Or(bit)
		news = true
	}
	rang = p.bell.Notify(last)
	return news || rang, rang
}
