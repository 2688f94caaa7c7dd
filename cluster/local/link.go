// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// errBroken means that the connection has ended before the answer came.
var errBroken = errors.New("the connection to the cluster engine broke")

// A link is one connection of a Client: requests go out as they come, answers find those
// who wait by their number.
type link struct {
	c      net.Conn
	life   uint64
	term   uint64        // of a replica's leases
	host   string        // of a replica
	broken chan struct{} // closed at its end

	wmu sync.Mutex // of writing

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan *frame // nil once broken
	heard   time.Time
	err     error // why it broke
}

// greet makes a link of a connection: hello goes out and its answer is awaited. r belongs to
// who reads from now on.
func greet(c net.Conn, hello frame, patience time.Duration) (l *link, r *bufio.Reader, err error) {
	_ = c.SetDeadline(time.Now().Add(patience))
	buf, err := appendFrame(nil, &hello)
	if err != nil {
		return nil, nil, err
	}
	if _, err := c.Write(buf); err != nil {
		return nil, nil, err
	}
	r = bufio.NewReader(c)
	n, err := readLength(r)
	if err != nil {
		return nil, nil, fmt.Errorf("no answer to hello: %w", err)
	}
	a, err := readBody(r, n)
	if err != nil {
		return nil, nil, err
	}
	if err := a.failure(); err != nil {
		return nil, nil, err
	}
	_ = c.SetDeadline(time.Time{})
	return &link{c: c, life: a.Life, term: a.Term, host: a.Host, broken: make(chan struct{}), waiting: map[uint64]chan *frame{}, heard: time.Now()}, r, nil
}

// read hands answers out until the connection ends, or is silent for patience.
func (l *link) read(r *bufio.Reader, patience time.Duration) {
	for {
		_ = l.c.SetReadDeadline(time.Now().Add(patience))
		n, err := readLength(r)
		var a *frame
		if err == nil {
			a, err = readBody(r, n)
		}
		if err != nil {
			l.end(err)
			return
		}
		l.mu.Lock()
		l.heard = time.Now()
		got := l.waiting[a.ID]
		delete(l.waiting, a.ID)
		l.mu.Unlock()
		if got != nil { // or its asker has given up
			got <- a
		}
	}
}

// end breaks the link, once.
func (l *link) end(err error) {
	l.c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting != nil {
		l.waiting, l.err = nil, err
		close(l.broken)
	}
}

// ping asks for numbers each heartbeat, so that there is something to hear.
func (l *link) ping(ctx context.Context, patience time.Duration) {
	t := time.NewTicker(cluster.Heartbeat)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			short, stop := context.WithTimeout(ctx, patience)
			_, _ = l.ask(short, frame{Op: opHealth}, patience) // whether it came is for read to say
			stop()
		case <-l.broken:
			return
		}
	}
}

// ask sends a request and waits for its answer. Errors: errBroken; the context's.
func (l *link) ask(ctx context.Context, q frame, patience time.Duration) (*frame, error) {
	got := make(chan *frame, 1)
	l.mu.Lock()
	if l.waiting == nil {
		l.mu.Unlock()
		return nil, errBroken
	}
	l.last++
	q.ID = l.last
	l.waiting[q.ID] = got
	l.mu.Unlock()
	if err := l.send(&q, patience); err != nil {
		return nil, err
	}
	select {
	case a := <-got:
		return a, nil
	case <-l.broken:
	case <-ctx.Done():
		l.mu.Lock()
		delete(l.waiting, q.ID)
		l.mu.Unlock()
		return nil, ctx.Err()
	}
	select {
	case a := <-got: // it came just before the end
		return a, nil
	default:
		return nil, errBroken
	}
}

func (l *link) send(q *frame, patience time.Duration) error {
	buf, err := appendFrame(nil, q)
	if err != nil {
		return err
	}
	l.wmu.Lock()
	defer l.wmu.Unlock()
	_ = l.c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := l.c.Write(buf); err != nil { // a part may have gone out: nothing can follow
		l.end(err)
		return errBroken
	}
	return nil
}

// age is how long ago something was heard.
func (l *link) age() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.heard)
}

func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
