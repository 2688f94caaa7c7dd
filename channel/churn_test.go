// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/ring"
)

// A churn is a domain whose processes come and go while lanes grow, are given
// back and made again. Every one of them has a Table of its own.
type churn struct {
	root string
	cfg  Config
	sent [3]atomic.Int64 // messages that each sender has had accepted, of one lane
	last [3][2]int64     // what each receiver has seen last, by sender

	refused atomic.Int64 // lanes or sizes that the budget did not allow
}

const churnFirst, churnTo addr.Addr = 10, 20 // senders, receivers

// life runs one process: it opens the domain, and binds an address.
func (c *churn) life(a addr.Addr, do func(*Table, *Binding) error) error {
	table, err := Open(c.root, testKey, c.cfg, true)
	if err != nil {
		return err
	}
	defer table.Close()
	b, err := table.Bind(a)
	if err != nil {
		return err
	}
	defer b.Close()
	return do(table, b)
}

// send is the life of a sender: to both receivers, the same messages.
func (c *churn) send(i int, rng *rand.Rand) error {
	return c.life(churnFirst+addr.Addr(i), func(table *Table, b *Binding) error {
		for r := range 2 {
			s, err := table.NewSender(Pair{b.Addr(), churnTo + addr.Addr(r)})
			if errors.Is(err, ErrBudget) {
				c.refused.Add(1)
				continue
			}
			if err != nil {
				return err
			}
			defer s.Close()
			if err := c.sendSome(s, r, i, rng); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *churn) sendSome(s *Sender, r, i int, rng *rand.Rand) error {
	for range rng.IntN(60) {
		k := int(s.LastSeq())
		n := rng.IntN(60)
		if rng.IntN(8) == 0 {
			n = rng.IntN(6000)
		}
		err := s.Send(payload(k, n))
		if errors.Is(err, ErrBudget) {
			c.refused.Add(1)
		} else if err != nil && !errors.Is(err, ErrFull) {
			return err
		}
		if rng.IntN(10) == 0 {
			now := time.Now()
			s.GiveBack(now)
			s.GiveBack(now.Add(time.Hour))
		}
	}
	if r == 0 {
		c.sent[i].Store(int64(s.LastSeq()))
	}
	return nil
}

// receive is the life of a receiver, which may leave without releasing what it has taken.
func (c *churn) receive(r int, rng *rand.Rand, turns int) error {
	return c.life(churnTo+addr.Addr(r), func(_ *Table, b *Binding) error {
		d, err := b.Drain()
		if err != nil {
			return err
		}
		defer d.Close()
		d.Sweep()
		recs := make([]ring.Record, BatchSize)
		for range turns {
			copying := rng.IntN(2) == 0
			from, n := d.Next(recs[:1+rng.IntN(BatchSize)], copying)
			if n > 0 && copying && rng.IntN(20) == 0 {
				return nil // killed before it was released, and so before anybody saw it
			}
			for k := range recs[:n] {
				if err := c.got(r, from, &recs[k]); err != nil {
					return err
				}
			}
			if n > 0 && (copying || rng.IntN(20) > 0) {
				from.Release(&recs[n-1], true)
			} else if n > 0 {
				return nil // it comes again
			}
		}
		return d.Damaged()
	})
}

func (c *churn) got(r int, from *Receiver, rec *ring.Record) error {
	last := &c.last[from.Src()-churnFirst][r]
	seq := int64(rec.Seq)
	k, whole := number(rec.Data)
	cleaned := int64(from.e.discard.Load())
	if !whole || int64(k)+1 != seq || seq > max(*last, cleaned)+1 || seq <= *last && !rec.Redelivered {
		return fmt.Errorf("%v to receiver %d: sequence %d after %d, flagged %v, whole %v, number %d",
			from.Src(), r, seq, *last, rec.Redelivered, whole, k)
	}
	*last = max(*last, seq)
	return nil
}

// look is the life of a tool, which also cleans one of the lanes now and then.
func (c *churn) look(rng *rand.Rand) error {
	table, err := Open(c.root, testKey, c.cfg, true)
	if err != nil {
		return err
	}
	defer table.Close()
	for _, l := range table.Lanes() {
		if l.Damage != "" {
			return fmt.Errorf("lane %v to %v: %s", l.Src, l.Dst, l.Damage)
		}
	}
	for _, v := range table.Check() {
		if !v.Note {
			return errors.New(v.String())
		}
	}
	if rng.IntN(10) == 0 {
		if _, _, err := table.Clean(Pair{churnFirst, churnTo}); err != nil {
			return err
		}
	}
	return table.SetPriority(Pair{churnFirst, churnTo}, 3)
}

// watch is the life of a tool that follows a lane: it may miss messages, which it
// is told, and sees the others whole and in order.
func (c *churn) watch(rng *rand.Rand) error {
	table, err := Open(c.root, testKey, c.cfg, true)
	if err != nil {
		return err
	}
	defer table.Close()
	w, err := table.Watch(Pair{churnFirst + addr.Addr(rng.IntN(3)), churnTo}, rng.IntN(2) == 0)
	if errors.Is(err, ErrNoRoute) {
		return nil // not made yet
	}
	if err != nil {
		return err
	}
	defer w.Close()
	last, buf := uint64(0), []byte(nil)
	for range rng.IntN(3000) {
		rec, missed, ok, err := w.Next(buf)
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		if !ok {
			continue
		}
		k, whole := number(rec.Data)
		if !whole || uint64(k)+1 != rec.Seq || last != 0 && rec.Seq != last+missed+1 {
			return fmt.Errorf("watch: sequence %d after %d with %d missed, whole %v, number %d", rec.Seq, last, missed, whole, k)
		}
		last, buf = rec.Seq, rec.Data
	}
	return nil
}

func TestLanesOfProcessesThatComeAndGo(t *testing.T) {
	for name, limits := range map[string]Limits{"plenty": {}, "scarce": {MaxBytes: 90_000}} {
		t.Run(name, func(t *testing.T) {
			c := &churn{root: testutil.Dir(t), cfg: Config{AllowUnknown: true, Limits: limits}}
			c.run(t, testutil.Seed(t))
			c.settle(t)
			if scarce := limits.MaxBytes > 0; scarce != (c.refused.Load() > 0) {
				t.Errorf("refused %d times", c.refused.Load())
			}
		})
	}
}

func (c *churn) run(t *testing.T, seed uint64) {
	lives := 100
	if os.Getenv("SKYBUS_SOAK") != "" {
		lives = 3000
	}
	check(t, c.send(0, rand.New(rand.NewPCG(seed, 99))))
	var all sync.WaitGroup
	for i := range uint64(7) {
		rng := rand.New(rand.NewPCG(seed, i))
		all.Go(func() {
			for range lives {
				if err := c.one(int(i), rng); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// one is one life of process i.
func (c *churn) one(i int, rng *rand.Rand) error {
	switch i {
	case 0, 1, 2:
		return c.send(i, rng)
	case 3, 4:
		return c.receive(i-3, rng, rng.IntN(200))
	case 5:
		return c.look(rng)
	}
	return c.watch(rng)
}

// settle receives what is left and looks whether all has come.
func (c *churn) settle(t *testing.T) {
	table := reopenDomain(t, c.root, Config{})
	for r := range 2 {
		to := bindReader(t, table, churnTo+addr.Addr(r))
		to.drain.Sweep()
		recs := make([]ring.Record, BatchSize)
		for from, n := to.drain.Next(recs, false); n > 0; from, n = to.drain.Next(recs, false) {
			for k := range recs[:n] {
				check(t, c.got(r, from, &recs[k]))
			}
			from.Release(&recs[n-1], true)
		}
	}
	for i := range c.sent {
		s, err := table.NewSender(Pair{churnFirst + addr.Addr(i), churnTo})
		if errors.Is(err, ErrBudget) && c.sent[i].Load() == 0 {
			continue // the others had it all
		}
		check(t, err)
		sent, came := int64(s.LastSeq()), max(c.last[i][0], int64(s.e.discard.Load()))
		if came != sent || sent < c.sent[i].Load() {
			t.Errorf("sender %d: %d accepted, LastSeq %d, %d came or were cleaned", i, c.sent[i].Load(), sent, came)
		}
		s.Close()
	}
	wantClean(t, table)
}
