// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"
)

// Stats are the counters of a Server, since New.
type Stats struct {
	Connections int // there now, from accept to the end
	Early       int // of these: not authenticated
	Addresses   int // different addresses that they are counted for

	Accepted uint64 // let in by the accept loop
	Ready    uint64 // given to Options.Accept
	HTTP     uint64 // given to Config.Handler
	Shortage uint64 // how often an accept failed for want of descriptors or memory

	Refused [reasons]uint64 // by Reason
}

// counters are what Stats is made of.
type counters struct {
	accepted, ready, http, shortage atomic.Uint64
	refused                         [reasons]refusals
}

// refusals counts one reason, and knows when it was last logged.
type refusals struct {
	n      atomic.Uint64
	logged atomic.Uint64 // n of the last line
	at     atomic.Int64  // of the last line, ns of the Server's clock; 0: never
}

// logEvery is how long a reason is silent after a line.
const logEvery = time.Second

// Stats returns the counters. Any goroutine may call it.
func (s *Server) Stats() Stats {
	st := Stats{
		Accepted: s.count.accepted.Load(),
		Ready:    s.count.ready.Load(),
		HTTP:     s.count.http.Load(),
		Shortage: s.count.shortage.Load(),
	}
	st.Connections, st.Addresses = s.caps.count()
	st.Early = s.sweep.early()
	for i := range st.Refused {
		st.Refused[i] = s.count.refused[i].n.Load()
	}
	return st
}

// refused counts a refusal, and logs it unless its reason was logged within the last
// second. remote is only made a text when there is a line; no refusal allocates otherwise.
func (s *Server) refused(why Reason, remote netip.AddrPort, err error) {
	r := &s.count.refused[why]
	n := r.n.Add(1)
	if why == GoneEarly { // as the health checks of proxies do
		return
	}
	now := int64(s.now())
	at := r.at.Load()
	if at != 0 && now-at < int64(logEvery) || !r.at.CompareAndSwap(at, max(now, 1)) {
		return
	}
	more := n - r.logged.Swap(n)
	attrs := []any{slog.String("reason", why.String()), slog.Uint64("count", more), slog.String("remote", who(remote))}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	s.opt.Log.Warn("gate: connection refused", attrs...)
}

// who is a remote address in words.
func who(a netip.AddrPort) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.String()
}
