// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/netlab"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
)

// A killPlan is what the two processes of a kill test share.
type killPlan struct {
	Client, Server string // roots of their domains
	Dir            string // of the ledgers
}

// The words of the file that the processes and the test share.
const (
	stopSending   = iota // set by the test
	callsAnswered        // set by the client
	callsFailed
	killWords
)

const (
	mostMessages = 1 << 20
	killCallers  = 6
	killPatience = 3 * time.Second // of the client's node, for what is silent
)

// A numbered is what the client sends. Retry: it was perhaps sent before, by a process that was killed.
type numbered struct {
	Number int64
	Retry  bool
}

// errFromFar are what a call may fail with when the other process, or a daemon, is killed.
var errFromFar = []error{node.ErrPeerDied, node.ErrSilent, actor.ErrStalePID}

func (p *killPlan) words() (*killtest.Words, error) {
	return killtest.OpenWords(filepath.Join(p.Dir, "words"), killWords)
}

func (p *killPlan) sent() (*killtest.Sent, error) {
	return killtest.OpenSent(filepath.Join(p.Dir, "sent"), 1)
}

func (p *killPlan) received() (*killtest.Received, error) {
	return killtest.OpenReceived(filepath.Join(p.Dir, "received"), 1, mostMessages)
}

// node starts a node with a domain of its own.
func (p *killPlan) node(root string, at addr.Addr, services ...actor.Spec) (*node.Node, error) {
	r := codec.NewRegistry(codec.Limits{})
	if err := codec.Register[numbered](r, "nodetest.numbered"); err != nil {
		return nil, err
	}
	d, err := open(root)
	if err != nil {
		return nil, err
	}
	return node.Start(d, at, node.Config{Codec: r, Log: slog.New(slog.DiscardHandler), Patience: killPatience, Services: services})
}

// killServer answers, and counts what is sent, until it is killed.
func killServer(args []byte) error {
	plan, err := killtest.Args[killPlan](args)
	if err != nil {
		return err
	}
	ledger, err := plan.received()
	if err != nil {
		return err
	}
	fault := make(chan error, 1)
	answer := actor.Func(func(c *actor.Context, m *actor.Message) error {
		if err := c.Sleep(time.Duration(rand.Int64N(int64(5 * time.Millisecond)))); err != nil {
			return err
		}
		return c.Reply(m.Value)
	})
	count := actor.Func(func(_ *actor.Context, m *actor.Message) error {
		v, _ := m.Value.(numbered)
		if err := ledger.Mark(0, uint64(v.Number), m.Again || v.Retry, false); err != nil {
			fault <- err
		}
		return nil
	})
	if _, err = plan.node(plan.Server, there, actor.Spec{Name: "answer", New: answer}, actor.Spec{Name: "count", New: count}); err != nil {
		return err
	}
	fmt.Println("ready")
	return <-fault
}

// A killer is the client: it calls, and sends, until it is killed or told to end.
type killer struct {
	n     *node.Node
	words *killtest.Words
	sent  *killtest.Sent

	answered, failed atomic.Uint64
}

func killClient(args []byte) error {
	plan, err := killtest.Args[killPlan](args)
	if err != nil {
		return err
	}
	k := killer{}
	if k.words, err = plan.words(); err != nil {
		return err
	}
	if k.sent, err = plan.sent(); err != nil {
		return err
	}
	if k.n, err = plan.node(plan.Client, here); err != nil {
		return err
	}
	defer k.n.Close()
	fmt.Println("ready")
	results := make(chan error, killCallers+1)
	for range killCallers {
		go func() { results <- k.calls() }()
	}
	go func() { results <- k.sends() }()
	for range killCallers + 1 {
		if err := <-results; err != nil {
			return err
		}
	}
	return nil
}

// stops reports whether it is to end. It notes what has become of calls.
func (k *killer) stops() bool {
	k.words.Set(callsAnswered, max(k.answered.Load(), k.words.Get(callsAnswered)))
	k.words.Set(callsFailed, max(k.failed.Load(), k.words.Get(callsFailed)))
	return k.words.Get(stopSending) != 0
}

// calls calls by name, and by PIDs that get stale. Each call ends with the number that it was made with, or an error that
// says what has happened.
func (k *killer) calls() error {
	var p actor.PID
	for !k.stops() {
		number := rand.Int64()
		to, v := node.At(there), any(node.Named{Name: "answer", Value: number})
		if rand.IntN(2) == 0 {
			var err error
			if p.IsZero() {
				p, err = k.lookup()
			}
			if err != nil {
				if !isAny(err, errFromFar) {
					return fmt.Errorf("a lookup has ended with: %w", err)
				}
				k.failed.Add(1)
				continue
			}
			to, v = p, number
		}
		ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errStuck)
		got, err := k.n.Runtime().Call(ctx, to, v)
		cancel()
		switch {
		case err == nil && got == number:
			k.answered.Add(1)
			continue
		case err == nil:
			return fmt.Errorf("call %d has got the answer %v: it is somebody else's", number, got)
		case !isAny(err, errFromFar):
			return fmt.Errorf("call %d has ended with: %w", number, err)
		}
		k.failed.Add(1)
		if to == p {
			p = actor.PID{}
		}
	}
	return nil
}

func (k *killer) lookup() (actor.PID, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errStuck)
	defer cancel()
	return k.n.Lookup(ctx, there, "answer")
}

// sends sends numbers to a name. What a process before has perhaps not sent it sends again, and says so.
func (k *killer) sends() error {
	next, retry := k.sent.Attempted(0), true
	if next == k.sent.Accepted(0) {
		next, retry = next+1, false
	}
	for ; !k.stops() && next < mostMessages; next++ {
		k.sent.Attempt(0, next)
		err := k.n.Runtime().Send(context.Background(), node.At(there), node.Named{Name: "count", Value: numbered{int64(next), retry}})
		if err != nil {
			return fmt.Errorf("send %d: %w", next, err)
		}
		k.sent.Accept(0, next)
		retry = false
		time.Sleep(time.Duration(rand.Int64N(int64(time.Millisecond))))
	}
	return nil
}

// A killing is a test that kills.
type killing struct {
	*testing.T
	plan    killPlan
	rng     *rand.Rand
	parties [2]*killtest.Process // client, server
	kills   map[string]int
}

var killRoles = [2]string{"kill client", "kill server"}

// up starts who is down.
func (k *killing) up() {
	k.Helper()
	for i, p := range k.parties {
		if p == nil {
			k.parties[i] = killtest.Start(k, killRoles[i], k.plan)
			k.parties[i].Line()
		}
	}
}

// kill kills one of the two, which must not have ended by itself.
func (k *killing) kill(i int) {
	k.Helper()
	p := k.parties[i]
	if p == nil {
		return
	}
	if p.Gone() {
		k.Fatalf("the %s has ended by itself: %v", killRoles[i], p.Wait())
	}
	p.Kill()
	k.parties[i] = nil
	k.kills[killRoles[i]]++
}

// run kills who is drawn, for so long, and until both have been killed; then everybody comes to an end, and the ledgers are judged.
func (k *killing) run(total time.Duration, daemons []*netlab.Daemon) {
	k.Helper()
	k.up()
	for end := time.Now().Add(total); time.Now().Before(end) || k.kills[killRoles[0]] == 0 || k.kills[killRoles[1]] == 0; {
		time.Sleep(time.Duration(k.rng.Int64N(int64(200 * time.Millisecond))))
		switch who := k.rng.IntN(4); {
		case who < 2:
			k.kill(who)
		case who == 2 || len(daemons) == 0:
			k.kill(0)
			k.kill(1)
		default:
			d := daemons[k.rng.IntN(len(daemons))]
			d.Kill()
			k.kills["daemon"]++
			time.Sleep(time.Duration(k.rng.Int64N(int64(200 * time.Millisecond))))
			d.Start()
		}
		k.up()
	}
	k.end()
}

// end has the client end, waits until all has come, and judges.
func (k *killing) end() {
	k.Helper()
	words, err := k.plan.words()
	if err != nil {
		k.Fatal(err)
	}
	defer words.Close()
	sent, err := k.plan.sent()
	if err != nil {
		k.Fatal(err)
	}
	defer sent.Close()
	received, err := k.plan.received()
	if err != nil {
		k.Fatal(err)
	}
	defer received.Close()
	time.Sleep(500 * time.Millisecond) // in peace
	k.await("calls and messages", func() bool {
		return words.Get(callsAnswered) > 0 && sent.Accepted(0) > 0 || k.parties[0].Gone() || k.parties[1].Gone()
	})
	words.Set(stopSending, 1)
	k.await("the client to end", k.parties[0].Gone)
	if err := k.parties[0].Wait(); err != nil {
		k.Fatal(err)
	}
	last := sent.Accepted(0)
	k.await("all to be received", func() bool { return received.Last(0) == last || k.parties[1].Gone() })
	if k.parties[1].Gone() {
		k.Fatalf("the server: %v", k.parties[1].Wait())
	}
	tally := received.Tally(0, last)
	if tally.Missing+tally.Doubled+tally.Beyond > 0 || last != sent.Attempted(0) {
		k.Errorf("of %d messages: %+v", last, tally)
	}
	k.parties[1].Kill()
	if words.Get(callsAnswered) == 0 || last == 0 || k.kills[killRoles[0]] == 0 || k.kills[killRoles[1]] == 0 {
		k.Errorf("%d calls were answered, %d messages sent, kills %v: the test tests too little", words.Get(callsAnswered), last, k.kills)
	}
	k.Logf("kills: %v; of one client, at most, %d calls were answered and %d failed; %d messages, %d came again", k.kills,
		words.Get(callsAnswered), words.Get(callsFailed), last, tally.Again)
}

func (k *killing) await(what string, f func() bool) {
	k.Helper()
	(&side{T: k.T}).eventually(what, f)
}

// Client and server are killed at random under calls and sends. Every call ends with its own answer, or one error that says
// what has happened; every message that was sent to a name arrives, in order, and only those twice that say so.
func TestKills(t *testing.T) {
	testutil.NoLeaks(t)
	_, root := domain(t)
	k := &killing{T: t, plan: killPlan{root, root, t.TempDir()}, rng: testutil.Rand(t), kills: map[string]int{}}
	k.run(netlab.Time(t, 8*time.Second), nil)
}

// The same between two hosts, where the daemons are killed, too.
func TestKillsOnTwoHosts(t *testing.T) {
	testutil.NoLeaks(t)
	_, root := domain(t)
	_, farRoot := domain(t)
	b := netlab.NewBus(t, "../../cmd/skybusd", key, netlab.Site{Name: "a", Root: root, Addrs: "0.0.1.*"}, netlab.Site{Name: "b", Root: farRoot, Addrs: "0.0.2.*"})
	k := &killing{T: t, plan: killPlan{root, farRoot, t.TempDir()}, rng: testutil.Rand(t), kills: map[string]int{}}
	k.run(netlab.Time(t, 10*time.Second), b.Daemons)
}
