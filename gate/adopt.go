// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/vault"
	"github.com/skybus-io/skybus/node"
)

// startHome binds an address and goes on with the sessions that have it as their home.
func (g *Gate) startHome(at addr.Addr, cfg node.Config) (*home, error) {
	h := &home{
		g: g, addr: at, begun: make(chan error, 1), started: make(chan struct{}), sessions: map[uint64]*session{}, groups: map[string]*group{},
		bound: map[pid]map[*session]struct{}{}, watches: map[pid]*monitor{}, names: map[Target]*farName{},
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	cfg.Services = append(cfg.Services[:len(cfg.Services):len(cfg.Services)], h.spec())
	n, err := node.Start(g.d, at, cfg)
	if err != nil {
		h.stop()
		h.abandon()
		return nil, err
	}
	h.n = n
	close(h.started)
	if err = <-h.begun; err == nil && g.cfg.Resume != nil {
		h.door, err = openDoor(h)
	}
	if err != nil {
		h.stop()
		n.Close()
		h.abandon()
		return nil, err
	}
	return h, nil
}

// abandon closes the vault of a home whose node has not started, or has ended.
func (h *home) abandon() {
	h.mails.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.v != nil {
		h.v.Close()
	}
}

// errOwn is the answer of a gate whose own home it is that is asked for.
var errOwn = errors.New("another gate has it as its own")

// reclaim starts the own home. If another gate has adopted it, that is asked to give it back; one that is only about to adopt it has
// no door yet, and is asked again.
func (g *Gate) reclaim(at addr.Addr) (*home, error) {
	var asked error
	for n := 0; ; n++ { // counted, for a machine that stands still meanwhile
		h, err := g.startHome(at, g.cfg.Node)
		switch {
		case err == nil || !errors.Is(err, skybus.ErrInUse) && !errors.Is(err, vault.ErrInUse) || g.cfg.Resume == nil:
			return h, err
		case errors.Is(asked, errOwn), n == int(givePatience/reclaimPauses):
			if asked != nil {
				err = fmt.Errorf("%w; and nobody gives it back: %w", err, asked)
			}
			return nil, err
		}
		if n == 0 {
			g.log.Info("the home is in use: whoever has it is asked to give it back", "home", at)
		}
		asked = g.askBack(at)
		time.Sleep(reclaimPauses)
	}
}

// askBack asks whoever has adopted a home to give it back, and returns when it has.
func (g *Gate) askBack(at addr.Addr) error {
	c, err := g.knock(at)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(givePatience))
	if _, err := c.Write([]byte{doorGive}); err != nil {
		return err
	}
	return done(c)
}

func (g *Gate) isOwn(h *home) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return h == g.own
}

// giveBack ends an adopted home: its clients come again, and find it where it was. false: it is not adopted yet, or not any more.
func (g *Gate) giveBack(h *home) bool {
	g.mu.Lock()
	if h == g.own || g.homes[h.addr] != h || g.closed {
		g.mu.Unlock()
		return false
	}
	g.loops.Add(1) // Close waits
	defer g.loops.Done()
	delete(g.homes, h.addr)
	// It is not to be adopted again before its gate has bound it.
	g.resting[h.addr] = rest{until: time.Now().Add(givePatience), binds: g.d.Table().Binds(h.addr)}
	g.mu.Unlock()
	g.log.Info("a home is given back", "home", h.addr)
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.Grace)
	defer cancel()
	h.leave(frame.CodeMoved, "another process takes the session over")
	h.wait(ctx)
	_ = h.end(ctx, false) // what is left, the lanes and the vault have
	g.count.given.Add(1)
	return true
}

// adopt looks after the homes of other gates, until the gate is closed.
func (g *Gate) adopt() {
	defer g.loops.Done()
	t := time.NewTicker(adoptEach)
	defer t.Stop()
	for {
		select {
		case <-g.closing:
			return
		case <-t.C:
		}
		for _, at := range g.cfg.Adopt {
			if g.orphaned(at) {
				g.adoptOne(at)
			}
		}
	}
}

// orphaned reports whether nobody has a home whose sessions may be alive.
func (g *Gate) orphaned(at addr.Addr) bool {
	g.mu.Lock()
	_, mine := g.homes[at]
	r, rests := g.resting[at]
	if rests && (r.binds != g.d.Table().Binds(at) || time.Now().After(r.until)) {
		delete(g.resting, at)
		rests = false
	}
	g.mu.Unlock()
	if mine || rests || !vault.Exists(g.d.Table().Folder(), at) {
		return false
	}
	info, known := g.d.Table().Endpoint(at)
	return known && !info.Bound
}

// A rest is a time in which a home that was given back is left to its gate: until that has bound the address, which the count of binds
// tells, also if it has died again.
type rest struct {
	until time.Time
	binds uint64
}

func (g *Gate) adoptOne(at addr.Addr) {
	cfg := node.Config{
		Actor: g.cfg.Node.Actor, Codec: g.cfg.Node.Codec, Cluster: g.cfg.Node.Cluster, Patience: g.cfg.Node.Patience, Wait: g.cfg.Node.Wait, Log: g.cfg.Node.Log,
	}
	h, err := g.startHome(at, cfg)
	if err != nil {
		if !errors.Is(err, skybus.ErrInUse) {
			g.log.Warn("a home cannot be adopted", "home", at, "err", err)
		}
		return
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		_ = h.end(context.Background(), false)
		return
	}
	g.homes[at] = h
	g.mu.Unlock()
	g.count.adopted.Add(1)
	g.log.Info("a home is adopted", "home", at)
}

// leave has the clients of a home go: with Resume they may come again, else their sessions end.
func (h *home) leave(code frame.Code, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, s := range h.sessions {
		if h.v == nil {
			h.endLocked(s, code, text)
			continue
		}
		if l := s.link; l != nil {
			s.link = nil
			h.going = append(h.going, l)
			l.finish(frame.KindKicked, code, text)
			h.awayLocked(s)
		}
	}
}

// wait returns when the connections that had to go are over, or ctx is; then they are cut.
func (h *home) wait(ctx context.Context) {
	h.mu.Lock()
	going := h.going
	h.going = nil
	h.mu.Unlock()
	for _, l := range going {
		stop := context.AfterFunc(ctx, func() { l.conn.Kick(errClosed) })
		l.over.Wait()
		stop()
	}
}

// end closes a home that its clients have left. What is not handled stays in the lanes.
func (h *home) end(ctx context.Context, orderly bool) error {
	if h.door != nil {
		h.door.close() // while the address is bound: the next to bind it makes a door of its own
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		h.mails.Wait()
	}()
	select { // services are to hear what has happened
	case <-sent:
	case <-ctx.Done():
	}
	h.stop()
	<-sent
	h.shares.Wait()
	h.asks.Wait()
	var err error
	if orderly {
		err = h.n.Shutdown(ctx)
	} else {
		h.n.Close()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.v != nil {
		h.v.Close()
	}
	return err
}
