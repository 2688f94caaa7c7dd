// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
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
		plan:  killPlan{Writers: 6000, Readers: 2, Most: 64 << 10, Numbers: 8, Creators: 3},
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
	k := &killer{killTest: x, t: t, rng: rand.New(rand.NewPCG(p.Seed, 0)), d: open(t, p.options())}
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
	v.killed()
	v.start(die)
}

// killed counts a kill, by whomever.
func (v *victim) killed() {
	v.k.kills++
	if v.role == "kill reader" {
		v.k.readerKills++
	}
}
