// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

// TestCloseDomainDuringBind: Bind tries for a while to get an address that is in
// use; meanwhile the domain goes away.
func TestCloseDomainDuringBind(t *testing.T) {
	d := dynamic(t)
	other := open(t, skybus.Options{Root: rootOf(d)})
	for _, free := range []bool{false, true} { // the address becomes free, or does not
		expect, missed := skybus.ErrInUse, skybus.ErrClosed // Bind began behind Close
		if free {
			expect, missed = missed, expect // it has given up before the address was free
		}
		pause := 20 * time.Millisecond
		eventually(t, "Bind and Close meet", func() bool {
			holder := bind(t, other, a)
			defer holder.Close()
			bound := run(t, func() error { _, err := d.Bind(a); return err })
			time.Sleep(pause)
			d.Close()
			if free {
				holder.Close()
			}
			err := bound()
			d = open(t, skybus.Options{Root: rootOf(other)})
			if errors.Is(err, missed) {
				if !free {
					pause *= 2
				}
				return false
			}
			want(t, err, expect)
			return true
		})
	}
	bind(t, other, a)
}

// TestCloseFreesAddressAtOnce: when Close has returned, and no handler runs, the
// address is free, although a Receive waited.
func TestCloseFreesAddressAtOnce(t *testing.T) {
	d := dynamic(t)
	for range 50 {
		e, err := d.Bind(b)
		if err != nil {
			t.Fatal(err)
		}
		done := run(t, func() error {
			return e.Receive(context.Background(), func(skybus.Message) error { return nil })
		})
		parked(t, d, b)
		e.Close()
		if info, _ := d.Table().Endpoint(b); info.Bound {
			t.Error("the address is still bound")
		}
		want(t, done(), skybus.ErrClosed)
	}
}

// TestCloseWaitsForBatch: nothing may be written into a lane whose address
// somebody else has bound. Meanwhile the batch's owner can do what it wants.
func TestCloseWaitsForBatch(t *testing.T) {
	d := dynamic(t)
	from, to := pair(t, d)
	batch := newBatch(t, from)
	claimIn(t, &batch, "last")
	closed := run(t, from.Close)
	next := addr.Addr(0x1000)
	eventually(t, "Close has begun", func() bool {
		next++
		return errors.Is(from.Send(soon(t), next, nil), skybus.ErrClosed)
	})
	_, err := batch.Claim(soon(t), 1)
	want(t, err, skybus.ErrClosed)
	if info, _ := d.Table().Endpoint(a); !info.Bound {
		t.Error("the address is free")
	}
	_ = batch.Commit()
	if err := closed(); err != nil {
		t.Error(err)
	}
	wantTexts(t, to, "last")
	_, err = batch.Claim(soon(t), 1)
	want(t, err, skybus.ErrClosed)
	bind(t, d, a)
}

// TestCloseSaysWhatItWaitsFor: a batch that was forgotten keeps Close from
// returning, and the log says so.
func TestCloseSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	var report damageReport
	d := open(t, report.options())
	from, _ := pair(t, d)
	claim, err := from.Claim(soon(t), b, 1)
	if err != nil {
		t.Fatal(err)
	}
	closed := run(t, from.Close)
	eventually(t, "the log says so", func() bool {
		report.mu.Lock()
		defer report.mu.Unlock()
		return strings.Contains(report.log.String(), "addr=0.0.1.1")
	})
	claim.Abort()
	if err := closed(); err != nil {
		t.Error(err)
	}
}

// TestUpkeepDuringBatch: while a batch is held, the upkeep of idle lanes comes
// by, and the batch's owner opens another lane.
func TestUpkeepDuringBatch(t *testing.T) {
	t.Parallel()
	d := open(t, skybus.Options{AllowUnknown: true, Limits: skybus.Limits{IdleAfter: time.Second}})
	from, to := pair(t, d)
	batch := newBatch(t, from)
	claimIn(t, &batch, "held")
	time.Sleep(600 * time.Millisecond) // the upkeep comes each 250 ms
	opened := run(t, func() error { return from.Send(soon(t), c, nil) })
	if err := opened(); err != nil {
		t.Error(err)
	}
	_ = batch.Commit()
	wantTexts(t, to, "held")
}

// TestCloseInHandler: of the endpoint or the domain; the message is released,
// and the address is free when the loop has ended.
func TestCloseInHandler(t *testing.T) {
	closes := map[string]func(e *skybus.Endpoint) error{
		"endpoint": (*skybus.Endpoint).Close,
		"domain":   func(e *skybus.Endpoint) error { return e.Domain().Close() },
		"both":     func(e *skybus.Endpoint) error { return errors.Join(e.Close(), e.Domain().Close(), e.Close()) },
	}
	for name, closeIt := range closes {
		t.Run(name, func(t *testing.T) {
			testutil.NoLeaks(t)
			d := dynamic(t)
			other := open(t, skybus.Options{Root: rootOf(d)})
			from, to := bind(t, other, a), bind(t, d, b)
			for range 3 {
				send(t, from, b, "text")
			}
			err := to.Receive(soon(t), func(m skybus.Message) error {
				err := closeIt(to)
				want(t, to.Send(soon(t), c, nil), skybus.ErrClosed)
				if string(m.Data) != "text" {
					t.Errorf("the bytes became %q", m.Data)
				}
				return err
			})
			want(t, err, skybus.ErrClosed)
			if m := recv(t, bind(t, other, b)); m.Seq != 2 {
				t.Errorf("received %+v", m)
			}
		})
	}
}

func TestUseAfterClose(t *testing.T) {
	d := dynamic(t)
	from, to := pair(t, d)
	send(t, from, b, "x")
	batch := newBatch(t, from)
	claim, err := from.Claim(soon(t), b, 1)
	if err != nil {
		t.Fatal(err)
	}
	claim.Abort()
	ready := to.Ready()
	for range 2 {
		if err := errors.Join(from.Close(), to.Close()); err != nil {
			t.Error(err)
		}
		d.Close()
	}
	if claim.Commit() {
		t.Error("committed")
	}
	never := func(skybus.Message) error { return errBoom }
	_, claimErr := batch.TryClaim(1)
	_, tryClaimErr := from.TryClaim(c, 1)
	_, recvErr := to.Recv(soon(t))
	_, tryErr := to.TryRecv()
	_, pollErr := to.Poll(1, never)
	_, seqErr := from.LastSeq(c)
	_, fdErr := to.EventFD()
	for i, err := range []error{
		from.TrySend(b, nil), from.TrySend(c, nil), claimErr, tryClaimErr, recvErr, tryErr, pollErr, seqErr, fdErr,
		to.Receive(soon(t), never),
	} {
		if !errors.Is(err, skybus.ErrClosed) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	for _, c := range []<-chan struct{}{ready, to.Ready()} { // whoever waits is told
		select {
		case <-c:
		case <-time.After(patience):
			t.Error("Ready is silent")
		}
	}
	if from.Addr() != a || d.FormatAddr(a) != "0.0.1.1" {
		t.Error("the address is not to be had")
	}
}

// TestCloseUnderLoad closes both ends, at random moments, while many goroutines
// send and receive. Every message that was accepted is there afterwards.
func TestCloseUnderLoad(t *testing.T) {
	testutil.NoLeaks(t)
	rng := testutil.Rand(t)
	d := dynamic(t)
	keeper := open(t, skybus.Options{Root: rootOf(d)})
	var accepted, received int
	for range 20 {
		own, err := skybus.Open(key, skybus.Options{Root: rootOf(d), MustExist: true})
		if err != nil {
			t.Fatal(err)
		}
		var l load
		l.start(t, bind(t, own, a), bind(t, own, b))
		time.Sleep(time.Duration(rng.IntN(3000)) * time.Microsecond)
		own.Close()
		l.group.Wait()
		accepted += l.accepted
		received += l.received
	}
	received += len(drain(t, bind(t, keeper, b)))
	if accepted != received || accepted == 0 {
		t.Errorf("%d messages were accepted and %d received", accepted, received)
	}
	noViolations(t, keeper)
}

// load is a number of goroutines that send and receive until that is refused.
type load struct {
	group              sync.WaitGroup
	mu                 sync.Mutex // guards all below
	accepted, received int
}

func (l *load) start(t *testing.T, from, to *skybus.Endpoint) {
	for range 4 {
		l.group.Go(func() { l.repeat(t, &l.accepted, func() error { return from.Send(soon(t), b, make([]byte, 40)) }) })
		l.group.Go(func() { l.repeat(t, &l.received, func() error { _, err := to.Recv(soon(t)); return err }) })
	}
	l.group.Go(func() {
		for {
			<-to.Ready()
			if _, err := to.TryRecv(); errors.Is(err, skybus.ErrClosed) {
				return
			} else if err == nil {
				l.mu.Lock()
				l.received++
				l.mu.Unlock()
			}
		}
	})
}

func (l *load) repeat(t *testing.T, count *int, call func() error) {
	n := 0
	for {
		if err := call(); err != nil {
			want(t, err, skybus.ErrClosed)
			break
		}
		n++
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	*count += n
}
