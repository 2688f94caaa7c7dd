// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/cluster"
)

// ErrNoElections means that the node knows of no elections: its Config.Elections is nil.
var ErrNoElections = errors.New("the node is in no elections: Config.Elections is nil")

// LeadershipLost says that a service does not lead any more, and has not resigned. It comes as actor.KindNotice to
// the service that has led. Until it has come the service may have written as a leader that it was not any more: what
// that must not do, the token has to guard (cluster.Guard).
type LeadershipLost struct {
	Name  string
	Token uint64
	Err   error // why: cluster.ErrLeaseLost, for example
}

// CampaignFrom has the handler's service campaign for a name, and returns when it leads: until then the service does other
// things. value is what the others are told of it. When the service ends it resigns, and gives up a campaign under way
// (Runtime.Stop waits for that, Kill does not); of a leadership that is lost before that it hears by LeadershipLost. A process campaigns once for a name at a time,
// whichever of its services does. A hot restart ends leaderships: services campaign anew, and if the program has not
// closed its Elections before, nobody leads until the lease that was has run out. Errors: those of
// Elections.Campaign; ErrNoElections.
func (n *Node) CampaignFrom(c *actor.Context, name, value string) (*cluster.Leadership, error) {
	if n.cfg.Elections == nil {
		return nil, fmt.Errorf("election %q: %w", name, ErrNoElections)
	}
	self := c.Self()
	return await(n, c, func(ctx context.Context) (*cluster.Leadership, error) { return n.campaign(ctx, self, name, value) })
}

// campaign is over with the service at the latest.
func (n *Node) campaign(ctx context.Context, self actor.PID, name, value string) (*cluster.Leadership, error) {
	ctx, cancel := context.WithCancel(ctx)
	id := n.holdings.watch(self.Handle, cancel)
	if !n.isMine(self) { // it ended before that, and was not told
		cancel()
	}
	l, err := n.cfg.Elections.Campaign(ctx, name, value)
	if err != nil {
		n.holdings.unwatch(self.Handle, id)
		return nil, err
	}
	n.done.Go(func() {
		defer n.holdings.unwatch(self.Handle, id)
		n.lead(ctx, self, l)
	})
	return l, nil
}

// lead stays with a leadership to its end.
func (n *Node) lead(ctx context.Context, self actor.PID, l *cluster.Leadership) {
	select {
	case <-ctx.Done():
		n.resign(self, l)
	case <-l.Lost():
		if errors.Is(l.Err(), cluster.ErrResigned) {
			return
		}
		err := n.rt.Deliver(self, actor.Message{Kind: actor.KindNotice, Value: LeadershipLost{l.Name(), l.Token(), l.Err()}})
		if err != nil && !errors.Is(err, actor.ErrNoService) && ctx.Err() == nil {
			n.cfg.Log.Error("a service was not told that it leads no more", "service", self, "election", l.Name(), "err", err)
		}
	}
}

// resign gives up what a service has led that has ended. What the engine does not hear of in time it finds out.
func (n *Node) resign(self actor.PID, l *cluster.Leadership) {
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.Patience)
	defer cancel()
	if err := l.Resign(ctx); err != nil && !errors.Is(err, cluster.ErrClosed) {
		n.cfg.Log.Warn("a service that has ended leads until its lease is over", "service", self, "election", l.Name(), "err", err)
	}
}
