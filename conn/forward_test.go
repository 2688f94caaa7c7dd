// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node/codec"
)

// sink is a service that gets chunks. Its handler waits until the test lets it go on.
type sink struct {
	pid   actor.PID
	got   chan *Chunk
	goOn  chan error
	froms chan actor.PID
}

func newSink(t *testing.T, rt *actor.Runtime) *sink {
	t.Helper()
	s := &sink{got: make(chan *Chunk, 1000), goOn: make(chan error, 1000), froms: make(chan actor.PID, 1000)}
	var err error
	s.pid, err = rt.Start(t.Context(), actor.Spec{New: func() actor.Handler {
		m := new(actor.Mux)
		actor.On(m, func(c *actor.Context, k *Chunk) error {
			s.got <- k
			s.froms <- c.Message().From
			return <-s.goOn
		})
		return m
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestForwardToASlowService(t *testing.T) {
	rt, p := world(t)
	s := newSink(t, rt)
	const limit = 10_000
	n, peer := pair(t, rt, p, Config{ReadLimit: limit})
	rng := testutil.Rand(t)
	data := make([]byte, 8<<20)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	sent := make(chan error, 1)
	go func() {
		_, err := peer.Write(data)
		sent <- errors.Join(err, peer.CloseWrite())
	}()
	done := start(rt, p, func(c *actor.Context) error { return n.Forward(c, s.pid) })
	first := <-s.got
	eventually(t, func() bool { return n.Stats().Buffered == limit })
	time.Sleep(20 * time.Millisecond)
	if s := n.Stats(); s.Read != uint64(len(first.Data)+limit) {
		t.Errorf("%d bytes were read while the service did not go on, want %d", s.Read, len(first.Data)+limit)
	}
	select {
	case err := <-sent:
		t.Errorf("the peer has sent all: %v", err)
	default:
	}
	must(t, rt, p, func(*actor.Context) error { return nil }) // the connection's service goes on
	if from := <-s.froms; from != p {
		t.Errorf("it comes from %v, want %v", from, p)
	}
	close(s.goOn)
	got := bytes.NewBuffer(first.Data)
	for k := range s.got {
		if k.Conn != n.ID() || len(k.Data) > limit {
			t.Fatalf("chunk of connection %d with %d bytes", k.Conn, len(k.Data))
		}
		if got.Write(k.Data); k.Last {
			if k.Err != "" || len(k.Data) > 0 {
				t.Errorf("the last is %+v", k)
			}
			break
		}
	}
	if !bytes.Equal(got.Bytes(), data) {
		t.Error("what was forwarded is not what was sent")
	}
	if err := errors.Join(<-done, <-sent); err != nil {
		t.Error(err)
	}
	must(t, rt, p, func(c *actor.Context) error { return n.Write(c, []byte("answer")) })
	expect(t, peer, "answer")
	n.Close()
}

func TestForwardEnds(t *testing.T) {
	rt, p := world(t)
	broken := errors.New("broken")

	s := newSink(t, rt) // the handler refuses
	n, peer := pair(t, rt, p, Config{})
	write(t, peer, "x")
	s.goOn <- broken
	wantError(t, in(t, rt, p, func(c *actor.Context) error { return n.Forward(c, s.pid) }), broken)

	done := start(rt, p, func(c *actor.Context) error { return n.Forward(c, s.pid) }) // the connection is closed
	waits(t, rt, p, calls, 1)
	s.goOn <- nil
	n.Close()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("closed: %v", err)
	}
	<-s.got
	if k := <-s.got; !k.Last || !strings.Contains(k.Err, "closed") {
		t.Errorf("the last is %+v", k)
	}

	n, peer = pair(t, rt, p, Config{}) // the receiver ends
	if err := rt.Kill(s.pid); err != nil {
		t.Fatal(err)
	}
	write(t, peer, "x")
	wantError(t, in(t, rt, p, func(c *actor.Context) error { return n.Forward(c, s.pid) }), actor.ErrNoService)
	n.Close()

	s = newSink(t, rt) // its own service does
	n, peer = pair(t, rt, p, Config{})
	done = start(rt, p, func(c *actor.Context) error { return n.Forward(c, s.pid) })
	waits(t, rt, p, calls, 1)
	if err := rt.Kill(p); err != nil {
		t.Fatal(err)
	}
	wantError(t, <-done, actor.ErrStopped)
	if _, err := io.ReadAll(peer); err != nil {
		t.Error(err)
	}
	close(s.goOn)
}

// TestChunksTravel encodes one as a message between processes is.
func TestChunksTravel(t *testing.T) {
	r := codec.NewRegistry(codec.Limits{})
	if err := Register(r); err != nil {
		t.Fatal(err)
	}
	want := &Chunk{Conn: 7, Data: []byte("data"), Last: true, Err: "why"}
	data, encoding, typ, err := r.Append(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Decode(data, encoding, typ)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}
