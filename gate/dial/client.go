// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/frame"
)

// ErrClosed is what calls return after Close.
var ErrClosed = errors.New("dial: closed")

// A Packet is one from the gate.
type Packet struct {
	Data  []byte // the caller's
	Loose bool   // it was not numbered: one that is dropped, or replaced, while the client is slow or away. With Resume only
}

// A Client is a session at a gate. Any goroutine may call its methods.
type Client struct {
	o     Options
	ends  []endpoint
	in    chan Packet
	done  chan struct{} // closed when it is over; err says why
	close chan struct{}
	once  sync.Once
	loops sync.WaitGroup

	mu       sync.Mutex
	wake     *sync.Cond // something of the below has changed
	link     *link      // nil: there is none now
	at       int        // of ends, where link is, or which is tried
	err      error
	welcome  frame.Welcome
	epoch    uint32 // of the newest RESUME
	received uint64 // DATA packets
	sent     uint64
	kept     [][]byte // as DATA: the newest ones, not known to be accepted
	asked    uint64   // sent when a PING went last
	resumes  int
	heard    time.Time // something of the gate
}

// Dial connects and, with Options.Resume, waits until the client is let in. address is HOST:PORT, tls://HOST:PORT, ws://HOST:PORT/PATH
// or wss://HOST:PORT/PATH. ctx limits that, and not what comes later. Errors: a *frame.End says that the gate has refused; those of the
// network.
func Dial(ctx context.Context, address string, o Options) (*Client, error) {
	o = o.withDefaults()
	c := &Client{o: o, in: make(chan Packet, o.Buffered), done: make(chan struct{}), close: make(chan struct{})}
	c.wake = sync.NewCond(&c.mu)
	for _, a := range append([]string{address}, o.Others...) {
		e, err := parse(a)
		if err != nil {
			return nil, fmt.Errorf("dial: %w", err)
		}
		c.ends = append(c.ends, e)
	}
	l, err := c.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	c.link, c.heard = l, time.Now()
	c.loops.Add(1)
	go c.run(l)
	if o.Resume {
		c.loops.Add(1)
		go c.pings()
	}
	return c, nil
}

// begin makes the first connection.
func (c *Client) begin(ctx context.Context) (*link, error) {
	l, err := connect(ctx, c.ends[0], &c.o)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if !c.o.Resume {
		if c.o.Auth != nil {
			err = l.write(c.o.Auth)
		}
	} else if err = l.write(frame.AppendAuth(nil, &frame.Auth{User: c.o.Auth})); err == nil {
		var b []byte
		if b, err = l.read(); err == nil {
			c.welcome, err = welcomed(b)
			c.epoch = c.welcome.Epoch
		}
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func welcomed(b []byte) (frame.Welcome, error) {
	if k, _ := frame.KindOf(b); k == frame.KindRefused || k == frame.KindKicked {
		e, err := frame.ParseEnd(b)
		if err == nil {
			err = &e
		}
		return frame.Welcome{}, err
	}
	return frame.ParseWelcome(b)
}

// Session returns the address of the session's home and its number there; zero without Resume.
func (c *Client) Session() (home addr.Addr, id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return addr.Addr(c.welcome.Home), c.welcome.ID
}

// Resumes returns how often a lost connection was made again.
func (c *Client) Resumes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resumes
}

// Done is closed when the client is at its end: Err says why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the client is at its end, nil if it is not. A *frame.End is what the gate has said.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Recv returns the next packet. When the client is at its end, packets that have come before are returned first, then Err.
func (c *Client) Recv(ctx context.Context) (Packet, error) {
	select {
	case p, ok := <-c.in:
		if !ok {
			return Packet{}, c.Err()
		}
		return p, nil
	case <-ctx.Done():
		return Packet{}, context.Cause(ctx)
	}
}

// Send sends a packet, a copy of it with Resume. With Resume it is accepted once by the gate, also if the connection is lost, or is lost just now, unless the session
// ends; Send waits while Options.Window is full. Without, it waits while the network does. Errors: Err; ctx's cause, then it is not sent, but of
// a Client without Resume part of it may be.
func (c *Client) Send(ctx context.Context, packet []byte) error {
	if !c.o.Resume {
		return c.sendPlain(ctx, packet)
	}
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.wake.Broadcast()
	})
	defer stop()
	c.mu.Lock()
	for c.err == nil && ctx.Err() == nil && len(c.kept) >= c.o.Window {
		c.wake.Wait()
	}
	if c.err != nil || ctx.Err() != nil {
		defer c.mu.Unlock()
		if c.err != nil {
			return c.err
		}
		return context.Cause(ctx)
	}
	data := frame.AppendData(make([]byte, 0, frame.DataHead+len(packet)), packet)
	c.kept = append(c.kept, data)
	c.sent++
	out := [][]byte{data}
	if c.sent-c.asked >= uint64(max(c.o.Window/4, 1)) { // so that Window is not full while the gate has them all
		out = append(out, frame.AppendPing(nil, [8]byte{}))
		c.asked = c.sent
	}
	l := c.link
	if l == nil { // the next connection sends it
		c.mu.Unlock()
		return nil
	}
	l.wmu.Lock() // before mu is free: in the order of numbers
	c.mu.Unlock()
	err := l.writeLocked(out...)
	l.wmu.Unlock()
	if err != nil {
		l.close() // run sees it, and the next connection sends the packet
	}
	return nil
}

func (c *Client) sendPlain(ctx context.Context, packet []byte) error {
	c.mu.Lock()
	l, err := c.link, c.err
	c.mu.Unlock()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetWriteDeadline(time.Unix(1, 0)) })
	err = l.write(packet)
	if !stop() && err != nil {
		return context.Cause(ctx)
	}
	return err
}

// Cut loses the connection, as if the network had: for tests.
func (c *Client) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		c.link.close()
	}
}

// Close ends the session and the connection. Packets that were sent just before may not be accepted any more. It waits until all is over.
func (c *Client) Close() error {
	c.once.Do(func() {
		c.mu.Lock()
		l := c.link
		c.mu.Unlock()
		if l != nil && c.o.Resume {
			_ = l.conn.SetWriteDeadline(time.Now().Add(time.Second))
			_ = l.write(frame.AppendBye(nil))
		}
		close(c.close)
		c.finish(ErrClosed)
		if l != nil {
			l.close()
		}
	})
	c.loops.Wait()
	return nil
}

// finish notes why it is over. Only the first counts.
func (c *Client) finish(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		close(c.done)
		c.wake.Broadcast()
	}
}

// run reads connection after connection.
func (c *Client) run(l *link) {
	defer c.loops.Done()
	defer close(c.in)
	for {
		err := c.serve(l)
		l.close()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
			if !c.o.Resume {
				err = io.EOF
			}
		}
		c.mu.Lock()
		c.link = nil
		over := c.err
		c.mu.Unlock()
		if over == nil && c.o.Resume && mayCome(err) {
			c.tell(false, err)
			if l, err = c.again(err); err == nil {
				c.tell(true, nil)
				continue
			}
		}
		c.finish(err)
		return
	}
}

func (c *Client) tell(connected bool, why error) {
	if c.o.OnState != nil {
		c.o.OnState(connected, why)
	}
}

// mayCome reports whether a client comes back after such an end of its connection.
func mayCome(err error) bool {
	var e *frame.End
	if errors.As(err, &e) {
		a := e.Code.Advice()
		return a == frame.Come || a == frame.ComeNow
	}
	return true
}

// serve reads one connection to its end.
func (c *Client) serve(l *link) error {
	for {
		b, err := l.read()
		if err != nil {
			return err
		}
		p := Packet{Data: b}
		if c.o.Resume {
			if p, err = c.take(b); err != nil {
				return err
			}
			if p.Data == nil {
				continue
			}
		}
		p.Data = append(make([]byte, 0, len(p.Data)), p.Data...)
		select {
		case c.in <- p:
		case <-c.close:
			return ErrClosed
		}
		if c.o.Resume && !p.Loose {
			c.mu.Lock()
			c.received++
			c.mu.Unlock()
		}
	}
}

// take reads a packet of the protocol; Data is nil if it is none of the program.
func (c *Client) take(b []byte) (Packet, error) {
	c.mu.Lock()
	c.heard = time.Now()
	c.mu.Unlock()
	kind, err := frame.KindOf(b)
	if err != nil {
		return Packet{}, err
	}
	switch kind {
	case frame.KindData, frame.KindLoose:
		user, err := frame.User(b)
		if user == nil {
			user = []byte{}
		}
		return Packet{Data: user, Loose: kind == frame.KindLoose}, err
	case frame.KindPong:
		p, err := frame.ParsePong(b)
		if err == nil {
			err = c.accepted(p.Accepted)
		}
		return Packet{}, err
	case frame.KindRefused, frame.KindKicked:
		e, err := frame.ParseEnd(b)
		if err == nil {
			err = &e
		}
		return Packet{}, err
	}
	return Packet{}, fmt.Errorf("the gate has sent %v here: %w", kind, frame.ErrMalformed)
}

// accepted forgets packets of which the gate says that it has them.
func (c *Client) accepted(n uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.sent - uint64(len(c.kept))
	if n > c.sent {
		return fmt.Errorf("the gate has accepted %d packets, of %d that were sent: %w", n, c.sent, frame.ErrMalformed)
	}
	if n > first {
		c.kept = append([][]byte(nil), c.kept[n-first:]...)
		c.wake.Broadcast()
	}
	return nil
}

// again makes a new connection, and resumes. It tries until Patience is over; the error is that of the last attempt.
func (c *Client) again(why error) (*link, error) {
	patience := c.o.Patience
	if patience == 0 {
		patience = max(time.Duration(c.welcome.Seconds)*time.Second, 10*time.Second)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() {
		select {
		case <-c.close:
			cancel()
		case <-ctx.Done():
		}
	}()
	pause := c.o.Min
	for n := 0; ; n++ {
		var e *frame.End
		now := errors.As(why, &e) && e.Code.Advice() == frame.ComeNow && n < 3
		if n > 0 && !now || n == 0 && e != nil && !now {
			if !rest(ctx, pause/2+rand.N(pause)) {
				return nil, why
			}
			pause = min(2*pause, c.o.Max)
		}
		l, err := c.attempt(ctx)
		if err == nil {
			return l, nil
		}
		if ctx.Err() != nil {
			return nil, why
		}
		if why = err; !mayCome(err) {
			return nil, err
		}
		c.at = (c.at + 1) % len(c.ends)
	}
}

func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// attempt makes one connection, resumes, and sends what was not accepted.
func (c *Client) attempt(ctx context.Context) (*link, error) {
	l, err := connect(ctx, c.ends[c.at], &c.o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Handshake)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })
	c.mu.Lock()
	c.epoch++
	r := frame.Resume{Home: c.welcome.Home, ID: c.welcome.ID, Epoch: c.epoch, Received: c.received}
	c.mu.Unlock()
	var b []byte
	if err = l.write(frame.AppendResume(nil, &r, c.welcome.Key[:])); err == nil {
		b, err = l.read()
	}
	if err == nil {
		err = c.resumed(l, b, r.Epoch)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// resumed reads the answer of a RESUME and, if that is a RESUMED, goes on.
func (c *Client) resumed(l *link, b []byte, epoch uint32) error {
	if k, _ := frame.KindOf(b); k != frame.KindResumed {
		if _, err := welcomed(b); err != nil {
			return err
		}
		return fmt.Errorf("the gate answers a RESUME with %v: %w", k, frame.ErrMalformed)
	}
	r, err := frame.ParseResumed(b)
	if err != nil {
		return err
	}
	if r.Epoch != epoch {
		return fmt.Errorf("the gate answers with epoch %d, want %d: %w", r.Epoch, epoch, frame.ErrMalformed)
	}
	if err := c.accepted(r.Accepted); err != nil {
		return err
	}
	c.mu.Lock()
	again := append([][]byte(nil), c.kept...)
	if c.err != nil {
		defer c.mu.Unlock()
		return c.err
	}
	c.link, c.heard = l, time.Now()
	c.resumes++
	l.wmu.Lock() // what Send sends from now on comes behind
	c.mu.Unlock()
	go func() { // the gate may be sending meanwhile, and somebody has to read that
		defer l.wmu.Unlock()
		if err := l.writeLocked(again...); err != nil {
			l.close()
		}
	}()
	return nil
}

// pings asks the gate for signs of life, and ends connections without.
func (c *Client) pings() {
	defer c.loops.Done()
	t := time.NewTicker(c.o.Ping)
	defer t.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-t.C:
		}
		c.mu.Lock()
		l, silent := c.link, time.Since(c.heard)
		c.asked = c.sent
		c.mu.Unlock()
		switch {
		case l == nil:
		case silent > 3*c.o.Ping && len(c.in) < cap(c.in): // a caller that does not Recv is not the gate's silence
			l.close()
		default:
			go func() { _ = l.write(frame.AppendPing(nil, [8]byte{})) }() // may wait behind a Send
		}
	}
}
