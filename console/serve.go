// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	acceptFailures = 10                   // in a row, then Serve gives up
	acceptPause    = 5 * time.Millisecond // after the first of them; doubled each time
	refusalTime    = time.Second          // to send one
)

// Serve serves connections of ln until ctx is over, and then returns nil when all
// have ended: those that run a command of the program when that returns. It closes ln in any case. Errors:
// ErrOutside for a listener that others may reach, unless Config.Outside is set; what ln says
// when it accepts nothing any more.
func (k *Console) Serve(ctx context.Context, ln net.Listener) error {
	defer ln.Close()
	if err := k.judge(ln.Addr()); err != nil {
		return fmt.Errorf("console: serve: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	for failed := 0; ; {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			failed = 0
			k.take(ctx, nc, ln.Addr(), &conns)
		case ctx.Err() != nil:
			return nil
		case failed == acceptFailures || errors.Is(err, net.ErrClosed):
			return fmt.Errorf("console: accept at %v: %w", ln.Addr(), err)
		default: // perhaps there are too many open files
			pause(ctx, acceptPause<<failed)
			failed++
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// take serves a connection, or refuses it.
func (k *Console) take(ctx context.Context, nc net.Conn, at net.Addr, conns *sync.WaitGroup) {
	c := k.newConn(nc, at)
	if !k.add(c) {
		_ = nc.SetDeadline(time.Now().Add(refusalTime))
		err := fmt.Errorf("there are %d connections already, which is the most: netstat lists them", k.cfg.MaxConns)
		_, _ = nc.Write([]byte(status("", err) + "\n"))
		_ = nc.Close()
		return
	}
	conns.Go(func() {
		defer k.remove(c)
		c.serve(ctx)
	})
}

// add notes a connection. It reports false when there are too many.
func (k *Console) add(c *conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.conns) >= k.cfg.MaxConns {
		return false
	}
	k.served++
	c.number = k.served
	k.conns[c] = struct{}{}
	return true
}

func (k *Console) remove(c *conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.conns, c)
}
