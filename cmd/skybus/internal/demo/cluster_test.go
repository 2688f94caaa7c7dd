// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
)

// gathering plays the demonstration of a cluster, and checks that nothing is left.
func gathering(t *testing.T, ctx context.Context, part string, out fmt.Stringer, o Options) (ClusterSummary, error) { //nolint:revive // t comes first
	t.Helper()
	testutil.NoLeaks(t)
	t.Setenv("TMPDIR", t.TempDir())
	o.Root, o.Duration, o.Program, o.Part = testutil.Dir(t), time.Second, "skybus", []string{part}
	sum, err := RunCluster(ctx, o)
	pidsAreGone(t, out.String())
	for _, folder := range []string{o.Root, os.TempDir()} {
		if left, e := os.ReadDir(folder); e != nil || len(left) != 0 {
			t.Errorf("left behind: %v, %v", left, e)
		}
	}
	return sum, err
}

func TestThreeHostsMakeACluster(t *testing.T) {
	var out bytes.Buffer
	sum, err := gathering(t, t.Context(), "part", &out, Options{Out: &out, Daemon: theDaemon(t)})
	if err != nil || !sum.Pass || sum.Orders == 0 || sum.Lost != 0 || sum.Twice != 0 || len(sum.Broken) != 0 {
		t.Fatalf("%+v, %v\n%s", sum, err, &out)
	}
	for what, ns := range map[string]int64{
		"known": sum.KnownAfter, "voters": sum.VotersAfter, "median": sum.P50, "in the move": sum.InMove, "in the kill": sum.InKill, "new name": sum.NameAfter, "member": sum.MemberAfter,
	} {
		if ns <= 0 {
			t.Errorf("%s: %d ns", what, ns)
		}
	}
	for _, want := range []string{
		"east begins a cluster, pid", "north joins it", "west joins it", "each host knows all three", "three members that vote", "a customer at west finds \"shop\"",
		"the shop has moved to north", "the first shop has ended", "killed with -9", "a new name, asked for at west, is known at east", "has started its member again",
		"PASS: each order counted once",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output does not have %q:\n%s", want, &out)
		}
	}
}

// An owner of the name that answers an order without having counted it is found.
func TestClusterFindsAShopThatLosesOrders(t *testing.T) {
	var out bytes.Buffer
	sum, err := gathering(t, t.Context(), "part-embezzles", &out, Options{Out: &out, Daemon: theDaemon(t)})
	const want = "1 order lost"
	if err != nil || sum.Pass || sum.Lost != 1 || !slices.Equal(sum.Broken, []string{want}) || !strings.Contains(out.String(), "FAIL: "+want) || strings.Contains(out.String(), "PASS") {
		t.Errorf("%+v, %v\n%s", sum, err, &out)
	}
}

// TestClusterInterruptedAnywhereLeavesNothing ends it before there is a cluster, and while the engine has lost its leader.
func TestClusterInterruptedAnywhereLeavesNothing(t *testing.T) {
	daemon := theDaemon(t)
	for _, at := range []string{"west joins it", "killed with -9"} {
		t.Run(at, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out := &onLine{text: at, do: cancel}
			sum, err := gathering(t, ctx, "part", out, Options{Out: out, Daemon: daemon})
			if !errors.Is(err, context.Canceled) || !strings.Contains(out.String(), "interrupted") || strings.Contains(out.String(), "PASS") {
				t.Errorf("%+v, %v\n%s", sum, err, out)
			}
		})
	}
}

func TestDaemonThatEndsByItselfFailsTheCluster(t *testing.T) {
	var out bytes.Buffer
	sum, err := gathering(t, t.Context(), "part", &out, Options{Out: &out, Daemon: script(t, "echo out of order >&2; exit 3")})
	const want = "ended by itself: exit status 3; its log ends: out of order"
	if err != nil || sum.Pass || len(sum.Broken) != 1 || !strings.Contains(sum.Broken[0], want) || !strings.Contains(out.String(), "FAIL: ") {
		t.Errorf("%+v, %v\n%s", sum, err, &out)
	}
}

// There is no daemon next to the test binary.
func TestWithoutDaemonThereIsNoCluster(t *testing.T) {
	var out bytes.Buffer
	sum, err := gathering(t, t.Context(), "part", &out, Options{Out: &out})
	if err != nil || sum.Pass || len(sum.Broken) != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	for _, want := range []string{"there is no skybusd at", "go build ./cmd/skybusd", "FAIL"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output does not have %q:\n%s", want, &out)
		}
	}
}

func TestAccountFindsWhatIsLostAndWhatCountsTwice(t *testing.T) {
	for _, c := range []struct {
		name        string
		counted     []int64
		lost, twice int64
	}{
		{"all", []int64{1, 2, 3}, 0, 0},
		{"one is lost", []int64{1, 1, 2, 3}, 1, 0},
		{"two are lost", []int64{1, 1, 1}, 2, 0},
		{"the count is gone", []int64{1, 2, 3, 1, 2}, 3, 0},
		{"one counts twice", []int64{1, 3, 4}, 0, 1},
		{"one is lost, then one counts twice", []int64{1, 1, 3, 4}, 1, 1},
	} {
		var a account
		for i, n := range c.counted {
			a.note(int64(i+1), n)
		}
		if a.lost != c.lost || a.twice != c.twice || a.orders != int64(len(c.counted)) {
			t.Errorf("%s: %+v", c.name, a)
		}
	}
}

// While nobody has the name the customer stays where it is.
func TestCustomerStaysWhileNobodyHasTheName(t *testing.T) {
	r, shop := &regular{}, actor.PID{Node: firstShopAddr, Handle: 2}
	r.turnTo(shop)
	r.turnTo(actor.PID{})
	if got := r.look().shop; got != shop {
		t.Errorf("it goes to %v, want %v", got, shop)
	}
}
