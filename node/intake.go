// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/sys"
)

// An intake is what the runtime's workers take messages by. One of them at a time does.
type intake struct {
	n      *Node
	in     *skybus.Intake
	take   func(m *skybus.Message, h skybus.Hold) error
	inlet  actor.Inlet // of the worker that takes a batch
	from   *peer       // that the last message was from
	claims []claim     // made ahead
	shelf  shelf       // likewise
	heard  bool        // that of the batch is noted
	many   bool        // the batch before had several
	failed bool
}

var _ actor.Source = (*intake)(nil)

// take has the workers take what comes.
func (n *Node) take() error {
	in, err := n.e.Intake()
	if err != nil {
		return err
	}
	i := &intake{n: n, in: in}
	i.take = i.handle
	n.taking.Lock() // before somebody finds the endpoint closed, and ends what has not begun
	defer n.taking.Unlock()
	stop := n.rt.From(i)
	n.restart.in = in
	n.endTake = func() {
		stop()
		in.Close()
	}
	return nil
}

// Poll takes a batch.
func (i *intake) Poll(inlet actor.Inlet) bool {
	if i.failed {
		return false
	}
	i.inlet, i.heard = inlet, false
	i.n.restart.begins()
	defer i.n.restart.ends() // the program's code may end its goroutine
	k, err := i.in.Poll(i.take)
	i.many = k > 1
	i.n.count.received.Add(uint64(k))
	if err != nil {
		i.fail(err)
	}
	return k > 0
}

// Wait waits for more.
func (i *intake) Wait(work func() bool, parks func(parked bool)) {
	if i.failed {
		return
	}
	if err := i.in.Wait(work, parks); err != nil {
		i.fail(err)
	}
}

// Wake ends a wait.
func (i *intake) Wake() { i.in.Wake() }

// Ready reports whether there is something to take, or to be noticed by who takes.
func (i *intake) Ready() bool { return i.in.Ready() }

// fail ends the taking: the endpoint, or its domain, was closed.
func (i *intake) fail(err error) {
	i.failed = true
	n := i.n
	if n.ctx.Err() != nil {
		return
	}
	n.cfg.Log.Error("the node receives nothing any more", "addr", n.d.FormatAddr(n.Addr()), "err", err)
	n.done.Go(func() { // the worker that is here must have gone first
		n.endReceive()
		n.e.Close()
		n.closePeers()
	})
}

func (i *intake) handle(m *skybus.Message, h skybus.Hold) error {
	if !i.heard { // a batch is from one
		i.heard = true
		if i.from == nil || i.from.addr != m.Src {
			i.from = i.n.peer(m.Src)
		}
		i.from.hear()
	}
	take(i.n, i.inlet, i.from, m, holding{h, i})
	return nil
}

// A claim holds a message until it is handled.
type claim struct {
	actor.Claim
	skybus.Hold
}

// A holding is what a message is held by, which becomes a claim if a service gets it.
type holding struct {
	skybus.Hold
	i *intake
}

// manyClaims are made at once where messages come in numbers.
const manyClaims = 16

func (h holding) claim() actor.Held {
	i := h.i
	if len(i.claims) == 0 {
		n := 1
		if i.many {
			n = manyClaims
		}
		i.claims = make([]claim, n)
	}
	c := &i.claims[0]
	i.claims = i.claims[1:]
	c.Hold = h.Hold
	return c
}

// A shelf has room for small values, made at once where messages come in numbers.
type shelf struct {
	heads [][]byte
	room  []byte
}

const (
	smallBytes = 64 // at most, to lie on a shelf: a value that is kept keeps its neighbours
	shelfSize  = 8  // values
)

// small returns a copy of b as a value, if that may lie on a shelf; else nil.
func (h holding) small(b []byte) any {
	if !h.i.many || len(b) > smallBytes {
		return nil
	}
	s := &h.i.shelf
	if len(s.heads) == 0 {
		s.heads = make([][]byte, shelfSize)
	}
	if len(s.room) < len(b) || s.room == nil {
		s.room = make([]byte, smallBytes*shelfSize)
	}
	own := s.room[:len(b):len(b)]
	s.room = s.room[len(b):]
	copy(own, b)
	head := &s.heads[0]
	s.heads = s.heads[1:]
	*head = own
	return sys.BoxBytes(head)
}
