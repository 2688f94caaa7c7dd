// SPDX-License-Identifier: Apache-2.0

package local

import (
	"fmt"
	"log/slog"
	"strconv"
	"sync"

	"github.com/skybus-io/skybus/cluster"
)

// valueHead is how many bytes a replica writes before a value: the lease of the process in 16 hexadecimal
// digits, zeros for none, and a newline.
const valueHead = 17

// joinValue puts a lease before a value.
func joinValue(id cluster.LeaseID, value []byte) []byte {
	buf := make([]byte, 0, valueHead+len(value))
	buf = fmt.Appendf(buf, "%016x\n", uint64(id))
	return append(buf, value...)
}

// cutValue reads what joinValue has made, and nothing else. value shares the bytes.
func cutValue(joined []byte) (id cluster.LeaseID, value []byte, err error) {
	if len(joined) < valueHead || joined[valueHead-1] != '\n' {
		return 0, nil, fmt.Errorf("a value of %d bytes: want 16 hexadecimal digits and a newline first", len(joined))
	}
	head := string(joined[:valueHead-1])
	n, err := strconv.ParseUint(head, 16, 64)
	if err != nil || fmt.Sprintf("%016x", n) != head {
		return 0, nil, fmt.Errorf("a value that begins with %q: want 16 hexadecimal digits", head)
	}
	return cluster.LeaseID(n), joined[valueHead:], nil
}

// maxUnreadable is how many keys are remembered that are passed over: each is told of once.
const maxUnreadable = 10_000

// An unreadable has the keys that are passed over: no replica has written them so, or the policy does not allow them.
type unreadable struct {
	log *slog.Logger

	mu     sync.Mutex
	keys   map[string]bool
	before map[string]bool // of the last snapshot
}

// begin is called before a snapshot.
func (u *unreadable) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.before, u.keys = u.keys, nil
}

func (u *unreadable) add(key string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.keys[key] || len(u.keys) >= maxUnreadable {
		return
	}
	if u.keys == nil {
		u.keys = map[string]bool{}
	}
	u.keys[key] = true
	if !u.before[key] {
		u.log.Warn("a key of the cluster engine is passed over", "key", key, "err", err)
	}
}

func (u *unreadable) mend(key string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.keys, key)
	delete(u.before, key)
}

func (u *unreadable) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.keys)
}
