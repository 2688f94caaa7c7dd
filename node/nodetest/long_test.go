// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// A handler that takes long does not hold up what comes behind its message, also on another host, and also where
// the lane has to grow meanwhile.
func TestLongHandlerOnAnotherHost(t *testing.T) {
	testutil.NoLeaks(t)
	p, _, _ := twoHosts(t)
	s := &side{Pair: p, T: t, u: User{RT: p.Node.Runtime()}}
	busy, recorder := s.start("drops", ""), s.start("recorder", "")
	if err := s.u.Send(busy, "x"); err != nil { // it waits for as long as it lives
		t.Fatal(err)
	}
	const orders = 100
	for i := range orders {
		if err := s.u.Send(recorder, &Order{Count: i, Player: strings.Repeat("x", 1000)}); err != nil {
			t.Fatalf("order %d: %v", i, err)
		}
	}
	if v, err := s.call(recorder, "tally"); err != nil {
		t.Errorf("a call behind %d orders: %v, %v", orders, v, err)
	}
	if err := s.Far.Kill(s.u, busy); err != nil {
		t.Errorf("kill: %v", err)
	}
}
