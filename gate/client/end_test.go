// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/gate/sock"
)

// long is a time that no test lasts.
const long = time.Hour

var errReason = errors.New("the reason")

// wantOver checks how a client sees the end of a connection that was closed in order.
func (p *peer) wantOver(t *testing.T, code uint16) {
	t.Helper()
	_, err := p.recv()
	if p.web {
		if !isClose(err, code) {
			t.Errorf("the client: %v, want close code %d", err, code)
		}
		p.control(t, frame.OpClose, "\x03\xe8")
		_, err = p.recv()
	}
	if !errors.Is(err, io.EOF) && !p.web {
		t.Errorf("the client: %v, want EOF", err)
	}
	_ = p.Close()
}

// TestCloseAfterFlush has a slow client get everything before the end.
func TestCloseAfterFlush(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		c, p, end := slowly(t, transport, small())
		n := stuff(t, c, 1000)
		p.send(t, "not handed over")
		c.CloseAfterFlush(errReason, long)
		c.CloseAfterFlush(nil, 0) // does nothing more
		send(t, c, "late", queue.Must, 0, queue.Closed)
		for i := range n {
			p.want(t, numbered(i, 1000))
		}
		p.wantOver(t, frame.CloseNormal)
		wantEnd(t, end, errReason)
	})
}

func TestCloseAfterFlushWithoutServe(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		c, p := join(t, transport, prepare(t, client.Options{}))
		send(t, c, "refused", queue.Must, 0, queue.Queued)
		c.CloseAfterFlush(&frame.WSError{Code: frame.ClosePolicy, Text: "go away"}, long)
		p.want(t, "refused")
		p.wantOver(t, frame.ClosePolicy)
		<-c.Done()
		if err := c.Serve(discard); err == nil {
			t.Error("Serve works")
		}
	})
}

func TestCloseAfterFlushInTheHandler(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		c, p := join(t, transport, prepare(t, client.Options{}))
		calls := 0
		end := serve(c, func([][]byte) error {
			calls++
			send(t, c, "bye", queue.Must, 0, queue.Queued)
			c.CloseAfterFlush(nil, long)
			return nil
		})
		p.send(t, "one", "two", "three")
		p.want(t, "bye")
		p.wantOver(t, frame.CloseNormal)
		if wantEnd(t, end, net.ErrClosed); calls != 1 {
			t.Errorf("%d calls after the close, want none", calls-1)
		}
	})
}

// TestCloseAfterFlushResetsInTheEnd has a client that neither reads nor closes.
func TestCloseAfterFlushResetsInTheEnd(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		c, p, end := slowly(t, transport, small())
		stuff(t, c, 1000)
		c.CloseAfterFlush(errReason, 10*time.Millisecond)
		wantEnd(t, end, errReason)
		if c.Queued() != 0 {
			t.Errorf("%d bytes are queued", c.Queued())
		}
		p.wantReset(t)
	})
}

// TestAClientThatClosesFirstGetsTheRest: its direction ends before ours.
func TestAClientThatClosesFirstGetsTheRest(t *testing.T) {
	clean(t)
	c, p, end := slowly(t, "tcp", small())
	n := stuff(t, c, 1000)
	c.CloseAfterFlush(errReason, long)
	_ = p.raw.(*net.TCPConn).CloseWrite()
	for i := range n {
		p.want(t, numbered(i, 1000))
	}
	if _, err := p.recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the client: %v", err)
	}
	wantEnd(t, end, errReason)
}

func TestKick(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		c, p, end := slowly(t, transport, small())
		if c.Err() != nil {
			t.Error(c.Err())
		}
		stuff(t, c, 1000)
		c.Kick(errReason)
		c.Kick(errors.New("too late"))
		wantEnd(t, end, client.ErrKicked, errReason)
		if !errors.Is(c.Err(), errReason) {
			t.Errorf("Err: %v", c.Err())
		}
		p.wantReset(t)
	})
}

// TestKickWhileTheHandlerWaits resets the client at once, tells the handler, and does not
// wait for it.
func TestKickWhileTheHandlerWaits(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		c, p := join(t, transport, prepare(t, client.Options{}))
		begun, goOn := make(chan struct{}), make(chan struct{})
		end := serve(c, func([][]byte) error {
			close(begun)
			<-c.Done()
			<-goOn
			return nil
		})
		p.send(t, "x")
		<-begun
		c.Kick(errReason)
		p.wantReset(t)
		close(goOn)
		wantEnd(t, end, errReason)
	})
}

func TestKickInTheHandler(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		c, p := join(t, transport, prepare(t, client.Options{}))
		end := serve(c, func([][]byte) error {
			c.Kick(errReason)
			return nil
		})
		p.send(t, "x", "y")
		wantEnd(t, end, errReason)
		p.wantReset(t)
	})
}

func TestAConnectionThatIsNeverServed(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		c, p := join(t, transport, prepare(t, client.Options{}))
		send(t, c, "queued", queue.Must, 0, queue.Queued)
		c.Kick(nil)
		p.wantReset(t)
		if err := c.Serve(discard); !errors.Is(err, client.ErrKicked) {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestNewTakesOver(t *testing.T) {
	clean(t)
	far, near := connect(t, listen(t))
	_ = near.Close()
	if c, err := client.New(near, prepare(t, client.Options{}), client.Link{}); err == nil {
		t.Errorf("a closed connection makes %v", c)
	}
	_ = far.Close()
}

func TestOwner(t *testing.T) {
	c, p := join(t, "tcp", prepare(t, client.Options{UserTimeout: time.Minute}))
	if c.Owner() != nil {
		t.Error(c.Owner())
	}
	c.SetOwner("me")
	if c.Owner() != "me" || c.RemoteAddr().String() != p.LocalAddr().String() || c.LocalAddr().String() != p.RemoteAddr().String() {
		t.Errorf("%v, %v, %v", c.Owner(), c.LocalAddr(), c.RemoteAddr())
	}
	c.Close()
}

// TestDetach gives a connection away, as to another process, with what came behind the
// packet that asked for it.
func TestDetach(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		set := prepare(t, client.Options{})
		c, p := join(t, transport, set)
		var s *sock.Conn
		var link client.Link
		end := serve(c, func(packets [][]byte) (err error) {
			if string(packets[0]) != "resume" {
				return nil
			}
			s, link, err = c.Detach()
			if _, _, again := c.Detach(); again == nil {
				t.Error("a second Detach works")
			}
			return err
		})
		wire := p.wire("hello", "resume", "behind", "half")
		_, _ = p.Write(wire[:len(wire)-2])
		wantEnd(t, end, client.ErrDetached)
		c.Kick(nil) // of no importance
		send(t, c, "late", queue.Must, 0, queue.Closed)

		other, err := client.New(s, set, link)
		if err != nil {
			t.Fatal(err)
		}
		otherEnd := make(chan error, 1)
		go func() { otherEnd <- echo(other) }()
		p.want(t, "behind")
		_, _ = p.Write(append(wire[len(wire)-2:], p.wire("more")...))
		p.want(t, "half", "more")
		_ = p.Close()
		wantEnd(t, otherEnd, io.EOF)
	})
}

func TestDetachTooLate(t *testing.T) {
	clean(t)
	c, p := join(t, "tcp", prepare(t, client.Options{}))
	if _, _, err := c.Detach(); err == nil {
		t.Error("before Serve it works")
	}
	end := serve(c, func([][]byte) error {
		send(t, c, "queued", queue.Must, 0, queue.Queued)
		if _, _, err := c.Detach(); err == nil {
			t.Error("with a packet queued it works")
		}
		c.Authenticated()
		c.Flush()
		if _, _, err := c.Detach(); err == nil {
			t.Error("after Authenticated it works")
		}
		return nil
	})
	p.send(t, "x")
	p.want(t, "queued")
	_ = p.Close()
	wantEnd(t, end, io.EOF)
}
