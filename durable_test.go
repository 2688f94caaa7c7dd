// SPDX-License-Identifier: Apache-2.0

package skybus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/route"
	"github.com/skybus-io/skybus/shm"
)

const durableKey = 1234

// durableRules has the lanes to addresses from 0.0.2.0 to 0.0.2.255 kept in dir.
func durableRules(t *testing.T, root, dir string, mode route.Mode) {
	t.Helper()
	to, err := addr.Default.ParsePrefix("0.0.2.*")
	if err != nil {
		t.Fatal(err)
	}
	table := &route.Table{Key: durableKey, Durable: []route.Durable{{To: to, Mode: mode, Dir: dir}}}
	if err := route.Store(root, table, shm.Keep); err != nil {
		t.Fatal(err)
	}
}

func openDurable(t *testing.T, root string) *Domain {
	t.Helper()
	d, err := Open(durableKey, Options{Root: root, AllowUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if err := d.Table().SetRelayKey(durableKey); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestMessagesOutliveTheHost boots: all that was in shared memory is gone.
func TestMessagesOutliveTheHost(t *testing.T) {
	for _, mode := range []route.Mode{route.Sync, route.Async} {
		t.Run(mode.String(), func(t *testing.T) {
			testutil.NoLeaks(t)
			dir := testutil.Dir(t)
			before := testutil.Dir(t)
			durableRules(t, before, dir, mode)
			sendDurably(t, openDurable(t, before))

			after := testutil.Dir(t)
			durableRules(t, after, dir, mode)
			d := openDurable(t, after)
			e, err := d.Bind(0x201)
			if err != nil {
				t.Fatal(err)
			}
			for k := range 8 {
				m, err := e.TryRecv()
				if err != nil || string(m.Data) != fmt.Sprint("message ", k) || !m.Redelivered || m.Seq != uint64(k+1) || m.Src != 0x101 {
					t.Fatalf("message %d: %+v, %v", k, m, err)
				}
			}
			m, err := e.TryRecv()
			if mode == route.Async && (m.Gap == nil || m.Gap.From != 9 || m.Gap.To != 0) {
				t.Errorf("got %+v, %v, want a Gap", m, err)
			}
			if mode == route.Sync && !errors.Is(err, ErrEmpty) {
				t.Errorf("got %+v, %v, want nothing more", m, err)
			}
		})
	}
}

// sendDurably sends in every way that there is, and to an address whose lane stays
// in memory.
func sendDurably(t *testing.T, d *Domain) {
	t.Helper()
	ctx := t.Context()
	e, err := d.Bind(0x101)
	if err != nil {
		t.Fatal(err)
	}
	text := func(k int) []byte { return []byte(fmt.Sprint("message ", k)) }
	errs := []error{e.Send(ctx, 0x201, text(0)), e.TrySend(0x201, text(1)), e.Send(ctx, 0x301, text(0))}
	_, err = e.SendBatch(ctx, 0x201, [][]byte{text(2), text(3), text(4)})
	errs = append(errs, err)
	b, err := e.Batch(0x201)
	errs = append(errs, err)
	for k := 5; k < 7; k++ {
		p, err := b.Claim(ctx, len(text(k)))
		errs = append(errs, err)
		copy(p, text(k))
	}
	errs = append(errs, b.Commit())
	c, err := e.Claim(ctx, 0x201, len(text(7)))
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
	copy(c.Data, text(7))
	c.Commit()
	for dst, want := range map[addr.Addr]bool{0x201: true, 0x301: false} {
		l, _ := d.Table().Lane(channel.Pair{Src: 0x101, Dst: dst})
		if _, err := os.Readlink(filepath.Join(d.Table().Folder(), filepath.Base(l.Path))); l.Durable != want || (err == nil) != want {
			t.Errorf("lane to %s: durable %v, %v", d.FormatAddr(dst), l.Durable, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestUnreadableRulesKeepLanesFromBeingMade: a lane that is to be durable must not
// come to be in memory.
func TestUnreadableRulesKeepLanesFromBeingMade(t *testing.T) {
	root := testutil.Dir(t)
	durableRules(t, root, testutil.Dir(t), route.Sync)
	openDurable(t, root)
	table := filepath.Join(route.Dir(root, durableKey), "table")
	if err := os.WriteFile(table, []byte("no table"), 0o600); err != nil {
		t.Fatal(err)
	}
	d2, err := Open(durableKey, Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer d2.Close()
	e, err := d2.Bind(0x101)
	if err == nil {
		err = e.TrySend(0x201, nil)
	}
	if !errors.Is(err, shm.ErrTruncated) && !errors.Is(err, route.ErrDamaged) {
		t.Errorf("got %v", err)
	}
	if n := len(d2.Table().Lanes()); n != 0 {
		t.Errorf("%d lanes", n)
	}
}
