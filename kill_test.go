// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
)

// killsVariable sets how often the tests kill, in all. Then they take the time
// that it needs.
const killsVariable = "SKYBUS_KILLS"

// A killTest is what is done with a plan.
type killTest struct {
	plan  killPlan
	usual int           // kills in a test run; it also ends after some seconds
	share float64       // of the kills of a soak test
	pace  time.Duration // between two blows, on average
	late  int           // of the readers, how many start only when nobody is killed any more
}

// rounds says how often to kill in each round. Each begins with an empty domain
// and ends with a look at everything.
func (x *killTest) rounds() (rounds []int, limit time.Duration) {
	const most = 400
	kills, err := strconv.Atoi(os.Getenv(killsVariable))
	if err != nil {
		return []int{x.usual}, 12 * time.Second
	}
	for left := int(x.share * float64(kills)); left > 0; left -= most {
		rounds = append(rounds, min(left, most))
	}
	return rounds, time.Hour
}

func (x killTest) run(t *testing.T) {
	rounds, limit := x.rounds()
	seed := testutil.Seed(t)
	for i, kills := range rounds {
		t.Run(fmt.Sprintf("round %d", i+1), func(t *testing.T) {
			x.plan.Seed = seed + uint64(i)
			x.plan.Root, x.plan.Dir = testutil.Dir(t), testutil.Dir(t)
			k := newKiller(t, x)
			k.strike(kills, limit)
			k.settle()
			k.judge()
		})
	}
}

// TestKillHandlers kills writers, and readers that handle messages in place.
func TestKillHandlers(t *testing.T) {
	killTest{
		plan:  killPlan{Writers: 3, Readers: 2, Most: 64 << 10, Numbers: 1 << 21},
		usual: 300, share: 0.4, pace: 12 * time.Millisecond,
	}.run(t)
}

// TestKillReceivers kills writers, and readers that take messages for good: a
// message may be lost only with the reader that had just taken it.
func TestKillReceivers(t *testing.T) {
	killTest{
		plan:  killPlan{Writers: 2, Readers: 1, Most: 64 << 10, Numbers: 1 << 21, Recv: true},
		usual: 150, share: 0.2, pace: 12 * time.Millisecond,
	}.run(t)
}

// TestKillIdle kills while lanes are given back and made anew.
func TestKillIdle(t *testing.T) {
	killTest{
		plan:  killPlan{Writers: 2, Readers: 4, Most: 64 << 10, Numbers: 1 << 20, Idle: time.Second},
		usual: 60, share: 0.1, pace: 120 * time.Millisecond,
	}.run(t)
}

// TestKillCreators kills processes that bind one address after another and send
// a few messages from each: they make and enlarge lanes all the time, also to an
// address that nobody has bound yet.
func TestKillCreators(t *testing.T) {
	killTest{
		plan:  killPlan{Writers: 4000, Readers: 2, Most: 64 << 10, Numbers: 8, Creators: 3},
		usual: 150, share: 0.3, pace: 20 * time.Millisecond, late: 1,
	}.run(t)
}

// A killer runs the processes of a plan.
type killer struct {
	killTest
	t        *testing.T
	rng      *rand.Rand
	d        *skybus.Domain
	orders   *killtest.Words
	sent     *killtest.Sent
	received *killtest.Received
	victims  []*victim

	kills, readerKills, stops int
}

// A victim is one process of a plan, in all its lives.
type victim struct {
	k       *killer
	role    string
	index   int
	p       *killtest.Process
	resume  time.Time // when it goes on, or is killed, if it is stopped
	stopped bool
}

func newKiller(t *testing.T, x killTest) *killer {
	t.Helper()
	p := x.plan
	k := &killer{killTest: x, t: t, rng: testutil.Rand(t), d: open(t, p.options())}
	var err error
	if k.orders, err = p.orders(); err != nil {
		t.Fatal(err)
	}
	if k.sent, err = p.sent(); err != nil {
		t.Fatal(err)
	}
	if k.received, err = p.received(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.orders.Close(); k.sent.Close(); k.received.Close() })
	if p.Creators > 0 {
		k.add("kill creator", 0, p.Creators, true)
	} else {
		k.add("kill writer", 0, p.Writers, true)
	}
	k.add("kill reader", 0, p.Readers-x.late, true)
	return k
}

// add starts the processes of a role with the indexes from and up to to.
func (k *killer) add(role string, from, to int, die bool) {
	for i := from; i < to; i++ {
		v := &victim{k: k, role: role, index: i}
		k.victims = append(k.victims, v)
		v.start(die)
	}
}

func (v *victim) start(die bool) {
	v.p = killtest.Start(v.k.t, v.role, killArgs{Plan: v.k.plan, Index: v.index, Life: v.k.rng.Uint64(), Die: die})
	v.stopped = false
}

// strike kills and stops processes at random moments, so many times or so long.
func (k *killer) strike(kills int, limit time.Duration) {
	for end := time.Now().Add(limit); k.kills < kills && time.Now().Before(end) && !k.t.Failed(); {
		time.Sleep(time.Duration(k.rng.ExpFloat64() * float64(k.pace)))
		for _, v := range k.victims {
			v.look()
		}
		v := k.victims[k.rng.IntN(len(k.victims))]
		switch {
		case v.stopped:
		case k.rng.IntN(3) > 0:
			v.kill()
		default:
			k.stops++
			v.p.Signal(syscall.SIGSTOP)
			v.stopped, v.resume = true, time.Now().Add(time.Duration(k.rng.Int64N(int64(80*time.Millisecond))))
		}
	}
}

// look restarts a process that has ended by itself, and ends its stop.
func (v *victim) look() {
	v.k.t.Helper()
	if v.p.Gone() {
		v.ended(true)
	}
	if v.stopped && time.Now().After(v.resume) {
		if v.k.rng.IntN(2) == 0 {
			v.kill()
			return
		}
		v.p.Signal(syscall.SIGCONT)
		v.stopped = false
	}
}

func (v *victim) kill() {
	v.p.Signal(syscall.SIGKILL)
	v.ended(true)
}

// ended takes note of the process's end and starts the next one. Only a kill is
// a good end.
func (v *victim) ended(die bool) {
	v.k.t.Helper()
	if err := v.p.Wait(); err != nil || !v.p.Killed() {
		v.k.t.Fatalf("the %s %d ended by itself: %v\n%s", v.role, v.index, err, v.k.plan.violations())
	}
	v.k.kills++
	if v.role == "kill reader" {
		v.k.readerKills++
	}
	v.start(die)
}

// settle lets the writers come to an end, then the readers take what is left.
func (k *killer) settle() {
	k.t.Helper()
	for _, v := range k.victims {
		v.p.Signal(syscall.SIGCONT)
	}
	k.add("kill reader", k.plan.Readers-k.late, k.plan.Readers, false)
	k.orders.Set(stopWriters, 1)
	k.finish("kill writer")
	k.finish("kill creator")
	eventually(k.t, "everything was received", func() bool {
		k.revive("kill reader")
		for lane := range k.plan.lanes() {
			if k.behind(lane) {
				return false
			}
		}
		return !slices.ContainsFunc(k.d.Table().Lanes(), func(l channel.LaneInfo) bool { return l.Messages > 0 })
	})
	k.orders.Set(stopReaders, 1)
	k.finish("kill reader")
}

// behind reports whether the reader of a lane has more to note. A message that
// died with its reader may be the last one.
func (k *killer) behind(lane int) bool {
	return !k.plan.Recv && k.received.Last(lane) < k.sent.Accepted(lane)
}

// revive starts again who has killed itself, for the last time.
func (k *killer) revive(role string) {
	for _, v := range k.victims {
		if v.role == role && v.p.Gone() {
			v.ended(false)
		}
	}
}

// finish waits until the processes of a role have stopped, as they were ordered.
func (k *killer) finish(role string) {
	k.t.Helper()
	for _, v := range k.victims {
		if v.role != role {
			continue
		}
		for done := false; !done; {
			v.stopsSoon()
			if err := v.p.Wait(); err != nil {
				k.t.Fatalf("%v\n%s", err, k.plan.violations())
			}
			if done = !v.p.Killed(); !done {
				v.start(false)
			}
		}
	}
}

// stopsSoon waits for the process to end. One that hangs has to say where.
func (v *victim) stopsSoon() {
	v.k.t.Helper()
	for end := time.Now().Add(patience); !v.p.Gone(); time.Sleep(time.Millisecond) {
		if v.role != "kill reader" {
			v.k.revive("kill reader") // writers wait for room
		}
		if time.Now().After(end) {
			v.p.Signal(syscall.SIGQUIT)
			v.k.t.Fatalf("the %s %d does not stop: %v", v.role, v.index, v.p.Wait())
		}
	}
}

// judge looks at the ledgers and at everything in the domain.
func (k *killer) judge() {
	k.t.Helper()
	if text := k.plan.violations(); text != "" {
		k.t.Error(text)
	}
	var sum killtest.Tally
	for lane := range k.plan.lanes() {
		tally := k.received.Tally(lane, k.sent.Accepted(lane))
		if tally.Doubled > 0 || tally.Beyond > 0 || tally.Missing > 0 && !k.plan.Recv {
			k.t.Errorf("lane %d: %+v of %d messages", lane, tally, k.sent.Accepted(lane))
		}
		sum.Messages += tally.Messages
		sum.Missing += tally.Missing
		sum.Again += tally.Again
	}
	if sum.Missing > uint64(k.readerKills) {
		k.t.Errorf("%d messages are missing, and readers were killed %d times", sum.Missing, k.readerKills)
	}
	notes := noViolations(k.t, k.d)
	grown := uint64(0)
	for _, l := range k.d.Table().Lanes() {
		grown += uint64(l.Generation - 1)
		if l.Err != nil || l.Damage != "" || l.Messages > 0 {
			k.t.Errorf("lane %v -> %v is left with %d messages, %v %s", l.Src, l.Dst, l.Messages, l.Err, l.Damage)
		}
	}
	k.t.Logf("seed %d: %d kills, %d of readers, %d stops; %d messages, %d came again, %d died with their reader; "+
		"%d lanes changed %d times; notes: %v", k.plan.Seed, k.kills, k.readerKills, k.stops, sum.Messages, sum.Again,
		sum.Missing, k.d.Table().Info().Lanes, grown, notes)
}
