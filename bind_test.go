// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

func TestBindNoAddress(t *testing.T) {
	d := dynamic(t)
	if _, err := d.Bind(0); err == nil {
		t.Error("bound the zero address")
	}
	if n := len(d.Table().Endpoints()); n != 0 {
		t.Errorf("it left %d addresses", n)
	}
}

func TestBindTwiceInOneProcess(t *testing.T) {
	d := dynamic(t)
	first := bind(t, d, a)
	other := open(t, skybus.Options{Root: rootOf(d)})
	for _, d := range []*skybus.Domain{d, other} {
		_, err := d.Bind(a)
		want(t, err, skybus.ErrInUse)
		if who := fmt.Sprintf("PID %d", os.Getpid()); err == nil || !strings.Contains(err.Error(), who) {
			t.Errorf("%q does not say %q", err, who)
		}
	}
	first.Close()
	bind(t, other, a)
}

func TestBindOfAnotherProcess(t *testing.T) {
	d := dynamic(t)
	p := startPeer(t, rootOf(d))
	p.do(t, "bind 0.0.1.1", "ok")
	for _, sig := range []syscall.Signal{0, syscall.SIGSTOP} { // a process that is stopped is alive
		p.Signal(sig)
		_, err := d.Bind(a)
		want(t, err, skybus.ErrInUse)
		if who := fmt.Sprintf("PID %d (%s)", p.PID(), filepath.Base(os.Args[0])); err == nil || !strings.Contains(err.Error(), who) {
			t.Errorf("%q does not say %q", err, who)
		}
	}
	p.Kill()
	bind(t, d, a)
}

// TestBindIsExclusive: however many try, one at a time has the address.
func TestBindIsExclusive(t *testing.T) {
	d := dynamic(t)
	other := open(t, skybus.Options{Root: rootOf(d)})
	var holders, binds atomic.Int32
	var group sync.WaitGroup
	for i := range 6 {
		d := []*skybus.Domain{d, other}[i%2]
		group.Go(func() {
			for binds.Load() < 200 {
				e, err := d.Bind(a)
				if err != nil {
					want(t, err, skybus.ErrInUse)
					continue
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d have it", n)
				}
				binds.Add(1)
				holders.Add(-1)
				e.Close()
			}
		})
	}
	group.Wait()
	if info, _ := d.Table().Endpoint(a); info.Binds != uint64(binds.Load()) || info.Bound {
		t.Errorf("%d binds, the table says %+v", binds.Load(), info)
	}
}

func TestBindAfterCleanEndOfAnotherProcess(t *testing.T) {
	d := dynamic(t)
	p := startPeer(t, rootOf(d))
	p.do(t, "bind 0.0.1.1", "ok")
	p.do(t, "close", "ok")
	bind(t, d, a)
}

func TestStrictDomain(t *testing.T) {
	d := open(t, skybus.Options{Strict: true})
	_, err := d.Bind(a)
	want(t, err, skybus.ErrNoRoute)
	configure(t, d, channel.Channel{A: a, B: b, SendSize: 8 << 10, RecvSize: 8 << 10})
	from, to := pair(t, d)
	send(t, from, b, "along the channel")
	send(t, to, a, "and back")
	if m := recv(t, to); string(m.Data) != "along the channel" {
		t.Errorf("received %q", m.Data)
	}
	if m := recv(t, from); string(m.Data) != "and back" {
		t.Errorf("received %q", m.Data)
	}
	want(t, from.TrySend(c, nil), skybus.ErrNoRoute)
	_, err = from.Claim(soon(t), c, 1)
	want(t, err, skybus.ErrNoRoute)
	_, err = from.LastSeq(c)
	want(t, err, skybus.ErrNoRoute)
	if n := len(d.Table().Lanes()); n != 2 {
		t.Errorf("%d lanes", n)
	}
}

func configure(t testing.TB, d *skybus.Domain, list ...channel.Channel) {
	t.Helper()
	if _, err := d.Table().Configure(list, false, false); err != nil {
		t.Fatal(err)
	}
}

// TestTypoIsNoRoute: a dynamic domain knows the addresses that were ever bound.
func TestTypoIsNoRoute(t *testing.T) {
	d := open(t, skybus.Options{})
	from := bind(t, d, a)
	want(t, from.TrySend(b, nil), skybus.ErrNoRoute)
	to := bind(t, d, b)
	send(t, from, b, "bound now")
	recv(t, to)
	to.Close()
	send(t, from, b, "kept")
	if m := recv(t, bind(t, d, b)); string(m.Data) != "kept" || m.Seq != 2 || m.Redelivered {
		t.Errorf("received %+v", m)
	}
	if n := len(d.Table().Lanes()); n != 1 {
		t.Errorf("%d lanes", n)
	}
}

// TestSendBeforeFirstBind: in a domain that allows it, messages may be sent
// before their receiver runs for the first time.
func TestSendBeforeFirstBind(t *testing.T) {
	d := dynamic(t)
	from := bind(t, d, a)
	for i := range 100 {
		send(t, from, b, fmt.Sprint(i))
	}
	from.Close()
	to := bind(t, d, b)
	for i := range 100 {
		if m := recv(t, to); string(m.Data) != fmt.Sprint(i) || m.Src != a || m.Dst != b || m.Seq != uint64(i+1) {
			t.Fatalf("received %+v as number %d", m, i)
		}
	}
}

func TestNoLaneToOneself(t *testing.T) {
	d := dynamic(t)
	e := bind(t, d, a)
	want(t, e.TrySend(a, nil), skybus.ErrNoRoute)
	want(t, e.TrySend(0, nil), skybus.ErrNoRoute)
	_, err := e.TryClaim(a, 10)
	want(t, err, skybus.ErrNoRoute)
}

func TestBindDamagedInbox(t *testing.T) {
	d := dynamic(t)
	e := bind(t, d, a)
	e.Close()
	d.Close()
	path := filepath.Join(d.Table().Folder(), fmt.Sprintf("i-%08x", uint32(a)))
	if err := os.WriteFile(path, make([]byte, 4096), 0o660); err != nil {
		t.Fatal(err)
	}
	d = open(t, skybus.Options{Root: filepath.Dir(filepath.Dir(path))})
	_, err := d.Bind(a)
	want(t, err, skybus.ErrDamaged)
	bind(t, d, b) // the others go on
}

func TestBindClosedDomain(t *testing.T) {
	d := dynamic(t)
	d.Close()
	_, err := d.Bind(a)
	want(t, err, skybus.ErrClosed)
	if err := d.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

func TestStatsTellOfTheEndpoint(t *testing.T) {
	d := dynamic(t)
	from, to := pair(t, d)
	send(t, from, b, "12345")
	send(t, to, a, "1")
	send(t, bind(t, d, c), b, "1")
	recv(t, to)
	before := time.Now()
	st, err := from.Stats()
	if err != nil || len(st.Lanes) != 2 {
		t.Fatalf("%d lanes, %v", len(st.Lanes), err)
	}
	if e := st.Endpoint; e.PID != uint32(os.Getpid()) || !e.Bound || e.Addr != a || e.Since.After(before) {
		t.Errorf("the endpoint is %+v", e)
	}
	for _, l := range st.Lanes {
		if l.Src == a && (l.Sent != 1 || l.SentBytes != 5) {
			t.Errorf("the lane is %+v", l)
		}
	}
	from.Close()
	_, err = from.Stats()
	want(t, err, skybus.ErrClosed)
}
