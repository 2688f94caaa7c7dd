// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/shm"
)

// A second Table has its own lock description: it stands for another process.
func TestBindIsExclusiveInOneProcess(t *testing.T) {
	table := newDomain(t, Config{})
	other := reopenDomain(t, rootOf(table), Config{})
	b := bind(t, table, addrA)
	for _, second := range []*Table{table, other} {
		_, err := second.Bind(addrA)
		wantErr(t, err, ErrInUse)
		if !strings.Contains(err.Error(), "by PID") {
			t.Errorf("the error does not say who: %v", err)
		}
	}
	if info, _ := other.Endpoint(addrA); !info.Bound || info.Crashed || info.Binds != 1 || info.Program == "" {
		t.Errorf("endpoint: %+v", info)
	}
	b.Close()
	if info, _ := other.Endpoint(addrA); info.Bound || info.Crashed || !info.Since.IsZero() {
		t.Errorf("endpoint after Close: %+v", info)
	}
	bind(t, other, addrA)
}

func TestClaimOfANegativeSize(t *testing.T) {
	_, s, _ := newPair(t, Config{})
	turn := s.Begin()
	defer s.End(turn)
	for _, n := range []int{-1, -16, -1 << 40} {
		_, err := s.Claim(n)
		wantErr(t, err, ErrTooBig)
	}
	if s.tx.Size() != firstRing {
		t.Errorf("the ring grew to %d bytes", s.tx.Size())
	}
}

func TestBudgetOfMappings(t *testing.T) {
	table, s, to := newPair(t, Config{AllowUnknown: true})
	check(t, s.Send(payload(0, 0)))
	before := shm.MaxMappings
	t.Cleanup(func() { shm.MaxMappings = before })
	shm.MaxMappings = shm.Mapped()
	_, err := table.NewSender(Pair{addrA, addrC})
	wantErr(t, err, ErrBudget)
	wantErr(t, err, shm.ErrMappings)
	wantErr(t, s.Send(make([]byte, 5000)), ErrBudget) // it would grow
	n := 1
	for ; ; n++ {
		if err := s.Send(payload(n, 100)); err != nil {
			wantErr(t, err, ErrFull)
			break
		}
	}
	shm.MaxMappings = before
	check(t, s.Send(payload(n, 5000)))
	wantNumbers(t, to.all(), 0, n+1)
	wantClean(t, table)
}

func TestSenderAfterClose(t *testing.T) {
	_, s, _ := newPair(t, Config{})
	check(t, s.Send(payload(0, 0)))
	s.Close()
	wantErr(t, s.Send(payload(1, 0)), os.ErrClosed)
	_, err := s.Room(10)
	wantErr(t, err, os.ErrClosed)
	s.WaitRoom(1)
	s.GotRoom(1)
	if s.GiveBack(time.Now()) {
		t.Error("a closed sender gave its lane back")
	}
	if s.LastSeq() != 1 {
		t.Errorf("LastSeq is %d", s.LastSeq())
	}
	s.Close()
}

func TestDomainsThatAreNotMade(t *testing.T) {
	for _, cfg := range []Config{
		{Limits: Limits{MaxLanes: -1}},
		{Limits: Limits{MaxLanes: laneCap + 1}},
		{Limits: Limits{MaxMessage: -1}},
		{Limits: Limits{MaxMessage: maxMessage + 1}},
		{Limits: Limits{GrowBytes: 1<<30 + 1}},
	} {
		if _, err := Open(t.TempDir(), testKey, cfg, true); err == nil {
			t.Errorf("%+v was accepted", cfg.Limits)
		}
	}
	_, err := Open(t.TempDir(), testKey, Config{}, false)
	wantErr(t, err, ErrNoDomain)
}

// Nothing is changed for a list of which a part cannot be.
func TestChannelsThatAreNotMade(t *testing.T) {
	table := newDomain(t, Config{Template: addr.MustTemplate("8.8")})
	good := Channel{A: addrA, B: addrB}
	for text, bad := range map[string]Channel{
		"to itself":    {A: addrC, B: addrC},
		"can name":     {A: addrC, B: 1 << 16},
		"template 8.8": {A: addr.None, B: addrC},
		"listed twice": {A: addrB, B: addrA},
		"the most is":  {A: addrC, B: addrD, SendSize: 4096, RecvSize: 1<<30 + 1},
		"bytes, the":   {A: addrC, B: addrD, SendSize: 1<<64 - 1},
	} {
		plan, err := table.Configure([]Channel{good, bad}, true, false)
		if err == nil || !strings.Contains(err.Error(), text) || len(plan.Created) != 0 {
			t.Errorf("%+v: %v, created %d", bad, err, len(plan.Created))
		}
	}
	if n := len(table.Lanes()); n != 0 {
		t.Errorf("%d lanes were made", n)
	}
	wantClean(t, table)
}

// A batch that was begun before the reader found the lane damaged does not go on.
func TestBatchStopsAtQuarantine(t *testing.T) {
	_, s, _ := newPair(t, Config{})
	token := s.Begin()
	defer s.End(token)
	must(s.Claim(10))(t)
	must(s.ClaimNext(10))(t)
	check(t, s.AddNext(payload(1, 10)))
	_ = s.t.quarantine(s.e, fmt.Errorf("%w: by the test", ErrDamaged))
	_, err := s.ClaimNext(10)
	wantErr(t, err, ErrFull)
	wantErr(t, s.AddNext(nil), ErrFull)
	_, err = s.Claim(10)
	wantErr(t, err, ErrDamaged)
}
