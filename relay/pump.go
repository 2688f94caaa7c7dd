// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/relay/link"
	"github.com/skybus-io/skybus/route"
)

const (
	hotPolls = 4           // empty polls after which a lane has to ring the bell
	upkeep   = time.Second // between two looks at routes and silent lanes
)

// A lane leads to another host. Source and stream are guarded by its conn's mu.
type lane struct {
	channel.RelayLane
	source  *channel.Source
	rule    route.Rule
	conn    *conn // nil while no route leads anywhere
	stream  *link.Stream
	retry   time.Time // when a stream that was refused is opened again
	refusal string

	hot   bool // the pump's: it is polled
	polls int  // the pump's: in vain
}

// isRemote is what senders of this process's table are told, and what Reroute goes by.
func (d *Daemon) isRemote(a addr.Addr) (bool, error) { return IsRemote(d.view, a) }

// IsRemote says whether the routes place an address on another host; where there
// are none it is here.
func IsRemote(v *route.View, a addr.Addr) (bool, error) {
	t, err := v.Table()
	if errors.Is(err, route.ErrNoTable) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	m, ok := t.Lookup(a)
	return ok && !m.Local, nil
}

// pump moves what senders here have sent to the connections, and what receivers
// here have released back to where it came from. It is one goroutine.
func (d *Daemon) pump() {
	defer d.done.Done()
	bell := d.relay.Bell()
	bell.Reset()
	episode := rand.Uint32()
	next := time.Now().Add(upkeep)
	for turns := 0; d.ctx.Err() == nil; turns++ {
		count := bell.Count()
		busy := d.turn()
		if turns%1024 == 0 || !busy {
			if now := time.Now(); now.After(next) || d.wantsReload() {
				next = now.Add(upkeep)
				d.turned.Store(d.now())
				d.upkeep(now)
			}
		}
		if busy {
			continue
		}
		if len(d.hot) > 0 { // what was busy is likely to go on at once
			sys.Pause(8)
			if turns%64 == 0 {
				runtime.Gosched()
			}
			continue
		}
		if episode++; episode == 0 {
			episode++
		}
		bell.Sleep(episode)
		if d.relay.Quiet() && !d.hasWoken() && d.ctx.Err() == nil {
			bell.Wait(count, time.Until(next))
		}
		bell.Awake(episode)
	}
}

func (d *Daemon) hasWoken() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.woken) > 0 || d.reload
}

func (d *Daemon) wantsReload() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.reload
	d.reload = false
	return r
}

// turn looks once at everything that may have something new, and reports whether
// anything had.
func (d *Daemon) turn() (busy bool) {
	d.relay.News(func(slot uint32) {
		busy = true
		d.news(slot)
	})
	if d.anyWoken.Load() {
		d.mu.Lock()
		woken := d.woken
		d.woken = nil
		d.anyWoken.Store(false)
		d.mu.Unlock()
		for _, l := range woken {
			d.heat(l)
		}
	}
	kept := d.hot[:0]
	for _, l := range d.hot {
		ready, stays := d.poll(l)
		if ready {
			busy = true
			d.touch(l.conn)
		}
		if stays {
			kept = append(kept, l)
		}
	}
	clear(d.hot[len(kept):])
	d.hot = kept
	for i, c := range d.touched {
		c.touched = false
		c.flush()
		d.touched[i] = nil
	}
	d.touched = d.touched[:0]
	return busy
}

// touch has the turn end with a flush of c.
func (d *Daemon) touch(c *conn) {
	if !c.touched {
		c.touched = true
		d.touched = append(d.touched, c)
	}
}

// news takes care of a bit that came up.
func (d *Daemon) news(slot uint32) {
	if l := d.lanes[slot]; l != nil {
		d.heat(l)
		return
	}
	d.mu.Lock()
	i, ok := d.inbound[slot]
	d.mu.Unlock()
	if ok {
		i.c.mu.Lock()
		if i.c.sess != nil {
			i.c.sess.Touch(i.in, d.now())
		}
		i.c.mu.Unlock()
		d.touch(i.c)
		return
	}
	rl, ok := d.relay.Find(slot)
	if !ok || rl.Mirror { // of nobody, or of a link that is down: whoever takes it up reads its state
		d.relay.Cool(slot)
		return
	}
	d.addLane(rl)
}

func (d *Daemon) heat(l *lane) {
	l.polls = 0
	if !l.hot {
		l.hot = true
		d.hot = append(d.hot, l)
	}
}

// poll looks whether a lane has something to send. A lane that has had nothing for
// long is cooled: its sender rings again. One that waits for the far side is
// left alone until Woken.
func (d *Daemon) poll(l *lane) (ready, stays bool) {
	c := l.conn
	if c == nil {
		l.hot = false
		return false, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	st := l.stream
	switch {
	case l.conn != c || c.sess == nil || st == nil || st.Stalled():
		l.hot = false
		return false, false
	case c.busy && st.Ready(): // whoever writes goes on with it, and gives it back
		c.sess.Wake(st)
		c.lent = append(c.lent, l)
		l.hot = false
		return false, false
	case st.Ready():
		l.polls = 0
		c.sess.Wake(st)
		return true, true
	}
	if now := d.now(); l.source.Held() {
		if at := c.sess.Hold(st, now); at > 0 {
			c.arm(min(at, c.timed), now)
		}
	}
	if l.polls++; l.polls < hotPolls {
		return false, true
	}
	d.relay.Cool(l.Slot)
	if l.hot = st.Ready(); l.hot { // it came before the bit was cleared
		c.sess.Wake(st)
		l.polls = 0
	}
	return l.hot, l.hot
}

// addLane takes up a lane to another host.
func (d *Daemon) addLane(rl channel.RelayLane) {
	source, err := d.relay.Source(rl.Pair)
	if errors.Is(err, channel.ErrNoRoute) {
		d.relay.Cool(rl.Slot) // it is being made, or its maker died: upkeep looks again
		return
	}
	if err != nil {
		d.log.Error("a lane cannot be read", "lane", d.c.Table.FormatPair(rl.Pair), "error", err.Error())
		d.relay.Cool(rl.Slot)
		return
	}
	l := &lane{RelayLane: rl, source: source}
	d.lanes[rl.Slot] = l
	d.place(l)
	d.heat(l)
}

// place gives a lane the connection that the routes say.
func (d *Daemon) place(l *lane) {
	c, rule := d.connFor(l.Pair)
	if c == l.conn && rule == l.rule {
		return
	}
	if old := l.conn; old != nil {
		old.mu.Lock()
		if l.stream != nil && old.sess != nil {
			old.sess.Shut(l.stream)
		}
		l.stream, l.conn = nil, nil
		delete(old.lanes, l)
		old.mu.Unlock()
		old.flush()
	}
	l.rule = rule
	if c == nil {
		d.log.Warn("no host for a lane", "lane", d.c.Table.FormatPair(l.Pair))
		return
	}
	c.mu.Lock()
	l.conn = c
	c.lanes[l] = true
	c.openLocked(l)
	c.mu.Unlock()
	c.flush()
}

// connFor returns the connection that carries a lane: all of its frames go over
// the same one (L10).
func (d *Daemon) connFor(p channel.Pair) (*conn, route.Rule) {
	t, err := d.view.Table()
	if err != nil {
		return nil, route.Rule{}
	}
	m, ok := t.Lookup(p.Dst)
	if !ok || m.Local {
		return nil, route.Rule{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	pr := d.links[m.Rule.Host]
	if pr == nil {
		return nil, m.Rule
	}
	return pr.conns[ConnectionOf(p, len(pr.conns))], m.Rule
}

// upkeep does what need not be done at once.
func (d *Daemon) upkeep(now time.Time) {
	d.applyRoutes()
	for _, rl := range d.relay.Lanes() { // also those of senders that died before they rang
		if l := d.lanes[rl.Slot]; l == nil && !rl.Mirror {
			d.addLane(rl)
		}
	}
	for _, l := range d.lanes {
		c := l.conn
		if c == nil {
			continue
		}
		c.mu.Lock()
		if l.stream == nil && c.sess != nil && now.After(l.retry) {
			c.openLocked(l)
		}
		cold := !l.hot && l.stream != nil && l.stream.Ready()
		c.mu.Unlock()
		if cold {
			d.heat(l)
		}
		c.flush()
	}
	d.mu.Lock()
	lists := map[*conn][]*link.Inbound{}
	for _, i := range d.inbound {
		lists[i.c] = append(lists[i.c], i.in)
	}
	d.mu.Unlock()
	for c, list := range lists {
		c.mu.Lock()
		if c.sess != nil {
			for _, in := range list {
				if k, ok := in.Sink().(*channel.Sink); ok {
					k.GiveBack(now)
				}
			}
			c.sess.Sweep(d.now())
		}
		c.mu.Unlock()
		c.flush()
	}
}

var noRoutes = &route.Table{}

// applyRoutes makes links and lanes what the routes say.
func (d *Daemon) applyRoutes() {
	t, err := d.view.Table()
	if err != nil && !errors.Is(err, route.ErrNoTable) {
		d.log.Error("the routes cannot be read: the last ones stay", "error", err.Error())
		return
	}
	if t == nil {
		t = noRoutes
	}
	d.mu.Lock()
	changed := d.routes != t
	d.routes = t
	d.mu.Unlock()
	if !changed {
		return
	}
	d.linkTo(t)
	for _, err := range d.relay.Reroute(d.letGo) {
		d.log.Warn("a lane does not follow the routes", "error", err.Error())
	}
	for _, l := range d.lanes {
		d.place(l)
	}
	d.log.Info("routes are in force", "key", d.c.RelayKey, "generation", t.Generation, "rules", len(t.Rules), "hosts", len(t.Hosts))
}

// linkTo makes a link to each host that the routes have, and ends others.
func (d *Daemon) linkTo(t *route.Table) {
	want := map[string]route.Host{}
	for _, h := range t.Hosts {
		if h.Name != d.c.Host && h.Name != t.Self && h.Address != "" {
			want[h.Name] = h
		}
	}
	d.mu.Lock()
	var over []*peer
	for name, p := range d.links {
		if h, ok := want[name]; !ok || h != p.Host {
			over = append(over, p)
			delete(d.links, name)
		}
	}
	for name, h := range want {
		if d.links[name] == nil {
			d.links[name] = d.newPeer(h)
		}
	}
	d.mu.Unlock()
	for _, p := range over {
		for _, l := range d.lanes {
			if l.conn != nil && l.conn.host == p.Name {
				d.place(l)
			}
		}
		p.stop()
	}
}

func (d *Daemon) newPeer(h route.Host) *peer {
	n := max(d.c.Connections[h.Name], 1)
	p := &peer{Host: h}
	ctx, stop := context.WithCancel(d.ctx)
	p.stop = stop
	for i := range n {
		c := &conn{d: d, host: h.Name, number: i, of: n, dials: true, addr: h.Address, lanes: map[*lane]bool{}, state: stateConnecting}
		p.conns = append(p.conns, c)
		d.done.Add(1)
		go c.dial(ctx)
	}
	return p
}

// letGo ends the use of a lane that is turned.
func (d *Daemon) letGo(p channel.Pair) {
	for slot, l := range d.lanes {
		if l.Pair != p {
			continue
		}
		if c := l.conn; c != nil {
			c.mu.Lock()
			if l.stream != nil && c.sess != nil {
				c.sess.Shut(l.stream)
			}
			l.stream, l.conn = nil, nil
			delete(c.lanes, l)
			c.mu.Unlock()
			c.flush()
		}
		l.source.Close()
		delete(d.lanes, slot)
		return
	}
	d.mu.Lock()
	var of inboundLane
	for _, i := range d.inbound {
		if i.in.Src == p.Src && i.in.Dst == p.Dst {
			of = i
		}
	}
	d.mu.Unlock()
	if of.c != nil {
		of.c.mu.Lock()
		if of.c.sess != nil {
			of.c.sess.Dismiss(of.in)
		}
		of.c.mu.Unlock()
		of.c.flush()
	}
}
