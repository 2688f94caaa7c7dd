// SPDX-License-Identifier: Apache-2.0

package services

import (
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/skybus-io/skybus/bench/internal/result"
)

const (
	burst     = 256  // messages that a sender sends at a time
	ownMsgs   = 2048 // messages that a sender has; under way are at most as many
	tellEvery = 64   // messages after which the receiver tells the sender what it may use again

	goOn uint32 = 1 // kinds, where services send: send the next burst
	last uint32 = 2 // N is how many messages were sent in all
)

// A sender uses its messages over and over, each once the receiver is done with it. That bounds a mailbox that
// has no bound; one of 1,024 messages fills up before.
type sender struct {
	taken atomic.Uint64 // written by the receiver
	_     [120]byte     // or the receiver's word and the sender's share a cache line

	msgs [ownMsgs]Message
	sent uint64
	kick Message
	_    [120]byte
}

// burst sends some messages, or none while too many are under way. It reports whether to go on.
func (s *sender) burst(c Context, over *atomic.Bool) bool {
	if over.Load() {
		return false
	}
	if s.sent+burst-s.taken.Load() > ownMsgs {
		runtime.Gosched()
		return true
	}
	for range burst {
		m := &s.msgs[s.sent%ownMsgs]
		m.N = s.sent
		s.sent++
		c.Send(0, m)
	}
	return true
}

// fanIn is a receiver, service 0, and its senders: services 1.. if they are services.
type fanIn struct {
	verdict
	meter    *meter
	senders  []sender
	sending  sync.WaitGroup
	over     atomic.Bool
	next     []uint64 // by sender: the number that is due
	received uint64
	total    uint64 // known at the end
	done     chan struct{}
}

func newFanIn(o *Options) *fanIn {
	f := &fanIn{meter: newMeter(o), senders: make([]sender, o.Size), next: make([]uint64, o.Size),
		total: math.MaxUint64, done: make(chan struct{})}
	for i := range f.senders {
		s := &f.senders[i]
		s.kick.Kind = goOn
		for k := range s.msgs {
			s.msgs[k].From = uint32(i)
		}
	}
	return f
}

func (f *fanIn) handle(c Context, self int, m *Message) {
	if self > 0 {
		if f.senders[self-1].burst(c, &f.over) {
			c.Send(self, m)
		} else {
			f.sending.Done()
		}
		return
	}
	if m.Kind == last {
		f.total = m.N
	} else {
		f.receive(m)
	}
	if f.received == f.total {
		close(f.done)
	}
}

func (f *fanIn) receive(m *Message) {
	if n := f.next[m.From]; m.N != n {
		f.fail("sender %d: message %d arrived where %d was due", m.From, m.N, n)
		f.over.Store(true)
	}
	f.received++
	f.next[m.From]++
	if f.next[m.From]%tellEvery == 0 {
		f.senders[m.From].taken.Store(f.next[m.From])
	}
	if !f.meter.Add(1) {
		f.over.Store(true)
	}
}

// run has the senders send until it is over, and all of it received.
func (f *fanIn) run(s Services, asServices bool, o *Options) error {
	for i := range f.senders {
		f.sending.Add(1)
		if asServices {
			s.Send(1+i, &f.senders[i].kick)
			continue
		}
		go func() {
			defer f.sending.Done()
			for f.senders[i].burst(s, &f.over) {
			}
		}()
	}
	if err := awaitGroup(&f.sending, o.patience(), "the senders"); err != nil {
		return errors.Join(f.get(), err)
	}
	end := &Message{Kind: last}
	for i := range f.senders {
		end.N += f.senders[i].sent
	}
	s.Send(0, end)
	return errors.Join(await(f.done, o.patience(), "the last of the messages"), f.get())
}

func measureFanIn(asServices bool) func(Runtime, *Options) (result.Line, error) {
	return func(r Runtime, o *Options) (result.Line, error) {
		f, n := newFanIn(o), 1
		if asServices {
			n += o.Size
		}
		s, err := r.Start(n, f.handle)
		if err != nil {
			return result.Line{}, err
		}
		if err := f.run(s, asServices, o); err != nil {
			return result.Line{}, err
		}
		return f.meter.line(), s.Stop()
	}
}
