// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node/codec"
)

func registry(t testing.TB) *codec.Registry {
	t.Helper()
	r := codec.NewRegistry(codec.Limits{})
	if err := Register(r); err != nil {
		t.Fatal(err)
	}
	if err := Register(r); err != nil {
		t.Errorf("a second time: %v", err)
	}
	return r
}

func TestClientAsText(t *testing.T) {
	for _, tt := range []struct {
		text string
		c    Client
		ok   bool
	}{
		{"", Client{}, true},
		{"0.0.1.1#1f", Client{gateA, 0x1f}, true},
		{"0.0.1.1#ffffffffffffffff", Client{gateA, 1<<64 - 1}, true},
		{"0.0.1.1", Client{}, false},
		{"0.0.1.1#", Client{}, false},
		{"0.0.1.1#0", Client{}, false},
		{"0.0.1.1#1g", Client{}, false},
		{"0.0.1.1#10000000000000000", Client{}, false},
		{"x#1", Client{}, false},
	} {
		c, err := ParseClient(tt.text)
		if c != tt.c || (err == nil) != tt.ok {
			t.Errorf("%q is %v, %v", tt.text, c, err)
		}
		if tt.ok && c.String() != tt.text {
			t.Errorf("%q comes back as %q", tt.text, c)
		}
	}
	b, err := json.Marshal(map[Client]Client{{gateA, 1}: {gateB, 2}})
	if want := `{"0.0.1.1#1":"0.0.1.2#2"}`; err != nil || string(b) != want {
		t.Errorf("as JSON: %s, %v, want %s", b, err, want)
	}
}

// What goes over the bus arrives as it was.
func TestTravel(t *testing.T) {
	r := registry(t)
	c := Client{gateA, 1 << 60}
	target := Target{PID: actor.PID{Node: room, Handle: 1 << 63}}
	for _, v := range []any{
		&Opened{Client: c, Identity: []byte{0, 255}, Remote: "[::1]:7", Again: true},
		&Packets{Client: c, First: 1 << 40, Again: true, Data: [][]byte{{1}, {}, bytes.Repeat([]byte{7}, 70_000)}},
		&Packets{Client: c, First: 1, Data: [][]byte{}},
		&Slow{Client: c, Over: true, Queued: 77}, &Away{Client: c}, &Resumed{Client: c},
		&Closed{Client: c, Code: 2000, Reason: "so"},
		&Deliver{Ops: []byte{1, 2, 3}},
		&Ask{Client: c, Kind: Droppable, Packet: []byte("x")},
		&Hello{Data: []byte("x"), Remote: "r", Transport: "wss", Server: "s", Peer: []byte{9}, Path: "/p", Query: "q", Protocol: "z", Header: map[string]string{"A": "b"}},
		&Grant{Bind: target, Identity: []byte("i"), Welcome: []byte("w"), Groups: []string{"g"}, Refuse: 7, Why: "y"},
		&Grant{Bind: ToName(room, "room")},
	} {
		b, e, typ, err := r.Append(nil, v)
		if err != nil {
			t.Fatalf("%T: %v", v, err)
		}
		got, err := r.Decode(b, e, typ)
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%+v comes as %+v, %v", v, got, err)
		}
	}
}

// randomOp returns an op with the clients that it is for.
func randomOp(rng *rand.Rand) (o op, clients []Client) {
	o = op{code: byte(1 + rng.IntN(int(opEnd)-1))}
	for range rng.IntN(5) {
		clients = append(clients, Client{gateA, rng.Uint64()})
	}
	if o.hasPacket() {
		o.kind = queue.Kind(rng.IntN(3))
		o.packet = make([]byte, rng.IntN(100))
		if o.kind == queue.Newest {
			o.key = rng.Uint64()
		}
	}
	if o.hasGroup() {
		o.group = []byte("group")[:rng.IntN(6)]
	}
	switch o.code {
	case opKick:
		o.end, o.text = frame.Code(rng.Uint32()), "why"
	case opBind:
		o.target = ToName(addr.Addr(rng.Uint32()), "name")
	}
	return o, clients
}

func TestOps(t *testing.T) {
	rng := testutil.Rand(t)
	for range 2000 {
		var ops []op
		var who [][]Client
		var b []byte
		for range rng.IntN(6) {
			o, clients := randomOp(rng)
			b = appendOp(b, &o, clients)
			ops, who = append(ops, o), append(who, clients)
		}
		d := Deliver{Ops: b}
		if n, err := d.check(); n != len(ops) || err != nil {
			t.Fatalf("%d ops, %v, want %d", n, err, len(ops))
		}
		r := reader{b: b}
		var got op
		for i := 0; r.op(&got); i++ {
			clients := got.except
			for id, ok := got.ids.next(); ok; id, ok = got.ids.next() {
				clients = append(clients, Client{gateA, id})
			}
			want := &ops[i]
			if got.code != want.code || got.kind != want.kind || got.key != want.key || !bytes.Equal(got.group, want.group) ||
				!bytes.Equal(got.packet, want.packet) || got.end != want.end || got.text != want.text || got.target != want.target || !slices.Equal(clients, who[i]) {
				t.Fatalf("op %d is %+v for %v, want %+v for %v", i, got, clients, *want, who[i])
			}
		}
		if len(b) > 0 { // what is cut short is found, and nothing of it is done
			cut := Deliver{Ops: b[:rng.IntN(len(b))]}
			if n, err := cut.check(); err == nil && n >= len(ops) {
				t.Fatalf("%d of %d bytes are %d ops", len(cut.Ops), len(b), n)
			}
		}
	}
}

func FuzzDeliver(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		o, clients := randomOp(rng)
		f.Add(appendOp(nil, &o, clients))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := (&Deliver{Ops: b}).check()
		r := reader{b: b}
		seen := 0
		for o := (op{}); r.op(&o); seen++ {
			ids := 0
			for _, ok := o.ids.next(); ok; _, ok = o.ids.next() {
				ids++
			}
			if ids+len(o.except) > len(b) {
				t.Fatalf("%d bytes name %d clients", len(b), ids)
			}
		}
		if seen != n || r.bad != (err != nil) {
			t.Fatalf("%d ops and %v, then %d and %v", n, err, seen, r.bad)
		}
	})
}

func FuzzPackets(f *testing.F) {
	b, err := (&Packets{Client: Client{gateA, 7}, First: 9, Again: true, Data: [][]byte{[]byte("x"), {}}}).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, again Packets
		if p.UnmarshalBinary(b) != nil {
			return
		}
		out, err := p.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalBinary(out); err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%+v comes back as %+v, %v", p, again, err)
		}
	})
}

// An Outbox sends one message to each home, in the order in which things were put in; large ones are parted between two ops.
func TestOutbox(t *testing.T) {
	var o Outbox
	type sent struct {
		home addr.Addr
		ops  []byte
	}
	var all []sent
	flush := func() {
		t.Helper()
		all = nil
		if err := o.flush(func(to actor.PID, v any) error {
			name, value := v.(actor.Addressed).Addressee()
			if name != ServiceName || to.Handle != 0 {
				t.Errorf("sent to %v, %q", to, name)
			}
			all = append(all, sent{to.Node, value.(*Deliver).Ops})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	packet := []byte("mine")
	o.Send(Client{gateA, 1}, Must, packet)
	o.Send(Client{gateB, 1}, Must, packet)
	o.Send(Client{gateA, 2}, Droppable, packet)
	copy(packet, "your")
	flush()
	if len(all) != 2 || all[0].home != gateA || all[1].home != gateB || !bytes.Contains(all[0].ops, []byte("mine")) {
		t.Fatalf("sent %v", all)
	}
	if n, err := (&Deliver{Ops: all[0].ops}).check(); n != 2 || err != nil {
		t.Errorf("%d ops, %v", n, err)
	}
	if o.Pending() {
		t.Error("something is left")
	}
	flush()
	if len(all) != 0 {
		t.Errorf("sent %v though nothing was put in", all)
	}
	for range 10 {
		o.Send(Client{gateA, 1}, Must, make([]byte, 50<<10))
	}
	flush()
	ops := 0
	for _, s := range all {
		n, err := (&Deliver{Ops: s.ops}).check()
		if err != nil || len(s.ops) > largest {
			t.Errorf("%d bytes, %v", len(s.ops), err)
		}
		ops += n
	}
	if ops != 10 || len(all) < 4 {
		t.Errorf("%d messages with %d ops", len(all), ops)
	}
	o.Send(Client{gateA, 1}, Must, packet)
	o.Discard()
	flush()
	if len(all) != 0 {
		t.Error("what was discarded is sent")
	}
	o.Bind(Client{gateA, 1}, Target{})
	if err := o.flush(func(actor.PID, any) error { return nil }); err == nil {
		t.Error("to bind to nobody is no error")
	}
}

// BenchmarkDeliver measures what a message with one packet of 64 bytes costs on the bus.
func BenchmarkDeliver(b *testing.B) {
	r := registry(b)
	o := op{code: opSend, packet: make([]byte, 64)}
	d := &Deliver{Ops: appendOp(nil, &o, []Client{{gateA, 1 << 45}})}
	p := &Packets{Client: Client{gateA, 1 << 45}, First: 1000, Data: [][]byte{make([]byte, 64)}}
	for name, v := range map[string]any{"deliver": d, "packets": p} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				out, e, typ, err := r.Append(buf[:0], v)
				if err != nil {
					b.Fatal(err)
				}
				buf = out
				if _, err := r.Decode(out, e, typ); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
