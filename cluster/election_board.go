// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// candidateVersion is that of a candidate's value. Later ones keep its fields.
const candidateVersion = 1

// A candidate is a key below the root of the elections.
type candidate struct {
	lease   LeaseID
	id      string
	value   string
	created uint64
}

// candidateJSON is a candidate's value, so that the engine's own tools show it.
type candidateJSON struct {
	Version int    `json:"v"`
	ID      string `json:"id"`
	Value   string `json:"value"`
}

func candidateValue(id, value string) []byte {
	data, err := json.Marshal(candidateJSON{candidateVersion, id, value})
	if err != nil {
		panic(fmt.Sprintf("cluster: a candidate in JSON: %v", err)) // a number and two strings
	}
	return data
}

func candidateKey(root, name string, l LeaseID) string {
	return fmt.Sprintf("%s%s/%016x", root, name, uint64(l))
}

// candidateOf reads a candidate's key.
func candidateOf(root, key string) (name string, l LeaseID, ok bool) {
	rest, ok := strings.CutPrefix(key, root)
	name, digits, cut := strings.Cut(rest, "/")
	if !ok || !cut || name == "" || len(digits) != 16 || strings.ToLower(digits) != digits {
		return "", 0, false
	}
	id, err := strconv.ParseUint(digits, 16, 64)
	return name, LeaseID(id), err == nil
}

// parseCandidate reads a candidate's value.
func parseCandidate(kv *KV) (c candidate, err error) {
	var v candidateJSON
	if err := json.Unmarshal(kv.Value, &v); err != nil {
		return c, fmt.Errorf("value of key %q: %w", kv.Key, err)
	}
	if v.Version < candidateVersion {
		return c, fmt.Errorf("value of key %q: version %d, want %d or more", kv.Key, v.Version, candidateVersion)
	}
	return candidate{id: v.ID, value: v.Value, created: kv.Created}, nil
}

// A board is a copy of all candidates, as the watch has told them.
type board struct {
	root string // of the keys

	mu       sync.Mutex
	races    map[string][]candidate // by name, the leader first
	life     uint64                 // 0: nothing was told yet
	revision uint64
	heard    time.Time
	baseLife uint64 // whose base is known
	base     uint64 // token = base + created
	baseErr  error
	changed  chan struct{} // closed at the next change
}

func newBoard(root string) *board {
	return &board{root: root, races: map[string][]candidate{}, heard: time.Now(), changed: make(chan struct{})}
}

// update takes in what the watch has told, and returns what could not be read.
func (b *board) update(u Update) (amiss []error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = time.Now().Add(-u.Age)
	if u.Snapshot {
		clear(b.races)
	}
	for i := range u.Events {
		if err := b.take(&u.Events[i]); err != nil {
			amiss = append(amiss, err)
		}
	}
	moved := u.Snapshot || len(u.Events) > 0 || u.Life != b.life || u.Revision != b.revision
	b.life, b.revision = u.Life, u.Revision
	if moved {
		b.told()
	}
	return amiss
}

// take takes in one event. What cannot be read is no candidate.
func (b *board) take(ev *Event) error {
	name, lease, ok := candidateOf(b.root, ev.Key)
	if !ok {
		return fmt.Errorf("key %q: want %sNAME/LEASE, of a lease 16 hexadecimal digits", ev.Key, b.root)
	}
	race := slices.DeleteFunc(b.races[name], func(c candidate) bool { return c.lease == lease })
	var err error
	if !ev.Deleted {
		var c candidate
		if c, err = parseCandidate(&ev.KV); err == nil {
			c.lease = lease
			race = append(race, c)
		}
	}
	slices.SortFunc(race, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.lease, b.lease))
	})
	if b.races[name] = race; len(race) == 0 {
		delete(b.races, name)
	}
	return err
}

// told wakes whoever waits for a change. With mu held.
func (b *board) told() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// standing says how a stand does, as of now: its token if it leads, and whether it is in the engine no
// more. Once it leads it does so until it is gone: whoever comes is behind it. changed is closed at the next change.
func (b *board) standing(s *stand) (token uint64, gone bool, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.life != s.life || b.revision < s.created {
		return 0, false, b.changed // behind; or ahead, and then the lease is about to be lost
	}
	race := b.races[s.name]
	i := slices.IndexFunc(race, func(c candidate) bool { return c.id == s.id && c.lease == s.lease.ID() && c.created == s.created })
	switch {
	case i < 0:
		return 0, true, b.changed
	case i == 0 && b.basedLocked():
		token = b.base + s.created
	}
	return token, false, b.changed
}

// of returns the candidates of a lease: their ids by name.
func (b *board) of(l LeaseID) map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := map[string]string{}
	for name, race := range b.races {
		for i := range race {
			if race[i].lease == l {
				list[name] = race[i].id
			}
		}
	}
	return list
}

// based returns the present life, and whether its base is known, or known not to be readable.
func (b *board) based() (life uint64, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.life, b.life == 0 || b.baseLife == b.life
}

func (b *board) basedLocked() bool { return b.life != 0 && b.baseLife == b.life && b.baseErr == nil }

func (b *board) setBase(life, base uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.baseLife, b.base, b.baseErr = life, base, err
	b.told()
}

// bad returns why tokens of the present life cannot be known.
func (b *board) bad() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.baseLife == b.life {
		return b.baseErr
	}
	return nil
}

// leader waits until leaders can be told, and returns who leads by the copy, and what is closed at the next change.
func (b *board) leader(ctx context.Context, name string) (l Leader, changed <-chan struct{}, err error) {
	for {
		l, ready, changed, err := b.look(name)
		switch {
		case err != nil:
			return l, nil, err
		case ready:
			return l, changed, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return l, nil, ctx.Err()
		}
	}
}

// look is leader without waiting. It is not ready while the first snapshot of a life, or its base, is not there.
func (b *board) look(name string) (l Leader, ready bool, changed <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.baseLife == b.life && b.baseErr != nil {
		return l, false, nil, b.baseErr
	}
	if age := time.Since(b.heard); age > staleAfter {
		l.Age = age
	}
	if race := b.races[name]; len(race) > 0 && b.basedLocked() {
		l.Value, l.Token = race[0].value, b.base+race[0].created
	}
	return l, b.basedLocked(), b.changed, nil
}
