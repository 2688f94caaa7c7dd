// SPDX-License-Identifier: Apache-2.0

package actor

import "fmt"

// Tunnel returns a Spec.New of a service that passes everything on to another one, here or in another process, and whose name and
// mailbox are its own. Kinds and sessions stay, and errors come back; the target sees the first sender, and answers it, without
// the tunnel. Only between two other processes the tunnel calls itself, and hands the answer back: the target sees the tunnel then, and a
// message that it does not handle comes back no further than to the tunnel, which reports it (Events.Failed).
//
// When the target ends, or its process, the tunnel ends with the same reason: monitors and links of the
// tunnel learn of it, its name is free, and callers get errors at once. With Restart it goes on instead, and messages wait meanwhile;
// TunnelTo then finds the next target.
func Tunnel(to PID) func() Handler {
	return TunnelTo(func(*Context) (PID, error) { return to, nil })
}

// TunnelTo is Tunnel to what find returns, each time that the service starts or restarts. find may call
// others; its error ends the service, as that of Start.
func TunnelTo(find func(c *Context) (PID, error)) func() Handler {
	return func() Handler { return &tunnel{find: find} }
}

type tunnel struct {
	find func(c *Context) (PID, error)
	to   PID
}

// Start finds the target and watches it.
func (t *tunnel) Start(c *Context) (err error) {
	if t.to, err = t.find(c); err != nil {
		return fmt.Errorf("tunnel: %w", err)
	}
	if t.to.Handle == 0 || t.to == c.Self() {
		return fmt.Errorf("tunnel to %v: want the PID of another service", t.to)
	}
	_, err = c.Monitor(t.to)
	return err
}

// Handle passes a message on.
func (t *tunnel) Handle(c *Context, m *Message) error {
	switch m.Kind {
	case KindDown:
		if d, is := m.Value.(Down); is && d.Service == t.to {
			t.ended(c, &d)
			return nil
		}
	case KindBounce: // of what it has sent itself
		if u, is := m.Value.(Undelivered); is {
			return fmt.Errorf("tunnel to %v: a message was not handled: %w", t.to, u.Reason)
		}
	}
	err := c.Redirect(t.to, m.Value)
	if err != nil && !m.IsCall() && m.From != (PID{}) {
		c.rt.bounce(t.to, &c.msg, err) // its sender is to know, as if it had sent it there
		return nil
	}
	return err
}

// ended ends the tunnel as its target has ended.
func (t *tunnel) ended(c *Context, d *Down) {
	if d.Reason == nil {
		c.Exit(nil)
		return
	}
	c.Exit(fmt.Errorf("tunnel to %v: %w", t.to, d.Reason))
}
