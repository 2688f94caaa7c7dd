// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/entry"
	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/gate/vault"
)

// counters are what a gate counts; Stats says what they mean.
type counters struct {
	opened, resumed, lost, ended, refused atomic.Uint64
	in, out, delivers, unknown            atomic.Uint64
	dropped, replaced, absent, replayed   atomic.Uint64
	slow, relieved, malformed             atomic.Uint64
	proofs, epochs                        atomic.Uint64
	handed, taken, adopted, given         atomic.Uint64
}

// Stats are the counters of a gate, since Start, and how it is now.
type Stats struct {
	Sessions  int // there now, in all homes
	Away      int // of these: without a connection
	Groups    int
	Paused    int   // connections that are not read, for their service has no room
	Waiting   int64 // bytes for all clients, each shared packet counted once
	MostWaits int64 // the most that Waiting ever was

	Opened, Resumed, Lost, Ended uint64 // sessions: begun, back, without their connection, over
	Refused                      uint64 // clients that were not let in
	In, Out                      uint64 // packets of clients; packets for a client each
	Delivers                     uint64 // messages of services
	Unknown                      uint64 // packets for sessions that had ended
	Dropped, Replaced, Absent    uint64 // packets that a slow client, one with a newer packet, one that was away did not get
	Replayed                     uint64 // packets that were sent again after a resume
	Slow                         uint64 // times that a client went above the soft mark
	Relieved                     uint64 // clients that were kicked for Config.Budget
	Malformed                    uint64 // messages of services that were none
	BadProofs, OldEpochs         uint64 // RESUMEs that were refused for that
	HandedOver, TakenOver        uint64 // clients that resumed at another gate: given away, and got
	Adopted, GivenBack           uint64 // homes

	Entry entry.Stats
	Vault vault.Stats // of the own home; zero without Resume
}

// Stats returns the counters.
func (g *Gate) Stats() (st Stats) {
	c := &g.count
	for _, f := range []struct {
		to   *uint64
		from *atomic.Uint64
	}{
		{&st.Opened, &c.opened}, {&st.Resumed, &c.resumed}, {&st.Lost, &c.lost}, {&st.Ended, &c.ended}, {&st.Refused, &c.refused},
		{&st.In, &c.in}, {&st.Out, &c.out}, {&st.Delivers, &c.delivers}, {&st.Unknown, &c.unknown},
		{&st.Dropped, &c.dropped}, {&st.Replaced, &c.replaced}, {&st.Absent, &c.absent}, {&st.Replayed, &c.replayed},
		{&st.Slow, &c.slow}, {&st.Relieved, &c.relieved}, {&st.Malformed, &c.malformed}, {&st.BadProofs, &c.proofs}, {&st.OldEpochs, &c.epochs},
		{&st.HandedOver, &c.handed}, {&st.TakenOver, &c.taken}, {&st.Adopted, &c.adopted}, {&st.GivenBack, &c.given},
	} {
		*f.to = f.from.Load()
	}
	st.Waiting, st.MostWaits = g.budget.Used(), g.budget.Most()
	st.Entry = g.entry.Stats()
	for _, h := range g.all() {
		h.statsInto(&st)
	}
	return st
}

func (h *home) statsInto(st *Stats) {
	h.mu.Lock()
	defer h.mu.Unlock()
	st.Sessions += len(h.sessions)
	st.Groups += len(h.groups)
	now := client.Now()
	for _, s := range h.sessions {
		if s.link == nil {
			st.Away++
		}
		if s.waits(now) > 0 {
			st.Paused++
		}
	}
	if h.v != nil && h == h.g.own && !h.closed {
		st.Vault = h.v.Stats()
	}
}

// patient is how long a send may take before its connection counts as paused.
const patient = 10 * time.Millisecond

// waits returns for how long the reader of a session waits for the service; 0: it does not, or not for long.
func (s *session) waits(now int64) time.Duration {
	since := s.paused.Load()
	if since == 0 || now-since < int64(patient) {
		return 0
	}
	return time.Duration(now - since)
}

// A SessionInfo describes a session.
type SessionInfo struct {
	Client   Client
	Identity []byte
	Remote   string
	Target   Target
	Groups   []string
	Since    time.Time     // that this process has it
	Away     time.Time     // since when its client is away; zero: it is not
	Paused   time.Duration // for how long its service has no room; 0: it has
	Accepted uint64        // packets of the client that its service has got
	Sent     uint64        // numbered packets that it was given; with Resume
	Conn     client.Stats  // of its present connection
}

// Sessions describes all sessions, of all homes, in the order of their Clients.
func (g *Gate) Sessions() []SessionInfo {
	var list []SessionInfo
	for _, h := range g.all() {
		h.mu.Lock()
		for _, s := range h.sessions {
			list = append(list, h.infoLocked(s))
		}
		h.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b SessionInfo) int {
		return cmp.Or(cmp.Compare(a.Client.Home, b.Client.Home), cmp.Compare(a.Client.ID, b.Client.ID))
	})
	return list
}

// Session describes one session; false: this gate does not have it.
func (g *Gate) Session(c Client) (SessionInfo, bool) {
	h := g.home(c.Home)
	if h == nil {
		return SessionInfo{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sessions[c.ID]
	if s == nil {
		return SessionInfo{}, false
	}
	return h.infoLocked(s), true
}

func (h *home) infoLocked(s *session) SessionInfo {
	i := SessionInfo{
		Client: s.client, Identity: slices.Clone(s.identity), Remote: s.remote, Target: s.target, Groups: s.groupNames(), Since: time.Unix(0, s.since),
		Paused: s.waits(client.Now()), Accepted: s.accepted.Load(),
	}
	if s.away != 0 {
		i.Away = time.UnixMilli(s.away)
	}
	if h.v != nil {
		i.Sent = s.slot.Sent()
	}
	if s.link != nil {
		i.Conn = s.link.conn.Stats()
	}
	return i
}

// A tracer gets what goes through a session, for the console.
type tracer struct{ lines chan string }

// traceBytes is how many bytes of a packet a trace shows.
const traceBytes = 48

// traced shows a packet to who looks on. It never waits: what is too much for them is left out.
func (s *session) traced(way string, packet []byte, kind queue.Kind) {
	t := s.trace.Load()
	if t == nil {
		return
	}
	select {
	case t.lines <- traceLine(way, packet, kind):
	default:
	}
}
