// SPDX-License-Identifier: Apache-2.0

package relay_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/relay"
	"github.com/skybus-io/skybus/route"
	"github.com/skybus-io/skybus/shm"
)

// A machine is one of two hosts on this one.
type machine struct {
	t      *testing.T
	name   string
	root   string
	dom    *skybus.Domain
	daemon *relay.Daemon
	listen string
	c      relay.Config
}

// machines starts two hosts whose daemons know each other: benchSrc and its
// neighbours live on the first, benchDst and its on the second.
func machines(t *testing.T, change func(i int, c *relay.Config)) [2]*machine {
	t.Helper()
	testutil.NoLeaks(t)
	var ms [2]*machine
	for i, name := range []string{"east", "west"} {
		m := &machine{t: t, name: name, root: testutil.Dir(t), listen: "127.0.0.1:0"}
		var err error
		if m.dom, err = skybus.Open(1, skybus.Options{Root: m.root, AllowUnknown: true}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.dom.Close() })
		m.c = relay.Config{Table: m.dom.Table(), Root: m.root, Host: name, RelayKey: 1, Undeliverable: filepath.Join(t.TempDir(), "undeliverable")}
		if change != nil {
			change(i, &m.c)
		}
		m.start()
		t.Cleanup(func() { m.daemon.Close() })
		m.listen = m.daemon.Addr().String()
		ms[i] = m
	}
	ms[0].route(ms[1], prefix(t, "0.0.2.*"))
	ms[1].route(ms[0], prefix(t, "0.0.1.*"))
	return ms
}

func prefix(t *testing.T, s string) addr.Prefix {
	t.Helper()
	p, err := addr.Default.ParsePrefix(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (m *machine) start() {
	m.t.Helper()
	m.c.Listen = m.listen
	d, err := relay.Start(m.c)
	for end := time.Now().Add(patience); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); { // of a connection of another process
		time.Sleep(10 * time.Millisecond)
		d, err = relay.Start(m.c)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.daemon = d
}

// restart ends the daemon and starts another.
func (m *machine) restart() {
	m.t.Helper()
	m.daemon.Close()
	m.start()
}

func (m *machine) route(to *machine, p addr.Prefix) {
	m.t.Helper()
	table := &route.Table{
		Key: 1, Self: m.name, Hosts: []route.Host{{Name: to.name, Address: to.listen}},
		Rules: []route.Rule{{Prefix: p, Host: to.name}},
	}
	if err := route.Store(m.root, table, shm.Keep); err != nil {
		m.t.Fatal(err)
	}
	m.daemon.Reload()
}

func (m *machine) bind(a addr.Addr) *skybus.Endpoint {
	m.t.Helper()
	return benchBind(m.t, m.dom, a)
}

// status waits until the daemon's status is as ok wants it.
func (m *machine) status(what string, ok func(*relay.Status) bool) *relay.Status {
	m.t.Helper()
	var s *relay.Status
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var err error
		if s, err = relay.Ask(m.dom.Table().Folder(), "status"); err == nil && ok(s) {
			return s
		}
	}
	m.t.Fatalf("%s: the status never became so: %+v", what, s)
	return nil
}

// patience is how long something may take that should come soon.
const patience = 90 * time.Second

// soon is over when the messages of a test should have come long ago.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(stop)
	return ctx
}

// count sends n numbered messages to dst.
func count(ctx context.Context, from *skybus.Endpoint, dst addr.Addr, n int) error {
	b := make([]byte, 8)
	for k := range n {
		binary.LittleEndian.PutUint64(b, uint64(k))
		if err := from.Send(ctx, dst, b); err != nil {
			return err
		}
	}
	return nil
}

// counted receives them, each once and in order.
func counted(ctx context.Context, to *skybus.Endpoint, n int) error {
	for k := range n {
		m, err := to.Recv(ctx)
		if err != nil {
			return fmt.Errorf("after %d: %w", k, err)
		}
		if m.Gap != nil || m.Redelivered || len(m.Data) != 8 || binary.LittleEndian.Uint64(m.Data) != uint64(k) || m.Seq != uint64(k+1) {
			return fmt.Errorf("message %d: %+v", k, m)
		}
	}
	return nil
}

func TestMessagesCrossBothWays(t *testing.T) {
	ms := machines(t, nil)
	a, b := ms[0].bind(benchSrc), ms[1].bind(benchDst)
	ctx := soon(t)
	const n = 5000
	errs := make(chan error, 4)
	go func() { errs <- count(ctx, a, benchDst, n) }()
	go func() { errs <- count(ctx, b, benchSrc, n) }()
	go func() { errs <- counted(ctx, a, n) }()
	go func() { errs <- counted(ctx, b, n) }()
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for _, m := range ms {
		s := m.status("links are up", func(s *relay.Status) bool {
			for _, l := range s.Links {
				if l.State != "up" {
					return false
				}
			}
			return len(s.Links) == 2
		})
		if l := s.Links[0]; l.Peer == m.name || l.SentMessages+l.ReceivedMessages == 0 {
			t.Errorf("status of %s: %+v", m.name, s)
		}
	}
}

// A sender sees at once what the routes say, and nobody binds what lives elsewhere.
func TestRoutesAreSeenAtOnce(t *testing.T) {
	ms := machines(t, func(_ int, c *relay.Config) {})
	a := ms[0].bind(benchSrc)
	if _, err := ms[0].dom.Bind(benchDst); !errors.Is(err, skybus.ErrNoRoute) || !strings.Contains(err.Error(), "west") {
		t.Errorf("bind of an address on another host: %v", err)
	}
	if err := a.TrySend(benchDst, nil); err != nil {
		t.Errorf("send over a route: %v", err)
	}
	ms[0].route(ms[1], prefix(t, "0.0.3.*"))
	if err := a.TrySend(addr.Addr(0x0305), nil); err != nil {
		t.Errorf("send over a new route: %v", err)
	}
	b, err := ms[0].dom.Bind(benchDst)
	if err != nil {
		t.Fatalf("bind of an address that came home: %v", err)
	}
	defer b.Close()
}

func TestOneDaemonADomain(t *testing.T) {
	ms := machines(t, nil)
	c := ms[0].c
	c.Listen = ""
	if _, err := relay.Start(c); !errors.Is(err, channel.ErrInUse) {
		t.Errorf("a second daemon: %v", err)
	}
}

// Daemons are replaced while messages cross: nothing is lost or doubled.
func TestDaemonsAreReplacedUnderLoad(t *testing.T) {
	ms := machines(t, nil)
	a, b := ms[0].bind(benchSrc), ms[1].bind(benchDst)
	ctx := soon(t)
	const n = 60_000
	errs := make(chan error, 2)
	go func() { errs <- count(ctx, a, benchDst, n) }()
	go func() { errs <- counted(ctx, b, n) }()
	for k := range 6 {
		time.Sleep(30 * time.Millisecond)
		ms[k%2].restart()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// A receiver that does not read stalls its own lane only.
func TestAStalledReceiverHoldsUpNobody(t *testing.T) {
	ms := machines(t, nil)
	a, slow, quick := ms[0].bind(benchSrc), ms[1].bind(benchDst), ms[1].bind(benchDst+1)
	ctx := soon(t)
	full := 0
	for ; full < 100_000; full++ {
		short, stop := context.WithTimeout(ctx, 2*time.Second)
		err := a.Send(short, benchDst, make([]byte, 4000))
		stop()
		if err != nil {
			break
		}
	}
	// The machine may have stood still, and the lane not be full yet.
	ms[0].status("the stall is shown", func(s *relay.Status) bool {
		for _, h := range s.Hops {
			if h.Stalled && h.Dst == ms[0].dom.FormatAddr(benchDst) {
				return true
			}
		}
		for full < 100_000 && a.TrySend(benchDst, make([]byte, 4000)) == nil {
			full++
		}
		return false
	})
	if full < 10 || full == 100_000 {
		t.Fatalf("%d messages were taken for a receiver that does not read", full)
	}
	errs := make(chan error, 1)
	go func() { errs <- count(ctx, a, benchDst+1, 2000) }()
	if err := errors.Join(counted(ctx, quick, 2000), <-errs); err != nil {
		t.Error(err)
	}
	for range full {
		if _, err := slow.Recv(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// A message that the far side never takes is saved, told of, and out of the way.
func TestWhatTheFarSideDoesNotTakeIsSaved(t *testing.T) {
	ms := machines(t, func(i int, c *relay.Config) {
		if i == 1 {
			c.Limits.MaxRecord = 1 << 10
		}
	})
	a, b := ms[0].bind(benchSrc), ms[1].bind(benchDst)
	ctx := soon(t)
	big := strings.Repeat("x", 2000)
	for _, text := range []string{"one", big, "three"} {
		if err := a.Send(ctx, benchDst, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	var got []skybus.Message
	for range 3 {
		m, err := b.Recv(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	if string(got[0].Data) != "one" || got[1].Gap == nil || got[1].Gap.From != 2 || got[1].Gap.To != 2 || string(got[2].Data) != "three" || got[2].Seq != 3 {
		t.Errorf("received %+v", got)
	}
	files, err := filepath.Glob(filepath.Join(ms[0].c.Undeliverable, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("saved: %v, %v", files, err)
	}
	if data, err := os.ReadFile(files[0]); err != nil || string(data) != big {
		t.Errorf("%d bytes were saved, %v", len(data), err)
	}
}

// A host sends only from the addresses that the other side's routes give it.
func TestAHostSpeaksForItsOwnAddressesOnly(t *testing.T) {
	ms := machines(t, nil)
	foreign := addr.Addr(0x0901)
	a, b := ms[0].bind(foreign), ms[1].bind(benchDst)
	ctx := soon(t)
	if err := a.Send(ctx, benchDst, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	s := ms[0].status("the lane is refused", func(s *relay.Status) bool { return len(s.Hops) == 1 && s.Hops[0].Error != "" })
	if h := s.Hops[0]; !strings.Contains(h.Error, "0.0.9.1") {
		t.Errorf("the refusal does not name the source: %q", h.Error)
	}
	if m, err := b.TryRecv(); !errors.Is(err, skybus.ErrEmpty) {
		t.Errorf("received %+v, %v", m, err)
	}
	ms[1].route(ms[0], prefix(t, "0.0.9.*")) // and not before it is allowed; then nothing is lost
	if m, err := b.Recv(ctx); err != nil || string(m.Data) != "hello" {
		t.Errorf("received %+v, %v", m, err)
	}
}

func TestTheDaemonAnswersNonsense(t *testing.T) {
	ms := machines(t, nil)
	path := filepath.Join(ms[0].dom.Table().Folder(), channel.DaemonSocket)
	for _, line := range []string{"\n", "{}\n", "nonsense\n", `{"do":"dance"}` + "\n", strings.Repeat("x", 10_000) + "\n"} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		answer, err := bufio.NewReader(c).ReadString('\n')
		if err != nil && len(line) < 4096 || err == nil && !strings.Contains(answer, `"error"`) {
			t.Errorf("%.20q: %q, %v", line, answer, err)
		}
		c.Close()
	}
	if _, err := relay.Ask(t.TempDir(), "status"); !errors.Is(err, relay.ErrNoDaemon) {
		t.Errorf("asked where nobody is: %v", err)
	}
}

// Whoever connects and is no daemon is refused, and does no harm.
func TestStrangersAreRefused(t *testing.T) {
	ms := machines(t, nil)
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("\x00", 100), "x"} {
		c, err := net.Dial("tcp", ms[0].listen)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(text))
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, _ = c.Read(make([]byte, 1000))
		c.Close()
	}
	ms[0].status("they are counted", func(s *relay.Status) bool { return s.Refused >= 2 })
	a, b := ms[0].bind(benchSrc), ms[1].bind(benchDst)
	ctx := soon(t)
	if err := errors.Join(count(ctx, a, benchDst, 10), counted(ctx, b, 10)); err != nil {
		t.Error(err)
	}
}

func TestConfigurationsThatMakeNoSense(t *testing.T) {
	d, err := skybus.Open(1, skybus.Options{Root: testutil.Dir(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for want, c := range map[string]relay.Config{
		"no name":       {RelayKey: 1},
		"relay key 0":   {Host: "a"},
		"longer than":   {Host: strings.Repeat("a", 300), RelayKey: 1},
		"HOST:PORT":     {Host: "a", RelayKey: 1, Listen: "nowhere"},
		"99 connection": {Host: "a", RelayKey: 1, Connections: map[string]int{"b": 99}},
	} {
		c.Table = d.Table()
		if _, err := relay.Start(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
