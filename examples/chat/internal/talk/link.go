// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/skybus-io/skybus/gate/dial"
	"github.com/skybus-io/skybus/gate/frame"
)

const (
	firstPause = 100 * time.Millisecond // before a session is begun anew, doubled each time
	mostPause  = 2 * time.Second
	beat       = 2 * time.Second
)

// A Link keeps a talker at a gate: a connection that is lost is resumed, and where that is not possible any more a new session
// begins. Any goroutine may use it.
type Link struct {
	gate   string
	t      *Talker
	cancel context.CancelFunc
	done   chan struct{}
	err    error // why it is over, once done is closed

	mu      sync.Mutex
	c       *dial.Client
	resumed uint64 // of the sessions before
}

// Connect connects a talker with the gate at HOST:PORT, or ws://HOST:PORT/PATH. ctx limits the first connection. Errors: those of dial.Dial.
func Connect(ctx context.Context, gate string, t *Talker) (*Link, error) {
	live, cancel := context.WithCancel(context.Background())
	l := &Link{gate: gate, t: t, cancel: cancel, done: make(chan struct{})}
	c, err := l.dial(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	go l.run(live, c)
	return l, nil
}

func (l *Link) dial(ctx context.Context) (*dial.Client, error) {
	who, err := json.Marshal(map[string]string{"name": l.t.Name()})
	if err != nil {
		return nil, err
	}
	c, err := dial.Dial(ctx, l.gate, dial.Options{Auth: who, Resume: true, Ping: beat})
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.c != nil {
		l.resumed += uint64(l.c.Resumes())
	}
	l.c = c
	return c, nil
}

// run has one session after the other.
func (l *Link) run(ctx context.Context, c *dial.Client) {
	defer close(l.done)
	for {
		err := l.session(ctx, c)
		if ctx.Err() != nil {
			return
		}
		var end *frame.End
		if errors.As(err, &end) && end.Code.Advice() == frame.GiveUp {
			l.err = err
			return
		}
		if c = l.anew(ctx); c == nil {
			return
		}
	}
}

// anew begins another session as soon as a gate lets it; nil: ctx is over.
func (l *Link) anew(ctx context.Context) *dial.Client {
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		if c, err := l.dial(ctx); err == nil {
			return c
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// session gives the talker what comes, until that ends.
func (l *Link) session(ctx context.Context, c *dial.Client) error {
	out := newPipe()
	var sending sync.WaitGroup
	sending.Go(func() { out.run(ctx, c) })
	defer sending.Wait()
	defer c.Close()
	defer out.close()
	l.t.Begun(out)
	for {
		p, err := c.Recv(ctx)
		if err != nil {
			return err
		}
		l.t.Hear(p.Data)
	}
}

// Close ends the session.
func (l *Link) Close() {
	l.cancel()
	<-l.done
}

// Done is closed when the link is at its end: Err says why, nil after Close.
func (l *Link) Done() <-chan struct{} { return l.done }

// Err returns why the link is at its end.
func (l *Link) Err() error {
	select {
	case <-l.done:
		return l.err
	default:
		return nil
	}
}

// Gate returns the gate's address.
func (l *Link) Gate() string { return l.gate }

// Resumed returns how often a lost connection was resumed.
func (l *Link) Resumed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.resumed + uint64(l.c.Resumes())
}

// Cut loses the connection, as a network would.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.c.Cut()
}

// A pipe sends packets of a session in a goroutine of its own: the talker, which is locked meanwhile, does not wait for the
// network.
type pipe struct {
	mu    sync.Mutex
	queue [][]byte
	over  bool
	more  chan struct{} // has a token when something is in the queue, or it is over
}

func newPipe() *pipe { return &pipe{more: make(chan struct{}, 1)} }

// Send is Line's.
func (p *pipe) Send(packet []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return false
	}
	p.queue = append(p.queue, packet)
	p.wake()
	return true
}

func (p *pipe) wake() {
	select {
	case p.more <- struct{}{}:
	default:
	}
}

func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.wake()
}

func (p *pipe) run(ctx context.Context, c *dial.Client) {
	for range p.more {
		p.mu.Lock()
		list, over := p.queue, p.over
		p.queue = nil
		p.mu.Unlock()
		if over {
			return
		}
		for _, packet := range list {
			if c.Send(ctx, packet) != nil {
				p.mu.Lock()
				p.over = true // the next session hears of what is missing
				p.mu.Unlock()
				return
			}
		}
	}
}
