// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/testutil"
)

// idling returns a domain that takes back lanes after a second.
func idling(t *testing.T) *skybus.Domain {
	return open(t, skybus.Options{AllowUnknown: true, Limits: skybus.Limits{IdleAfter: time.Second}})
}

// givenBack waits until the lane a -> b has no memory any more; to must receive
// meanwhile to see the lane's end.
func givenBack(t *testing.T, d *skybus.Domain, to *skybus.Endpoint) {
	t.Helper()
	eventually(t, "the lane is given back", func() bool {
		if _, err := to.TryRecv(); err == nil {
			t.Error("there was a message")
		}
		l, _ := d.Table().Lane(channel.Pair{Src: a, Dst: b})
		return l.Idle
	})
}

// TestIdleLaneKeepsItsSequence: for the sender that stays and for one that comes
// anew, whoever of the two ends was there when it was given back.
func TestIdleLaneKeepsItsSequence(t *testing.T) {
	t.Parallel()
	d := idling(t)
	from, to := pair(t, d)
	used := d.Table().Info().Bytes
	for seq := uint64(1); seq <= 4; seq++ {
		send(t, from, b, fmt.Sprint(seq))
		if m := recv(t, to); m.Seq != seq || string(m.Data) != fmt.Sprint(seq) || m.Redelivered {
			t.Fatalf("received %+v as %d", m, seq)
		}
		if n, err := from.LastSeq(b); n != seq || err != nil {
			t.Errorf("LastSeq %d, %v, want %d", n, err, seq)
		}
		givenBack(t, d, to)
		if n := d.Table().Info().Bytes; n != used {
			t.Errorf("the lanes take %d bytes, before there were any %d", n, used)
		}
		if seq%2 == 0 {
			from.Close()
			from = bind(t, d, a)
		}
		if seq == 3 {
			to.Close()
			to = bind(t, d, b)
		}
		if n, err := from.LastSeq(b); n != seq || err != nil {
			t.Errorf("LastSeq %d, %v after it was given back, want %d", n, err, seq)
		}
	}
	if notes := noViolations(t, d); len(notes) > 0 {
		t.Errorf("the domain is left with %v", notes)
	}
}

// TestIdleLaneWithoutReader: what nobody can retire is left as it is, and a lane
// with messages is not idle.
func TestIdleLaneWithoutReader(t *testing.T) {
	t.Parallel()
	d := idling(t)
	from, to := pair(t, d)
	send(t, from, b, "1")
	recv(t, to)
	send(t, from, b, "2")
	to.Close()
	time.Sleep(1700 * time.Millisecond)
	if l, _ := d.Table().Lane(channel.Pair{Src: a, Dst: b}); l.Idle || l.Messages != 1 {
		t.Errorf("the lane is %+v", l)
	}
	to = bind(t, d, b)
	if m := recv(t, to); m.Seq != 2 {
		t.Errorf("received %+v", m)
	}
}

// TestGiveBackUnderTraffic: messages come now and then, at about the time when
// the lane is given back. None is lost and none is late.
func TestGiveBackUnderTraffic(t *testing.T) {
	t.Parallel()
	d := idling(t)
	from, to := bind(t, d, a), bind(t, d, b, skybus.WithWait(skybus.WaitPark))
	got := make(chan skybus.Message)
	received := run(t, func() error {
		for range 5 {
			m, err := to.Recv(soon(t))
			if err != nil {
				return err
			}
			got <- m
		}
		return nil
	})
	late := 0
	for seq := uint64(1); seq <= 5; seq++ {
		clock := testutil.StartClock()
		send(t, from, b, "text")
		if m := <-got; m.Seq != seq {
			t.Fatalf("received %+v as %d", m, seq)
		}
		if took := clock.Stop(); took > atOnce { // once may be the machine's fault
			late++
			t.Logf("message %d came after %v", seq, took)
		}
		time.Sleep(time.Duration(900+seq*100) * time.Millisecond)
	}
	if late > 2 {
		t.Errorf("%d of 5 messages came late: the sweep has found them, and no doorbell", late)
	}
	if err := received(); err != nil {
		t.Error(err)
	}
}
