// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"sync/atomic"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/gate/vault"
)

// A session is one of a home. Its fields from link on are guarded by the home's lock.
type session struct {
	h      *home
	client Client
	slot   vault.Slot // with Resume
	since  int64      // that it is known to this process, in nanoseconds since 1970
	doubt  uint64     // packets of the client up to this number may have been sent by a process that was killed
	mail   mailer
	trace  atomic.Pointer[tracer]

	accepted atomic.Uint64 // packets of the client; written by the reader of its connection
	paused   atomic.Int64  // since when the reader waits for the service, by client.Now; 0: it does not

	link     *link // nil: there is no connection
	target   Target
	far      *farName // that target is; nil: it is another one
	identity []byte
	remote   string
	groups   []membership
	waiters  []waiter
	away     int64 // since when its client is away, in Unix milliseconds; 0: it is not
	ended    bool
	dirty    bool // it is to be flushed; the home's service alone
}

// A membership is a session's place in a group.
type membership struct {
	g  *group
	at int // in g.members
}

// A group is sessions of a home that get packets together.
type group struct {
	name    string
	members []*session
	shared  *share // nil: it is not shared
}

// A waiter is an Ask that waits until its client has room.
type waiter struct {
	req actor.Request
	ask *Ask
}

// in returns the place of g in s.groups, -1 if s is not a member.
func (s *session) in(g *group) int {
	for i := range s.groups {
		if s.groups[i].g == g {
			return i
		}
	}
	return -1
}

// add makes s a member of g. With the home's lock held, as for all of these.
func (g *group) add(s *session) {
	s.groups = append(s.groups, membership{g: g, at: len(g.members)})
	g.members = append(g.members, s)
}

// remove ends the membership that is s.groups[i].
func (s *session) remove(i int) {
	m := s.groups[i]
	last := len(m.g.members) - 1
	other := m.g.members[last]
	m.g.members[m.at] = other
	other.groups[other.in(m.g)].at = m.at
	m.g.members[last] = nil
	m.g.members = m.g.members[:last]
	s.groups[i] = s.groups[len(s.groups)-1]
	s.groups = s.groups[:len(s.groups)-1]
}

func (s *session) groupNames() []string {
	names := make([]string, 0, len(s.groups))
	for _, m := range s.groups {
		names = append(names, m.g.name)
	}
	return names
}

// push queues a packet for a client that is there. What does not arrive is counted.
func (s *session) push(p *queue.Packet, kind queue.Kind, key uint64) {
	l := s.link
	if l == nil {
		if kind != queue.Must {
			s.h.g.count.absent.Add(1)
		}
		return
	}
	s.traced("out", p.Payload(), kind)
	switch l.conn.Send(p, kind, key) {
	case queue.Dropped:
		s.h.g.count.dropped.Add(1)
	case queue.Replaced:
		s.h.g.count.replaced.Add(1)
	case queue.Refused:
		s.h.g.log.Warn("a packet cannot be framed: its client is kicked", "client", s.client, "bytes", p.Len())
		s.h.endLocked(s, frame.CodeTooLarge, "a packet for the client is larger than its framing can say")
		return
	}
	s.h.touch(s)
}
