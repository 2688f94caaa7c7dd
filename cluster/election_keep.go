// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// follow keeps the copy.
func (e *Elections) follow() {
	defer e.done.Done()
	for e.ctx.Err() == nil {
		err := e.p.Watch(e.ctx, e.root, 0, func(u Update) error {
			e.take(u)
			return nil
		})
		if e.ctx.Err() != nil {
			return
		}
		if !errors.Is(err, ErrCompacted) {
			e.c.Logger.Warn("the watch of elections has ended", "err", err)
		}
		e.pause()
	}
}

// take has the copy take in what the watch has told, and ends the candidacies of this process that
// somebody has deleted.
func (e *Elections) take(u Update) {
	amiss := e.board.update(u)
	for _, err := range amiss {
		e.c.Logger.Warn("a candidate cannot be read", "err", err)
	}
	e.mu.Lock()
	for _, s := range e.stands {
		if s.life == 0 {
			continue
		}
		if _, gone, _ := e.board.standing(s); gone {
			e.endLocked(s, errDeleted)
		}
	}
	strays := len(e.straysLocked()) > 0
	e.mu.Unlock()
	if _, known := e.board.based(); !known || strays {
		e.wake()
	}
}

var errDeleted = fmt.Errorf("%w: somebody has deleted the candidate's key", errAgain)

// keep does what the watch must not wait for.
func (e *Elections) keep() {
	defer e.done.Done()
	for {
		select {
		case <-e.kick:
		case <-e.ctx.Done():
			return
		}
		if life, known := e.board.based(); !known {
			e.learnBase(life)
		}
		e.mu.Lock()
		strays := e.straysLocked()
		e.mu.Unlock()
		for key, id := range strays {
			e.remove(key, id)
		}
	}
}

// remove deletes a stray, now or later.
func (e *Elections) remove(key, id string) {
	ctx, stop := context.WithTimeout(e.ctx, staleAfter)
	defer stop()
	if err := e.withdraw(ctx, key, id); err != nil && e.ctx.Err() == nil {
		e.c.Logger.Warn("a candidate that was given up cannot be deleted yet", "key", key, "err", err)
		e.wake()
	}
}

// straysLocked returns the keys of this process that nobody here wants, with their ids: of campaigns that were
// given up while it was not known whether the engine had them. Those of leases that are lost expire.
func (e *Elections) straysLocked() map[string]string {
	if e.lease == nil || isLost(e.lease) {
		return nil
	}
	strays := map[string]string{}
	for name, id := range e.board.of(e.lease.ID()) {
		if s := e.stands[name]; s == nil || s.id != id {
			strays[candidateKey(e.root, name, e.lease.ID())] = id
		}
	}
	return strays
}

// learnBase reads what is to be added to the revisions of a life for the tokens.
func (e *Elections) learnBase(life uint64) {
	snap, err := e.p.Get(e.ctx, Query{Key: e.lifeKey})
	switch {
	case err != nil || snap.Life != life: // another update is to come
		e.pause()
		e.wake()
		return
	case len(snap.KVs) == 0: // local: its revisions begin with the time
		e.board.setBase(life, 0, nil)
		return
	}
	base, err := parseLife(&snap.KVs[0], life)
	if err != nil {
		e.c.Logger.Error("no leader can be told: what the tokens begin with is not known", "err", err)
	}
	e.board.setBase(life, base, err)
}

// A lifeValue is the value of the life key, docs/format/cluster.md.
type lifeValue struct {
	Version int    `json:"v"`
	Life    string `json:"life"`
	Base    uint64 `json:"base"`
}

// parseLife reads the life key's value, and wants it to be of a life.
func parseLife(kv *KV, life uint64) (base uint64, err error) {
	var v lifeValue
	if err := json.Unmarshal(kv.Value, &v); err != nil {
		return 0, fmt.Errorf("value of key %q: %w", kv.Key, err)
	}
	if v.Version < 1 {
		return 0, fmt.Errorf("value of key %q: version %d, want 1 or more", kv.Key, v.Version)
	}
	if got, err := strconv.ParseUint(v.Life, 16, 64); err != nil || got != life {
		return 0, fmt.Errorf("value of key %q: life %q, want %016x", kv.Key, v.Life, life)
	}
	if v.Base > maxBase {
		return 0, fmt.Errorf("value of key %q: base %d, want at most %d", kv.Key, v.Base, uint64(maxBase))
	}
	return v.Base, nil
}

// maxBase leaves room for the revisions that are added.
const maxBase = 1<<63 - 1
