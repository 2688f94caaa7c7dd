// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// act plays the act with services alone, at one host or with a second one.
func act(t *testing.T, ctx context.Context, two bool, at *onLine, part string) (Verdict, *ServicesSummary, error) { //nolint:revive // t comes first
	t.Helper()
	testutil.NoLeaks(t)
	o := Options{Duration: time.Second, Out: at, Part: []string{part}, began: time.Now()}
	var s *stage
	var do func(v *Verdict, sum **ServicesSummary) error
	var remove func() error
	if two {
		p, err := newPair(testutil.Dir(t), 0, theDaemon(t))
		if err != nil {
			t.Fatal(err)
		}
		x := &crossing{stage: newStage(ctx, &o, p.ledgers, p.key), pair: p, near: p.hosts[0], far: p.hosts[1]}
		s, remove = x.stage, p.remove
		s.roots[producer] = x.near.root
		do = func(v *Verdict, sum **ServicesSummary) error {
			err := run(func() error { return x.startDaemon(0) }, func() error { return x.startDaemon(1) }, x.awaitLinks)
			return x.explain(errors.Join(err, x.services(v, sum, x.near.domain, x.far)))
		}
	} else {
		p, err := newPlace(testutil.Dir(t), 0)
		if err != nil {
			t.Fatal(err)
		}
		s, remove = newStage(ctx, &o, p.ledgers, p.key), p.remove
		s.roots[producer] = p.root
		do = func(v *Verdict, sum **ServicesSummary) error { return s.services(v, sum, p.domain, nil) }
	}
	v := Verdict{Pass: true}
	var sum *ServicesSummary
	err := do(&v, &sum)
	s.killAll()
	if err := remove(); err != nil {
		t.Error(err)
	}
	pidsAreGone(t, at.String())
	return v, sum, err
}

func TestServicesCallOthersWithTheSameLine(t *testing.T) {
	for name, two := range map[string]bool{"one host": false, "two hosts": true} {
		t.Run(name, func(t *testing.T) {
			out := &onLine{text: "never", do: func() {}}
			v, sum, err := act(t, t.Context(), two, out, "part")
			if err != nil || !v.Pass || sum == nil || !sum.Pass {
				t.Fatalf("%+v, %+v, %v\n%s", v, sum, err, out)
			}
			calls := uint64(visits + 1)
			wants := []string{
				theLine, "shop 0.0.1.2/", "200 answers from pid", "killed with -9 while it works for the customer", "the call ends after",
				`"node 0.0.1.2: the other process has ended", node.ErrPeerDied`, `1,000 messages sent to the name "shop" at 0.0.1.2`,
				"1,000 messages have arrived, 0 of them out of order", "actor.ErrStalePID", "PASS: ",
			}
			if two {
				calls += visits
				wants = append(wants, "shop of west 0.0.2.1/")
			}
			if sum.Calls != calls || sum.Mailed != mailed || sum.Arrived != mailed || sum.FailAfter <= 0 || sum.P50 <= 0 || sum.FarP50 > 0 != two {
				t.Errorf("%+v", sum)
			}
			for _, want := range wants {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the output does not have %q:\n%s", want, out)
				}
			}
		})
	}
}

// TestServicesInterruptedAnywhereLeaveNothing ends the act before a shop is open, while a call
// is under way, and while nobody has the name.
func TestServicesInterruptedAnywhereLeaveNothing(t *testing.T) {
	for _, at := range []string{"services: ", "shop pid", "killed with -9", "sent to the name"} {
		t.Run(at, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			v, sum, err := act(t, ctx, false, &onLine{text: at, do: cancel}, "part")
			if !errors.Is(err, context.Canceled) || sum != nil {
				t.Errorf("%+v, %+v, %v", v, sum, err)
			}
		})
	}
}

// TestBrokenShopFails has shops that the tests break.
func TestBrokenShopFails(t *testing.T) {
	for part, want := range map[string]string{
		"part-forgets": "services: 1,000 messages to the name of the shop, 999 arrived, 1 of them out of order",
		"part-hurries": "services: 1,000 messages to the name of the shop, 1,001 arrived, 2 of them out of order",
	} {
		t.Run(part, func(t *testing.T) {
			out := &onLine{text: "never", do: func() {}}
			v, sum, err := act(t, t.Context(), false, out, part)
			if err != nil || v.Pass || sum == nil || sum.Pass || !slices.Contains(v.Broken, want) || !strings.Contains(out.String(), "FAIL: ") || strings.Contains(out.String(), "PASS") {
				t.Errorf("%+v, %+v, %v\n%s", v, sum, err, out)
			}
		})
	}
}

func TestShopThatEndsByItselfFails(t *testing.T) {
	out := &onLine{text: "never", do: func() {}}
	_, _, err := act(t, t.Context(), false, out, "part-closed")
	if err == nil || !strings.Contains(err.Error(), "the shop ended by itself") || !strings.Contains(err.Error(), "bankrupt") {
		t.Errorf("error %v\n%s", err, out)
	}
}

func TestServicesAreNotShownOverABrokenBus(t *testing.T) {
	s := &stage{o: &Options{Out: new(bytes.Buffer)}}
	var sum *ServicesSummary
	if err := s.services(&Verdict{}, &sum, nil, nil); err != nil || sum != nil || s.shown != nil {
		t.Errorf("shown: %+v, %v", sum, err)
	}
}

func TestUnexpectedErrorsBreakAPromise(t *testing.T) {
	m := &market{stage: &stage{}}
	m.expect("the call", errors.New("a whim"), context.Canceled)
	m.expect("the call", nil, context.Canceled)
	want := []string{"the call: got the error a whim, want context canceled", "the call: got the error <nil>, want context canceled"}
	if !slices.Equal(m.sum.Broken, want) {
		t.Errorf("got %q, want %q", m.sum.Broken, want)
	}
	for err, want := range map[error]string{context.Canceled: `"context canceled", E`, errors.New("x"): `"x", not E`, nil: `"<nil>", not E`} {
		if got := errorIs(err, "E", context.Canceled); got != want {
			t.Errorf("%v: wrote %s, want %s", err, got, want)
		}
	}
}

// TestLineIsTheOneThatCalls compares what the user sees with the source.
func TestLineIsTheOneThatCalls(t *testing.T) {
	text, err := os.ReadFile("customer.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\t"+theLine+"\n"); n != 1 {
		t.Errorf("customer.go has the line %q %d times, want once", theLine, n)
	}
}
