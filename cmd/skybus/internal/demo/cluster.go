// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/names"
)

// newName is asked for while a member of the engine is away.
const newName = "bakery"

// A ClusterSummary is what came out of the cluster of three hosts.
type ClusterSummary struct {
	KnownAfter  int64   `json:"hosts_known_ns"`     // from the start of the first daemon until each host knew all
	VotersAfter int64   `json:"voters_ns"`          // and until all had a member of the engine that votes
	Orders      uint64  `json:"orders"`             // answered, numbered from 1
	Lost        uint64  `json:"lost"`               // of them those that the shop has not counted
	Twice       uint64  `json:"counted_twice"`      // or more than once
	PassedOn    uint64  `json:"passed_on"`          // by the shop that had moved
	Repeated    uint64  `json:"asked_again"`        // requests that were repeated, as they had an error
	P50         int64   `json:"p50_ns"`             // of an order
	P99         int64   `json:"p99_ns"`             // of an order
	InMove      int64   `json:"longest_in_move_ns"` // the longest order while the shop moved
	InKill      int64   `json:"longest_in_kill_ns"` // and while the engine had two members
	NameAfter   int64   `json:"new_name_ns"`        // from the kill until another host knew a new name
	MemberAfter int64   `json:"member_back_ns"`     // and until all members were well again
	Seconds     float64 `json:"seconds"`
	Verdict
}

// RunCluster shows three hosts that make a cluster. What it returns, and what is left, is as with Run.
func RunCluster(ctx context.Context, o Options) (sum ClusterSummary, err error) {
	if err := o.Check(); err != nil {
		return sum, err
	}
	o.began, o.Root = time.Now(), cmp.Or(o.Root, channel.DefaultRoot)
	sum.Verdict = Verdict{Pass: true, Broken: []string{}}
	program, missing := o.daemon()
	if missing != nil {
		o.say("%v", missing)
		o.sayHowToBuild()
		sum.fail(missing.Error())
		o.printf("\nFAIL: a cluster wants daemons\n")
		return sum, nil
	}
	f, err := newFleet(ctx, &o, program)
	if err != nil {
		return sum, err
	}
	p := &reunion{fleet: f, sum: &sum}
	err = f.explain(p.play())
	if p.customer != nil {
		err = errors.Join(err, p.customer.close())
	}
	if e := f.stopAll(); err == nil {
		err = e
	}
	if err = errors.Join(err, f.remove()); err == nil {
		p.report()
	}
	return sum, f.end(&sum.Verdict, false, err)
}

// A reunion is the demonstration of a cluster.
type reunion struct {
	*fleet
	customer *regular // nil until there is one
	sum      *ClusterSummary
}

// play is the script: how long orders go on between two things is part of the duration.
func (p *reunion) play() error {
	return run(p.gather, p.open, p.trade, p.move, p.trade, p.killLeader, p.trade, p.closeDown)
}

// gather makes a cluster of the hosts.
func (p *reunion) gather() error {
	p.say("three hosts, %s, %s and %s, in %s: a domain %d and a skybusd each, mutual TLS 1.3, no etcd", near, middle, far, p.folder, p.key)
	began := time.Now()
	if err := p.startDaemon(0, "--cluster-init", clusterName); err != nil {
		return err
	}
	p.say("%s begins a cluster, pid %d: skybusd --listen %s --cluster-init %s ...", near, p.parts[p.hosts[0].role].PID(), p.link(0), clusterName)
	for i := 1; i < len(p.hosts); i++ {
		if err := p.startDaemon(i, "--cluster-join", p.link(0)); err != nil {
			return err
		}
		p.say("%s joins it, pid %d: skybusd --listen %s --cluster-join %s ...", p.hosts[i].name, p.parts[p.hosts[i].role].PID(), p.link(i), p.link(0))
	}
	if err := p.soon("each host knows all three", p.known); err != nil {
		return err
	}
	p.sum.KnownAfter = int64(time.Since(began))
	p.say("after %s each host knows all three", short(time.Since(began)))
	l, err := p.vote()
	if err != nil {
		return err
	}
	p.sum.VotersAfter = int64(time.Since(began))
	p.say("after %s the engine has three members that vote; that of %s leads, pid %d", short(time.Since(began)), l.host.name, l.pid)
	return nil
}

// vote waits until all members vote and are well, and returns who leads.
func (p *reunion) vote() (l leader, err error) {
	err = p.soon("three members of the engine that vote", func() (err error) {
		l, err = p.leads()
		return err
	})
	return l, err
}

// open opens the shop at the first host, and has a customer at the last one find it.
func (p *reunion) open() (err error) {
	p.roots[firstShop], p.roots[secondShop] = p.hosts[0].root, p.hosts[1].root
	if p.customer, err = newRegular(p.hosts[2].domain); err != nil {
		return err
	}
	began := time.Now()
	if err := p.raise(firstShop, 0); err != nil {
		return err
	}
	if err := p.soldBy(firstShop); err != nil {
		return err
	}
	s := p.customer.look()
	p.say("a customer at %s finds %q by its name, at %s: %v, pid %d; the first order is done after %s", far, shopName, near, s.shop, s.by, short(time.Since(began)))
	return nil
}

// soldBy waits until the customer asks the shop of a process, and has an answer of it.
func (p *reunion) soldBy(role string) error {
	pid := p.parts[role].PID()
	return p.soon("orders answered by the "+role, func() error {
		s := p.customer.look()
		if s.home != pid || s.by != pid {
			return fmt.Errorf("%d orders answered, the last one by pid %d: %w", s.orders, s.by, s.trouble)
		}
		return nil
	})
}

// trade lets the customer buy for a while.
func (p *reunion) trade() error {
	before := p.customer.look()
	if err := p.sleep(p.part(1. / 3)); err != nil {
		return err
	}
	now := p.customer.look()
	d := now.delays.since(&before.delays)
	p.say("%s orders answered, by pid %d   %s", grouped(uint64(now.orders-before.orders)), now.by, latency(&d))
	return nil
}

// move has a shop at another host take the name, while orders come.
func (p *reunion) move() error {
	began := time.Now()
	p.customer.reset()
	if err := p.raise(secondShop, 0); err != nil {
		return err
	}
	p.say("it asks to replace the owner of the name %q, from %s", shopName, middle)
	if err := p.soldBy(secondShop); err != nil {
		return err
	}
	s := p.customer.look()
	p.sum.InMove = int64(s.longest)
	p.say("the shop has moved to %s, pid %d, after %s: its count went along, %s passed on, the customer has followed; the longest order took %s",
		middle, s.by, short(time.Since(began)), orders(s.passedOn), short(s.longest))
	if err := p.stop(firstShop); err != nil {
		return err
	}
	p.say("the first shop has ended")
	return nil
}

// killLeader kills the engine's leader, while orders come, and has somebody ask for a new name.
func (p *reunion) killLeader() error {
	l, err := p.vote()
	if err != nil {
		return err
	}
	elsewhere, err := dialNames(p.hosts[0].domain.Table().Folder(), 0)
	if err != nil {
		return err
	}
	defer elsewhere.close()
	if process, err := os.FindProcess(l.pid); err != nil || process.Kill() != nil {
		return fmt.Errorf("kill the engine's leader, pid %d: it is gone already", l.pid)
	}
	began := time.Now()
	p.customer.reset()
	p.say("the engine's leader, pid %d, a child of the %s, killed with -9", l.pid, l.host.role)
	if err := p.register(elsewhere); err != nil {
		return err
	}
	p.sum.NameAfter = int64(time.Since(began))
	p.say("a new name, asked for at %s, is known at %s after %s", far, near, short(time.Since(began)))
	var now leader
	err = p.soon("the member is back", func() error {
		c, err := p.ask(l.host)
		if err == nil && (c.Engine.ChildPID == 0 || c.Engine.ChildPID == l.pid) {
			err = fmt.Errorf("its process is %d", c.Engine.ChildPID)
		}
		if err == nil {
			now, err = p.leads()
		}
		return err
	})
	if err != nil {
		return err
	}
	s := p.customer.look()
	p.sum.MemberAfter, p.sum.InKill = int64(time.Since(began)), int64(s.longest)
	p.say("%s has started its member again, all three are well after %s; that of %s leads, pid %d", l.host.role, short(time.Since(began)), now.host.name, now.pid)
	p.say("orders went on: the longest one took %s meanwhile", short(s.longest))
	return nil
}

// register has the customer ask for a new name, and waits until another host knows it.
func (p *reunion) register(elsewhere *globalNames) error {
	ctx, cancel := context.WithTimeout(p.ctx, fleetPatience)
	defer cancel()
	owner := names.Owner{Addr: regularAddr, Handle: 1}
	if _, err := p.customer.names.Request(ctx, newName, owner, 0); err != nil {
		return fmt.Errorf("ask for the name %q: %w", newName, err)
	}
	return p.soon("a new name at host "+near, func() error {
		list, err := elsewhere.Owners(ctx, newName)
		if err == nil && (len(list) != 1 || list[0] != owner) {
			err = fmt.Errorf("name %q: its owners are %v", newName, list)
		}
		return err
	})
}

// closeDown has the last order answered, and the shop end.
func (p *reunion) closeDown() error {
	close(p.customer.enough)
	err := p.soon("the last order answered", func() error {
		s := p.customer.look()
		select {
		case <-p.customer.bought:
			return nil
		default:
			return fmt.Errorf("%d orders answered: %w", s.orders, s.trouble)
		}
	})
	if err != nil {
		return err
	}
	p.judge(p.customer.look())
	return p.stop(secondShop)
}

// judge compares what was ordered with what was counted.
func (p *reunion) judge(s sales) {
	p.sum.Orders, p.sum.Lost, p.sum.Twice = uint64(s.orders), uint64(s.lost), uint64(s.twice)
	p.sum.PassedOn, p.sum.Repeated = uint64(s.passedOn), uint64(s.repeated)
	p.sum.P50, p.sum.P99 = int64(s.delays.quantile(0.5)), int64(s.delays.quantile(0.99))
	p.sum.Seconds = p.elapsed().Seconds()
	if s.lost > 0 {
		p.sum.fail(orders(s.lost) + " lost")
	}
	if s.twice > 0 {
		p.sum.fail(orders(s.twice) + " counted twice")
	}
}

func orders(n int64) string {
	if n == 1 {
		return "1 order"
	}
	return grouped(uint64(n)) + " orders"
}

func (p *reunion) report() {
	p.printf("\n")
	for _, f := range []figure{
		{"orders answered", p.sum.Orders}, {"lost", p.sum.Lost}, {"counted twice", p.sum.Twice},
		{"passed on by the first shop", p.sum.PassedOn}, {"asked again after an error", p.sum.Repeated},
	} {
		p.printf("%-30s %12s\n", f.what, grouped(f.n))
	}
	for _, f := range []struct {
		what string
		ns   int64
	}{
		{"an order, median", p.sum.P50}, {"an order, 99%", p.sum.P99}, {"longest, while the shop moved", p.sum.InMove},
		{"longest, after the kill", p.sum.InKill},
	} {
		p.printf("%-30s %12s\n", f.what, short(time.Duration(f.ns)))
	}
	p.printf("\n")
	p.verdict(&p.sum.Verdict, "each order counted once, while the shop moved to another host and the engine's leader was killed")
}
