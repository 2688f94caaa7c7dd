// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/names"
)

// claimVersion is that of a claim's value. Later ones keep its fields.
const claimVersion = 1

// A claim is one owner's place in a name's queue. The one with the lowest position owns the
// name; of two that have the same, the one that the engine has had for longer.
type claim struct {
	owner    names.Owner
	pos      int64
	flags    names.Flags
	lease    LeaseID
	created  uint64
	modified uint64 // 0: not in the engine, or not any more
}

// claimValue is a claim's value in JSON, so that the engine's own tools show it.
type claimValue struct {
	Version  int    `json:"v"`
	Position int64  `json:"pos"`
	Flags    string `json:"flags,omitempty"`
}

// The letters of claimValue.Flags.
var flagLetters = []struct {
	flag   names.Flags
	letter string
}{{names.AllowReplacement, "a"}, {names.Replace, "r"}, {names.NoQueue, "n"}}

func (c *claim) value() []byte {
	v := claimValue{Version: claimVersion, Position: c.pos}
	for _, f := range flagLetters {
		if c.flags&f.flag != 0 {
			v.Flags += f.letter
		}
	}
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("cluster: a claim in JSON: %v", err)) // numbers and letters
	}
	return data
}

// parseClaim reads a key below the root of the names, and its value. Errors say what is wrong.
func parseClaim(root string, kv *KV) (name string, c claim, err error) {
	at, ok := seatOf(root, kv.Key)
	if !ok {
		return "", c, fmt.Errorf("key %q: want %sNAME/OWNER, of an owner 8 hexadecimal digits, a dash and some more", kv.Key, root)
	}
	name, c.owner = at.name, at.owner
	var v claimValue
	if err := json.Unmarshal(kv.Value, &v); err != nil {
		return "", c, fmt.Errorf("value of key %q: %w", kv.Key, err)
	}
	if v.Version < claimVersion {
		return "", c, fmt.Errorf("value of key %q: version %d, want %d or more", kv.Key, v.Version, claimVersion)
	}
	for _, f := range flagLetters {
		if strings.Contains(v.Flags, f.letter) {
			c.flags |= f.flag
		}
	}
	c.pos, c.lease, c.created, c.modified = v.Position, kv.Lease, kv.Created, kv.Modified
	return name, c, nil
}

func formatOwner(o names.Owner) string {
	a := strconv.FormatUint(uint64(o.Addr), 16)
	return "00000000"[len(a):] + a + "-" + strconv.FormatUint(o.Handle, 16)
}

// A seat names a claim: who, on which name.
type seat struct {
	name  string
	owner names.Owner
}

// seatOf reads a claim's key. It accepts what is written and nothing else: an owner has one key.
func seatOf(root, key string) (at seat, ok bool) {
	rest, ok := strings.CutPrefix(key, root)
	name, owner, found := strings.Cut(rest, "/")
	if !ok || !found || names.Check(name) != nil {
		return seat{}, false
	}
	a, h, _ := strings.Cut(owner, "-")
	address, err := strconv.ParseUint(a, 16, 32)
	if err != nil {
		return seat{}, false
	}
	handle, err := strconv.ParseUint(h, 16, 64)
	if err != nil {
		return seat{}, false
	}
	at = seat{name, names.Owner{Addr: addr.Addr(address), Handle: handle}}
	return at, formatOwner(at.owner) == owner && !at.owner.IsZero()
}

// A queue is a name's claims, the owner first.
type queue []claim

func (q queue) sort() {
	slices.SortFunc(q, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.pos, b.pos), cmp.Compare(a.created, b.created),
			cmp.Compare(a.owner.Addr, b.owner.Addr), cmp.Compare(a.owner.Handle, b.owner.Handle))
	})
}

func (q queue) find(o names.Owner) int {
	return slices.IndexFunc(q, func(c claim) bool { return c.owner == o })
}

// head is who owns the name.
func (q queue) head() names.Owner {
	if len(q) == 0 {
		return names.Owner{}
	}
	return q[0].owner
}

func (q queue) owners() []names.Owner {
	list := make([]names.Owner, len(q))
	for i := range q {
		list[i] = q[i].owner
	}
	return list
}

// A plan is what a request makes of a queue.
type plan struct {
	put      *claim        // nil: nothing
	remove   []names.Owner // whose claims go
	standing names.Standing
	err      error // ErrTaken
}

// request says what D-Bus does when o asks for a name with that queue.
func (q queue) request(o names.Owner, f names.Flags) plan {
	at := q.find(o)
	mine := claim{owner: o, flags: f}
	if at >= 0 {
		mine = q[at]
		mine.flags = f
	}
	switch {
	case len(q) == 0 || at == 0:
		return plan{put: &mine, standing: names.Owns}
	case f&names.Replace != 0 && q[0].flags&names.AllowReplacement != 0:
		mine.pos = q[0].pos - 1
		p := plan{put: &mine, standing: names.Owns}
		if q[0].flags&names.NoQueue != 0 {
			p.remove = []names.Owner{q[0].owner}
		}
		return p
	case f&names.NoQueue != 0:
		p := plan{err: names.ErrTaken}
		if at >= 0 { // it was waiting, and will not any more
			p.remove = []names.Owner{o}
		}
		return p
	case at < 0:
		mine.pos = q[len(q)-1].pos + 1
	}
	return plan{put: &mine, standing: names.Waits}
}
