// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
)

// A damageReport gathers what OnDamage and the log say.
type damageReport struct {
	mu    sync.Mutex // guards all below
	lanes []string
	err   error
	log   bytes.Buffer
}

func (r *damageReport) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func (r *damageReport) options() skybus.Options {
	return skybus.Options{
		AllowUnknown: true,
		Logger:       slog.New(slog.NewTextHandler(r, nil)),
		OnDamage: func(src, dst addr.Addr, err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.lanes, r.err = append(r.lanes, fmt.Sprint(src, dst)), err
		},
	}
}

// reported fails the test unless the lane a -> b, and no other, was reported once.
func (r *damageReport) reported(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if list := fmt.Sprint(r.lanes); list != fmt.Sprint([]string{fmt.Sprint(a, b)}) {
		t.Errorf("reported damage of %s", list)
	}
	want(t, r.err, skybus.ErrDamaged)
	if text := r.log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "src=0.0.1.1") {
		t.Errorf("logged %q", text)
	}
}

const (
	marksAt = 128  // released, claimed
	dataAt  = 4096 // the ring
)

// overwrite stores bytes into the file of the lane a -> b.
func overwrite(t *testing.T, d *skybus.Domain, at int64, data []byte) {
	t.Helper()
	l, ok := d.Table().Lane(channel.Pair{Src: a, Dst: b})
	if !ok {
		t.Fatal("no lane")
	}
	f, err := os.OpenFile(l.Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, at); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedLaneIsTakenOut: somebody overwrites a lane's bytes. Its reader says
// so once, the other lanes go on, and what is sent to it is refused from then on.
func TestDamagedLaneIsTakenOut(t *testing.T) {
	noise := bytes.Repeat([]byte{0xa5}, 4096)
	for name, spoil := range map[string]func(d *skybus.Domain){
		"everything":     func(d *skybus.Domain) { overwrite(t, d, dataAt, noise) },
		"the last words": func(d *skybus.Domain) { overwrite(t, d, dataAt+2*32, noise[:1000]) },
	} {
		for _, way := range []string{"TryRecv", "Poll"} {
			t.Run(name+"/"+way, func(t *testing.T) {
				var report damageReport
				d := open(t, report.options())
				from, to, other := bind(t, d, a), bind(t, d, b), bind(t, d, c)
				send(t, from, b, "before")
				send(t, from, b, "before")
				if texts := takeBy(t, way, to); len(texts) != 2 {
					t.Fatalf("received %q", texts)
				}
				spoil(d)
				send(t, other, b, "goes on")
				if texts := takeBy(t, way, to); fmt.Sprint(texts) != "[goes on]" {
					t.Errorf("received %q", texts)
				}
				report.reported(t)
				want(t, from.TrySend(b, nil), skybus.ErrDamaged)
				want(t, from.Send(soon(t), b, nil), skybus.ErrDamaged)
				_, err := to.RecvFrom(soon(t), a)
				want(t, err, skybus.ErrDamaged)
				send(t, other, b, "and on")
				takeBy(t, way, to)
				report.reported(t)
				restartAfterDamage(t, d, from, to)
			})
		}
	}
}

func takeBy(t *testing.T, way string, to *skybus.Endpoint) (texts []string) {
	t.Helper()
	if way == "TryRecv" {
		return drain(t, to)
	}
	_, err := to.Poll(1000, func(m skybus.Message) error { texts = append(texts, string(m.Data)); return nil })
	if err != nil {
		t.Error(err)
	}
	return texts
}

// restartAfterDamage: the lane stays out of use until a tool has made it anew.
func restartAfterDamage(t *testing.T, d *skybus.Domain, from, to *skybus.Endpoint) {
	t.Helper()
	p := channel.Pair{Src: a, Dst: b}
	_, _, err := d.Table().Clean(p)
	want(t, err, skybus.ErrInUse)
	from.Close()
	to.Close()
	from, to = bind(t, d, a), bind(t, d, b)
	want(t, from.TrySend(b, nil), skybus.ErrDamaged)
	if l, _ := d.Table().Lane(p); l.Damage == "" {
		t.Error("the table says nothing of the damage")
	}
	from.Close()
	to.Close()
	if _, done, err := d.Table().Clean(p); !done || err != nil {
		t.Fatalf("not cleaned: %v", err)
	}
	from, to = bind(t, d, a), bind(t, d, b)
	send(t, from, b, "anew")
	wantTexts(t, to, "anew")
	noViolations(t, d)
}

// TestDamageFoundBySender: the reader's marks are overwritten; the sender sees
// it when it looks for room.
func TestDamageFoundBySender(t *testing.T) {
	d := small(t)
	from, to := pair(t, d)
	send(t, from, b, "lost")
	fill(t, from, b, 100)
	overwrite(t, d, marksAt, bytes.Repeat([]byte{0xff}, 8))
	want(t, from.TrySend(b, make([]byte, 100)), skybus.ErrDamaged)
	want(t, from.Send(soon(t), b, make([]byte, 100)), skybus.ErrDamaged)
	send(t, from, c, "another lane")
	send(t, to, a, "another lane")
	if m := recv(t, from); string(m.Data) != "another lane" {
		t.Errorf("received %+v", m)
	}
}

// TestDamageWakesWhoWaitsForRoom: it would wait for ever.
func TestDamageWakesWhoWaitsForRoom(t *testing.T) {
	d := small(t)
	from, to := pair(t, d)
	fill(t, from, b, 100)
	before := parks(d, a)
	sent := run(t, func() error { return from.Send(soon(t), b, make([]byte, 100)) })
	eventually(t, "the sender is parked", func() bool { return parks(d, a) > before })
	overwrite(t, d, dataAt, bytes.Repeat([]byte{0xa5}, 4096))
	drain(t, to)
	want(t, sent(), skybus.ErrDamaged)
}

// TestDamageFoundAtBind: the lane was overwritten while nobody had it open.
func TestDamageFoundAtBind(t *testing.T) {
	for name, spoil := range map[string]func(d *skybus.Domain){
		"header":  func(d *skybus.Domain) { overwrite(t, d, 20, []byte{0xff}) },
		"records": func(d *skybus.Domain) { overwrite(t, d, dataAt, bytes.Repeat([]byte{0xa5}, 64)) },
		"marks":   func(d *skybus.Domain) { overwrite(t, d, marksAt, []byte{3}) },
	} {
		t.Run(name, func(t *testing.T) {
			var report damageReport
			d := open(t, report.options())
			from, other := bind(t, d, a), bind(t, d, c)
			send(t, from, b, "lost")
			send(t, other, b, "goes on")
			from.Close()
			spoil(d)
			to := bind(t, d, b)
			wantTexts(t, to, "goes on")
			report.reported(t)
			want(t, bind(t, d, a).TrySend(b, nil), skybus.ErrDamaged)
		})
	}
}

// TestCloseWithDamage: an endpoint with a quarantined lane closes as any other.
func TestCloseWithDamage(t *testing.T) {
	d := dynamic(t)
	from, to := pair(t, d)
	send(t, from, b, "lost")
	overwrite(t, d, dataAt, bytes.Repeat([]byte{0xa5}, 4096))
	drain(t, to)
	want(t, from.TrySend(b, nil), skybus.ErrDamaged)
	batch := newBatch(t, from)
	_, err := batch.TryClaim(1)
	want(t, err, skybus.ErrDamaged)
	for _, e := range []*skybus.Endpoint{from, to} {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}
