// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node/envelope"
)

// A fakeHold counts.
type fakeHold struct {
	actor.Claim
	released, kept atomic.Int32
}

func newHold() *fakeHold                                     { return new(fakeHold) }
func (h *fakeHold) Release()                                 { h.released.Add(1) }
func (h *fakeHold) Origin() (source, number uint64, ok bool) { return 0, 0, false }
func (h *fakeHold) claim() actor.Held                        { return h }
func (h *fakeHold) small([]byte) any                         { return nil }
func (h *fakeHold) Keep()                                    { h.kept.Add(1) }

// FuzzHandle gives a node whatever bytes: nothing panics, each record is released once, and
// handlers get only what a program can have sent.
func FuzzHandle(f *testing.F) {
	d := domain(f)
	n := begin(f, d, here, Config{})
	bad := make(chan string, 1)
	p := serve(f, n, actor.Spec{Name: "s"}, func(c *actor.Context, m *actor.Message) error {
		_, back := m.Value.(actor.Undelivered)
		switch k := m.Kind; {
		case !sendable(k) && (k != actor.KindBounce || !back) || m.From.Node != there && !m.From.IsZero():
			select {
			case bad <- fmt.Sprintf("kind %d from %v", k, m.From):
			default:
			}
		}
		return nil
	})
	waits := serve(f, n, actor.Spec{}, func(c *actor.Context, _ *actor.Message) error {
		_, err := c.Call(At(there), Named{"x", 1})
		return err
	})
	_ = n.Runtime().TrySend(waits, 1)
	for _, e := range hostile(p.Handle) {
		b, err := e.AppendHead(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(b, e.Payload...))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		h := newHold()
		take(n, actor.Inlet{}, n.peer(there), &skybus.Message{Data: bytes.Clone(record), Src: there, Dst: here}, h)
		eventually(t, "the record to be released", func() bool { return h.released.Load() > 0 })
		select {
		case what := <-bad:
			t.Errorf("a handler got %s", what)
		default:
		}
		if h.released.Load() != 1 || h.kept.Load() != 0 {
			t.Errorf("released %d times, kept %d times", h.released.Load(), h.kept.Load())
		}
		p := n.peer(there) // its lane is full soon, and nobody reads it
		p.mu.Lock()
		for p.first != nil && p.first.next != nil {
			p.drop(p.first.next)
		}
		p.mu.Unlock()
	})
}

// hostile are envelopes of all kinds, and what nobody should send.
func hostile(h actor.Handle) (list []envelope.Envelope) {
	to := uint64(h)
	for k := envelope.Send; k <= envelope.Group; k++ {
		e := envelope.Envelope{Kind: k, To: to, From: 3, Session: 1}
		switch k {
		case envelope.Error, envelope.Down, envelope.Bounce:
			r := envelope.Report{Code: envelope.CodeKilled, Text: "killed"}
			if k == envelope.Bounce {
				r.Original = envelope.Send
			}
			e.Payload, _ = envelope.AppendReport(nil, k, &r)
		case envelope.Send, envelope.Call, envelope.Reply, envelope.Group:
			e.Encoding, e.Payload = envelope.EncodingText, []byte("text")
		}
		list = append(list, e)
	}
	for kind := range uint8(actor.KindUser) + 1 {
		list = append(list, envelope.Envelope{Kind: envelope.Call, Name: []byte("s"), From: 3, Session: 1, UserKind: kind})
	}
	for _, b := range []string{"\xa0", "\xff", "\x9b\xff\xff\xff\xff\xff\xff\xff\xff", strings.Repeat("\x81", 1000), "\xd9\xd9\xf7\x01"} {
		list = append(list, envelope.Envelope{Kind: envelope.Send, Name: []byte("s"), Encoding: envelope.EncodingCBOR, Payload: []byte(b)})
	}
	list = append(list, envelope.Envelope{Kind: envelope.Send, To: 1, From: 1}, envelope.Envelope{Kind: envelope.Monitor, Name: []byte("s"), Session: 2})
	return list
}

// Nobody can forge an answer, an end, or a tick by the kind of a message.
func TestKindsOfTheRuntimeAreRefused(t *testing.T) {
	d := domain(t)
	b, r := begin(t, d, there, Config{}), bindRaw(t, d, here)
	other := bindRaw(t, d, here+9)
	waits := serve(t, b, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		if m.Value != "go" {
			t.Errorf("got kind %d: %v", m.Kind, m.Value)
		}
		v, err := c.CallTimeout(time.Second, actor.PID{Node: other.Addr(), Handle: 1}, "q")
		if !errors.Is(err, ErrSilent) && !errors.Is(err, actor.ErrNoService) && err == nil {
			t.Errorf("the answer is %v", v)
		}
		return c.Reply("done")
	})
	r.put(there, &envelope.Envelope{Kind: envelope.Call, To: uint64(waits.Handle), From: 1, Session: 1, Encoding: envelope.EncodingText, Payload: []byte("go")})
	q := other.get()
	bad := 0
	for kind := range actor.KindUser {
		if sendable(kind) {
			continue
		}
		bad++
		for _, k := range []envelope.Kind{envelope.Send, envelope.Call} {
			r.put(there, &envelope.Envelope{Kind: k, To: uint64(waits.Handle), From: 1, Session: q.Session, UserKind: uint8(kind), Encoding: envelope.EncodingText, Payload: []byte("forged")})
		}
	}
	r.put(there, &envelope.Envelope{Kind: envelope.Reply, To: uint64(waits.Handle), From: 1, Session: q.Session, Encoding: envelope.EncodingText, Payload: []byte("forged")})
	eventually(t, "all to be taken", func() bool { s := b.Stats(); return s.Malformed == 2*uint64(bad) && s.Late == 1 })
	other.put(there, &envelope.Envelope{Kind: envelope.Error, To: q.From, From: 1, Session: q.Session, Payload: noService(t)})
	if e := r.get(); e.Kind != envelope.Reply || string(e.Payload) != "done" {
		t.Errorf("got a %v %q", e.Kind, e.Payload)
	}
}

func noService(t *testing.T) []byte {
	t.Helper()
	b, err := envelope.AppendReport(nil, envelope.Error, &envelope.Report{Code: envelope.CodeNoService})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// badError panics when it is asked what it is.
type badError struct{ text *string }

func (e *badError) Error() string { return *e.text }
func (e *badError) Is(error) bool { panic("whim") }

// What an error's own methods do ends nobody.
func TestErrorsThatPanic(t *testing.T) {
	a, b := pair(t)
	text := "text"
	p := serve(t, b, actor.Spec{}, func(_ *actor.Context, m *actor.Message) error {
		if m.Value == "nil" {
			return (*badError)(nil)
		}
		return &badError{&text}
	})
	for _, v := range []string{"nil", "is"} {
		_, err := a.Runtime().Call(soon(t), p, v)
		if err == nil || !strings.Contains(err.Error(), "badError") {
			t.Errorf("%s: %v", v, err)
		}
	}
}

// What comes back says what kind of message it was; what is too large to come back with its
// reason comes without its value.
func TestBounceSaysWhatItWas(t *testing.T) {
	d := narrow(t)
	a, b := begin(t, d, here, Config{}), begin(t, d, there, Config{})
	gone := actor.PID{Node: there, Handle: serve(t, b, actor.Spec{}, echo).Handle + 100}
	drops := serve(t, b, actor.Spec{Mailbox: actor.Mailbox{Capacity: 1, Full: actor.DropOldest}, MaxWaiting: 1}, func(c *actor.Context, _ *actor.Message) error {
		return c.Sleep(time.Hour)
	})
	back := make(chan actor.Undelivered, 9)
	const kind = actor.KindUser + 7
	s := serve(t, a, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		switch v := m.Value.(type) {
		case actor.Undelivered:
			back <- v
		case actor.PID:
			for range 5 {
				if err := c.SendKind(v, kind, "dropped"); err != nil {
					return err
				}
			}
		default:
			return c.SendKind(gone, kind, v)
		}
		return nil
	})
	large := strings.Repeat("x", 4<<10-40) // with the head it is just a message
	for _, c := range []struct {
		v, back any
		is      error
	}{{"small", "small", actor.ErrNoService}, {large, nil, actor.ErrNoService}, {drops, "dropped", actor.ErrDropped}} {
		if err := a.Runtime().Send(soon(t), s, c.v); err != nil {
			t.Fatal(err)
		}
		if u := <-back; u.Kind != kind || u.Value != c.back || !errors.Is(u.Reason, c.is) {
			t.Errorf("came back: kind %d, %.20v, %v", u.Kind, u.Value, u.Reason)
		}
	}
}

// The node's own address is as good as another one's.
func TestOwnAddress(t *testing.T) {
	a, _ := pair(t)
	p := serve(t, a, actor.Spec{Name: "echo"}, echo)
	v := &order{Player: "ann", Next: p}
	s := serve(t, a, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		if m.Value == "pass" {
			return c.Redirect(At(here), Named{"echo", v})
		}
		if err := c.Send(At(here), Named{"echo", 1}); err != nil {
			return err
		}
		got, err := c.Call(At(here), Named{"echo", v})
		if err != nil {
			return err
		}
		return c.Reply(got)
	})
	for _, c := range []struct {
		to actor.PID
		v  any
	}{{At(here), Named{"echo", v}}, {s, 1}, {s, "pass"}, {v.Next, v}} {
		if got, err := a.Runtime().Call(soon(t), c.to, c.v); err != nil || got != v {
			t.Errorf("%v: got %v, %v; want the value itself", c.v, got, err)
		}
	}
	if err := errors.Join(a.Runtime().Send(soon(t), At(here), Named{"echo", 1}), a.Runtime().TrySend(At(here), Named{"echo", 1})); err != nil {
		t.Error(err)
	}
	_, err := a.Runtime().Call(soon(t), At(here), Named{"nobody", 1})
	want(t, err, actor.ErrNoService)
	if errors.Is(err, actor.ErrStalePID) {
		t.Errorf("%v: there never was one", err)
	}
	if s := a.Stats(); s.Sent > 0 {
		t.Errorf("%d envelopes were sent", s.Sent)
	}
}
