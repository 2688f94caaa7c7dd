// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
)

// handedGroups is what the node's own service knows of groups.
type handedGroups struct {
	Shadows []handedShadow
	Watches []handedGroup
	Watched []actor.PID
}

// A handedShadow is a group here for one of another node.
type handedShadow struct {
	Node  addr.Addr
	Group uint64 // there
	Here  actor.PID
}

// A handedGroup is a group here with a shadow on another node.
type handedGroup struct{ Group, Shadow, Service actor.PID }

var _ actor.Carrier = (*nodeService)(nil)

// Snapshot is Carrier's.
func (s *nodeService) Snapshot(*actor.Context) ([]byte, error) {
	var h handedGroups
	for key, g := range s.groups.shadows {
		h.Shadows = append(h.Shadows, handedShadow{key.node, key.group, g.PID()})
	}
	for _, list := range s.groups.of {
		for _, w := range list {
			h.Watches = append(h.Watches, handedGroup{w.group.PID(), w.shadow, w.service})
		}
	}
	for service, watched := range s.groups.watched {
		if watched {
			h.Watched = append(h.Watched, service)
		}
	}
	return cbor.Marshal(h)
}

// Restore is Carrier's. The monitors go on by themselves.
func (s *nodeService) Restore(c *actor.Context, snapshot []byte) error {
	var h handedGroups
	if err := handedDecoder.Unmarshal(snapshot, &h); err != nil {
		return fmt.Errorf("groups of the program before: %w", err)
	}
	for _, sh := range h.Shadows {
		if g, ok := c.Runtime().Group(sh.Here); ok {
			s.groups.shadows[shadowKey{sh.Node, sh.Group}] = g
		}
	}
	for _, w := range h.Watches {
		if g, ok := c.Runtime().Group(w.Group); ok {
			s.groups.of[w.Service] = append(s.groups.of[w.Service], watchGroup{g, w.Shadow, w.Service})
		}
	}
	for _, service := range h.Watched {
		s.groups.watched[service] = true
	}
	return nil
}
