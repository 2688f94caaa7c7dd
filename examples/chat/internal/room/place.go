// SPDX-License-Identifier: Apache-2.0

package room

import (
	"fmt"
	"hash/fnv"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/examples/chat/internal/store"
)

// FrontName is what the front of a room process is called.
const FrontName = "front"

// A Plan says where everything is. All processes have the same.
type Plan struct {
	Rooms  []addr.Addr // the room processes
	Shards int         // room services, spread over those in turn
	Store  addr.Addr
}

// Shard returns which service has a room.
//
// It is rendezvous hashing (D. Thaler, C. Ravishankar, 1996): of all services the one with the highest hash
// of its number and the room's name. With one service more, only the rooms that it gets move.
func (p *Plan) Shard(room string) int {
	best, top := 0, uint64(0)
	for i := range p.Shards {
		h := fnv.New64a()
		fmt.Fprintf(h, "%d/%s", i, room)
		// FNV's high bits say little about the last bytes: they are mixed once more (the finalizer of splitmix64).
		x := h.Sum64()
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		if x ^= x >> 31; x >= top {
			best, top = i, x
		}
	}
	return best
}

// At returns a shard's address: its process, and its name there.
func (p *Plan) At(shard int) store.Address {
	return store.Address{At: p.Rooms[shard%len(p.Rooms)], Name: fmt.Sprintf("room.%d", shard)}
}

// Front returns the front of a client, by the address that it comes from. Which one does not matter: a session
// stays with the one that it begins with.
func (p *Plan) Front(remote string) store.Address {
	h := fnv.New32a()
	h.Write([]byte(remote))
	return store.Address{At: p.Rooms[h.Sum32()%uint32(len(p.Rooms))], Name: FrontName}
}

// Services returns the services of room process i.
func (p *Plan) Services(i int, cfg Config) []actor.Spec {
	cfg.Plan = *p
	list := []actor.Spec{{Name: FrontName, New: func() actor.Handler { return newFront(cfg) }}}
	for shard := i; shard < p.Shards; shard += len(p.Rooms) {
		name := p.At(shard).Name
		list = append(list, actor.Spec{Name: name, New: func() actor.Handler { return newShard(cfg, shard) }})
	}
	return list
}
