// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

// clearUp ends an end before its test does.
func (e end) clearUp() {
	e.drain.Close()
	e.Binding.Close()
}

func TestCleanWithoutAReader(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	s := newSender(t, table, addrA, addrB)
	for k := range 5 {
		check(t, s.Send(payload(k, 100)))
	}
	n, done, err := table.Clean(s.Pair())
	if n != 5 || !done || err != nil {
		t.Errorf("%d messages, done %v, %v; want 5", n, done, err)
	}
	if l := mustLane(t, table, s.Pair()); l.Messages != 0 || l.Discarded != 5 || l.Received != 0 {
		t.Errorf("%d messages, %d discarded, %d received; want 0, 5, 0", l.Messages, l.Discarded, l.Received)
	}
	check(t, s.Send(payload(5, 100)))
	wantNumbers(t, bindReader(t, table, addrB).all(), 5, 6)
	_, _, err = table.Clean(Pair{addrC, addrD})
	wantErr(t, err, ErrNoRoute)
	wantClean(t, table)
}

// TestCleanAcrossGenerations discards from a lane that has grown unread.
func TestCleanAcrossGenerations(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	s := newSender(t, table, addrA, addrB)
	for k := range 200 {
		check(t, s.Send(payload(k, 100)))
	}
	n, done, err := table.Clean(s.Pair())
	if n != 200 || !done || err != nil {
		t.Errorf("%d messages, done %v, %v; want 200", n, done, err)
	}
	l := mustLane(t, table, s.Pair())
	if l.Messages != 0 || l.Discarded != 200 || l.Generation < 2 || l.Bytes != l.Size+laneDataAt {
		t.Errorf("%+v", l)
	}
	check(t, s.Send(payload(200, 100)))
	wantNumbers(t, bindReader(t, table, addrB).all(), 200, 201)
	wantClean(t, table)
}

// TestCleanLeavesAMarkForTheReader: what was sent before is discarded, what is
// sent after is not.
func TestCleanLeavesAMarkForTheReader(t *testing.T) {
	table, s, to := newPair(t, Config{})
	admin := reopenDomain(t, rootOf(table), Config{})
	for k := range 5 {
		check(t, s.Send(payload(k, 100)))
	}
	wantNumbers(t, [][]byte{to.next()}, 0, 1)
	to.drain.clear(s.slot) // Clean tells the reader anew
	before := to.Bell().Count()
	n, done, err := admin.Clean(s.Pair())
	if n != 4 || done || err != nil {
		t.Errorf("%d messages, done %v, %v; want 4 that are still there", n, done, err)
	}
	if !bitOf(s) || to.Bell().Count() == before {
		t.Errorf("the reader was not told: bit %v, bell %d", bitOf(s), to.Bell().Count()-before)
	}
	if l := mustLane(t, table, s.Pair()); l.Messages != 4 {
		t.Errorf("%d messages, want 4", l.Messages)
	}
	check(t, s.Send(payload(5, 100)))
	wantNumbers(t, to.all(), 5, 6)
	if l := mustLane(t, table, s.Pair()); l.Messages != 0 || l.Discarded != 4 || l.Received != 2 {
		t.Errorf("%d messages, %d discarded, %d received; want 0, 4, 2", l.Messages, l.Discarded, l.Received)
	}
	wantClean(t, table)
}

// damageLane writes a word that is no commit word where the reader looks next.
func damageLane(t testing.TB, table *Table, p Pair) {
	t.Helper()
	l, ok := table.Lane(p)
	if !ok {
		t.Fatalf("there is no lane %s", table.FormatPair(p))
	}
	poke(t, l.Path, laneDataAt+int64(l.Head%l.Size), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
}

// poke writes bytes into a file as another process would.
func poke(t testing.TB, path string, at int64, b ...byte) {
	t.Helper()
	f := must(os.OpenFile(path, os.O_RDWR, 0))(t)
	defer f.Close()
	must(f.WriteAt(b, at))(t)
}

func TestCleanMakesAQuarantinedLaneAnew(t *testing.T) {
	table, s, to := newPair(t, Config{})
	from := must(table.Bind(addrC))(t)
	other := newSender(t, table, addrC, addrB)
	check(t, s.Send(payload(0, 20)))
	check(t, other.Send(payload(0, 20)))
	damageLane(t, table, s.Pair())
	var damaged []addr.Addr
	to.drain.OnDamage = func(src addr.Addr, err error) {
		wantErr(t, err, ErrDamaged)
		damaged = append(damaged, src)
	}
	wantNumbers(t, to.all(), 0, 1) // the other's
	if !slices.Equal(damaged, []addr.Addr{addrA}) {
		t.Errorf("damage was reported of %d, want %d", damaged, addrA)
	}
	wantErrText(t, to.drain.Damaged(), ErrDamaged, "is quarantined")
	wantErrText(t, s.Send(payload(1, 20)), ErrDamaged, "is quarantined")
	_, err := table.NewSender(s.Pair())
	wantErr(t, err, ErrDamaged)
	if l, _ := table.Lane(s.Pair()); !strings.Contains(l.Damage, "position 0") {
		t.Errorf("the reason is %q", l.Damage)
	}

	_, _, err = table.Clean(s.Pair()) // bound
	wantErrText(t, err, ErrInUse, fmt.Sprint(os.Getpid()))
	s.Close()
	other.Close()
	to.clearUp()
	from.Close()
	check(t, closeBinding(table, addrA))
	n, done, err := table.Clean(s.Pair())
	if n != 0 || !done || err != nil {
		t.Fatalf("%d messages, done %v, %v", n, done, err)
	}
	wantClean(t, table)
	s = newSender(t, table, addrA, addrB)
	if s.LastSeq() != 0 {
		t.Errorf("LastSeq of a lane made anew is %d", s.LastSeq())
	}
	check(t, s.Send(payload(7, 20)))
	wantNumbers(t, bindReader(t, table, addrB).all(), 7, 8)
	if sum := table.Info().Bytes; sum != 2*(firstRing+laneDataAt) {
		t.Errorf("the domain accounts for %d bytes", sum)
	}
	wantClean(t, table)
}

// closeBinding ends the binding of a that newPair has made.
func closeBinding(table *Table, a addr.Addr) error {
	table.locks.Unbind(uint32(a))
	held, err := table.locks.Bound(uint32(a))
	if held {
		return fmt.Errorf("address %d is still bound", a)
	}
	return err
}

func TestDeleteRefusals(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	admin := reopenDomain(t, rootOf(table), Config{})
	c := Channel{A: addrA, B: addrB}
	must(admin.Configure([]Channel{c}, false, false))(t)
	me := fmt.Sprintf("PID %d", os.Getpid())
	for _, a := range []addr.Addr{addrA, addrB} {
		b := must(table.Bind(a))(t)
		wantErrText(t, admin.Delete(c, true), ErrInUse, table.Format(a), me)
		b.Close()
	}
	for _, p := range c.lanes() { // one direction is enough
		s := newSender(t, table, p.Src, p.Dst)
		check(t, s.Send(payload(0, 20)))
		wantErrText(t, admin.Delete(c, false), ErrNotEmpty, table.FormatPair(p), ": 1")
		s.Close()
		_, _, err := admin.Clean(p)
		check(t, err)
	}
	for _, a := range []addr.Addr{addrA, addrB} { // a refusal lets the locks go
		must(table.Bind(a))(t).Close()
	}
	damageLane(t, table, Pair{addrA, addrB})
	wantErr(t, admin.Delete(c, false), ErrNotEmpty) // who knows what was in it
	check(t, admin.Delete(c, true))
	if n := len(table.Lanes()); n != 0 || table.Info().Bytes != 0 {
		t.Errorf("%d lanes and %d bytes are left", n, table.Info().Bytes)
	}
	check(t, admin.Delete(c, false)) // nothing to do
	wantClean(t, table)
}

// names writes the ends of channels.
func names(list []Channel) (s []string) {
	for _, c := range list {
		s = append(s, fmt.Sprintf("%d-%d", c.A, c.B))
	}
	return s
}

func wantPlan(t testing.TB, p Plan, created, kept, deleted, resized string) {
	t.Helper()
	got := [4]string{strings.Join(names(p.Created), " "), strings.Join(names(p.Kept), " "), strings.Join(names(p.Deleted), " "), strings.Join(names(p.Resized), " ")}
	if want := [4]string{created, kept, deleted, resized}; got != want {
		t.Errorf("created, kept, deleted, resized: %q\nwant %q", got, want)
	}
}

func TestConfigure(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	ab := Channel{A: addrA, B: addrB, SendSize: 4096, RecvSize: 8192, Priority: 7, Desc: "first"}
	cd := Channel{A: addrC, B: addrD}

	wantPlan(t, must(table.Configure([]Channel{ab, cd}, false, true))(t), "1-2 3-4", "", "", "")
	if n := len(table.Lanes()) + len(table.Endpoints()); n != 0 {
		t.Fatalf("a dry run has made %d entries", n)
	}
	p := must(table.Configure([]Channel{ab, cd}, false, false))(t)
	wantPlan(t, p, "1-2 3-4", "", "", "")
	list := table.Channels()
	if len(list) != 2 || list[0].Number != 1 || list[1].Number != 2 || p.Created[1].Number != 2 {
		t.Fatalf("channels %+v", list)
	}
	got := list[0]
	if got.A != addrA || got.Desc != "first" || got.Priority != 7 || got.SendSize != 4096 || got.RecvSize != 8192 || got.SizeA2B != 4096 || got.SizeB2A != 8192 || got.Half {
		t.Errorf("channel %+v", got)
	}

	// The same again, also the other way round, changes nothing.
	wantPlan(t, must(table.Configure([]Channel{ab, cd}, false, false))(t), "", "1-2 3-4", "", "")
	turned := Channel{A: addrB, B: addrA, SendSize: 8192, RecvSize: 4096}
	wantPlan(t, must(table.Configure([]Channel{turned, cd}, false, false))(t), "", "1-2 3-4", "", "")

	// Another size is only reported.
	turned.SendSize = 4096
	wantPlan(t, must(table.Configure([]Channel{turned, cd}, false, false))(t), "", "1-2 3-4", "", "2-1")
	ab2 := ab
	ab2.RecvSize++
	wantPlan(t, must(table.Configure([]Channel{ab2, cd}, false, false))(t), "", "1-2 3-4", "", "1-2")

	// What is too much and holds messages stays, and nothing else is done.
	s := newSender(t, table, addrD, addrC)
	check(t, s.Send(payload(0, 20)))
	ac := Channel{A: addrA, B: addrC}
	p, err := table.Configure([]Channel{ab, ac}, false, false)
	wantErrText(t, err, ErrNotEmpty, "channel 2")
	wantPlan(t, p, "1-3", "1-2", "3-4", "")
	b := must(table.Bind(addrC))(t)
	_, err = table.Configure([]Channel{ab, ac}, true, false)
	wantErrText(t, err, ErrInUse, "channel 2", fmt.Sprintf("PID %d", os.Getpid()))
	b.Close()
	if list := table.Channels(); !slices.Equal(names(list), []string{"1-2", "3-4"}) || list[1].HoldsB2A != 1 || list[1].HoldsA2B != 0 {
		t.Fatalf("channels %+v", list)
	}
	_, err = table.Configure([]Channel{ab, ac}, true, true) // dry
	check(t, err)
	if len(table.Channels()) != 2 || mustLane(t, table, s.Pair()).Messages != 1 {
		t.Error("a dry run has changed something")
	}
	s.Close()
	wantPlan(t, must(table.Configure([]Channel{ab, ac}, true, false))(t), "1-3", "1-2", "3-4", "")
	list = table.Channels()
	if !slices.Equal(names(list), []string{"1-2", "1-3"}) || list[1].Number != 3 { // numbers are not used again
		t.Errorf("channels %+v", list)
	}
	wantPlan(t, must(table.Configure(nil, false, false))(t), "", "", "1-2 1-3", "")
	if n := len(table.Lanes()); n != 0 || table.Info().Bytes != 0 {
		t.Errorf("%d lanes and %d bytes are left", n, table.Info().Bytes)
	}
	wantClean(t, table)
}

// TestConfigureCompletesAHalfChannel: its creator has died between the lanes.
func TestConfigureCompletesAHalfChannel(t *testing.T) {
	table := newDomain(t, Config{})
	c := Channel{A: addrA, B: addrB, Desc: "whole"}
	must(table.Configure([]Channel{c}, false, false))(t)
	check(t, table.change(func() error {
		i, _ := table.find(Pair{addrA, addrB})
		return table.removeLane(i)
	}))
	list := table.Channels()
	if len(list) != 1 || !list[0].Half || list[0].A != addrA || list[0].B != addrB {
		t.Fatalf("channels %+v", list)
	}
	wantPlan(t, must(table.Configure([]Channel{c}, false, false))(t), "1-2", "", "", "")
	if list = table.Channels(); len(list) != 1 || list[0].Half || list[0].Number != 2 {
		t.Errorf("channels %+v", list)
	}
	wantClean(t, table)
}

func TestConfigureLeavesLanesOnDemand(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	check(t, newSender(t, table, addrC, addrD).Send(payload(0, 20)))
	must(table.Configure([]Channel{{A: addrA, B: addrB}}, false, false))(t)
	wantPlan(t, must(table.Configure(nil, true, false))(t), "", "", "1-2", "")
	wantNumbers(t, bindReader(t, table, addrD).all(), 0, 1)
}

func TestDestroyRefusals(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	admin := reopenDomain(t, rootOf(table), Config{})
	b := must(table.Bind(addrB))(t)
	wantErrText(t, admin.Destroy(true), ErrInUse, table.Format(addrB), fmt.Sprintf("PID %d", os.Getpid()))
	b.Close()
	s := newSender(t, table, addrA, addrB)
	check(t, s.Send(payload(0, 20)))
	wantErrText(t, admin.Destroy(false), ErrNotEmpty, ": 1")
	damageLane(t, table, s.Pair())
	wantErr(t, admin.Destroy(false), ErrNotEmpty)
	must(os.Stat(table.dir))(t)
	check(t, admin.Destroy(true))
	if _, err := os.Stat(table.dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// TestCheckReports makes every violation that Check can tell and looks for it,
// and for nothing else.
func TestCheckReports(t *testing.T) {
	lane := func(table *Table, p Pair) *laneEntry {
		i, _ := table.find(p)
		return table.lane(i)
	}
	ab, cb := Pair{addrA, addrB}, Pair{addrC, addrB}
	write := func(t *testing.T, table *Table, name string) {
		check(t, os.WriteFile(table.path(name), []byte("something"), 0o600))
	}
	tests := []struct {
		name string
		what string
		note bool
		also string // another violation that follows
		do   func(t *testing.T, table *Table)
	}{
		{"lanes counted", "counts 65537 lanes", false, "", func(_ *testing.T, table *Table) { table.st.lanes.Store(laneCap + 1) }},
		{"addresses counted", "counts 65537 addresses", false, "entry", func(_ *testing.T, table *Table) { table.st.endpoints.Store(endpointCap + 1) }},
		{"a change", "was cut off", true, "", func(_ *testing.T, table *Table) { table.st.mutation.Add(1) }},
		{"state of an address", "has state 7", false, "", func(_ *testing.T, table *Table) { table.endpoint(0).state.Store(7) }},
		{"an address twice", "has two entries, one of them 1", false, "", func(_ *testing.T, table *Table) { table.endpoint(1).addr = table.endpoint(0).addr }},
		{"making", "was being made or removed", true, "", func(_ *testing.T, table *Table) { lane(table, ab).state.Store(laneMaking) }},
		{"removing", "was being made or removed", true, "", func(_ *testing.T, table *Table) { lane(table, ab).state.Store(laneRemoving) }},
		{"state of a lane", "has state 9", false, "belong to no lane", func(_ *testing.T, table *Table) { lane(table, ab).state.Store(9) }},
		{"a freed lane's file", "generations [1] belong to no lane", false, "", func(_ *testing.T, table *Table) { lane(table, ab).state.Store(laneFree) }},
		{"the file of a lane being made", "generations [1] belong to no lane", true, "was cut off", func(_ *testing.T, table *Table) {
			lane(table, ab).state.Store(laneFree)
			table.st.mutation.Add(1)
		}},
		{"a lane twice", "has two entries, 0 and 1", false, "", func(_ *testing.T, table *Table) {
			_ = table.freeLane(lane(table, cb))
			e := lane(table, cb)
			e.src = uint32(addrA)
			e.state.Store(laneIdle)
		}},
		{"a lane to itself", "no lane can be between", false, "", func(_ *testing.T, table *Table) {
			e := lane(table, ab)
			_ = table.freeLane(e)
			e.src = e.dst
			e.state.Store(laneIdle)
		}},
		{"a lane from nowhere", "no lane can be between", false, "", func(_ *testing.T, table *Table) {
			e := lane(table, ab)
			_ = table.freeLane(e)
			e.src = uint32(addr.None)
			e.state.Store(laneIdle)
		}},
		{"quarantine", "is quarantined: for a test", false, "", func(_ *testing.T, table *Table) {
			_ = table.quarantine(lane(table, ab), fmt.Errorf("%w: for a test", ErrDamaged))
		}},
		{"no inbox", "its inbox cannot be opened", false, "", func(t *testing.T, table *Table) {
			check(t, os.Remove(table.path(inboxName(addrB))))
		}},
		{"a bad inbox", "inbox of", false, "its inbox cannot be opened", func(t *testing.T, table *Table) {
			poke(t, table.path(inboxName(addrB)), 0, 'X')
		}},
		{"another's inbox", "is the inbox of", false, "", func(t *testing.T, table *Table) {
			b := must(os.ReadFile(table.path(inboxName(addrB))))(t)
			check(t, os.WriteFile(table.path(inboxName(addrD)), b, 0o600))
		}},
		{"a slot not given out", "has slot 5 of an inbox that gave out 2", false, "", func(_ *testing.T, table *Table) { lane(table, ab).slot = 5 }},
		{"a slot twice", "entries 0 and 1 share slot 0", false, "", func(_ *testing.T, table *Table) { lane(table, cb).slot = 0 }},
		{"idle with a file", "was given back, but generation 1 is there", true, "", func(_ *testing.T, table *Table) { lane(table, ab).state.Store(laneIdle) }},
		{"a generation too many", "generation 2 is there, but nothing leads to it", true, "", func(t *testing.T, table *Table) {
			e := lane(table, ab)
			seg := must(table.createLane(e, 2, firstRing, 1))(t)
			seg.Close()
			table.dropLane(e, firstRing)
		}},
		{"a damaged ring", "generation 1: ring is damaged", false, "", func(t *testing.T, table *Table) { damageLane(t, table, ab) }},
		{"a damaged file", "generation 1:", false, "", func(t *testing.T, table *Table) { poke(t, table.path(laneName(ab, 1)), 0, 'X') }},
		{"a gap between generations", "generation 2 begins with sequence 9, the one before ends with 0", false, "", func(t *testing.T, table *Table) {
			s := newSender(t, table, addrA, addrB)
			check(t, s.grow(8<<10))
			s.Close()
			poke(t, table.path(laneName(ab, 2)), laneDataAt+8, 9)
		}},
		{"a generation is missing", "its last generation is missing", false, "accounts for", func(t *testing.T, table *Table) {
			check(t, os.Remove(table.path(laneName(ab, 1))))
		}},
		{"the generation moved to is missing", "its last generation is missing", false, "accounts for", func(t *testing.T, table *Table) {
			s := newSender(t, table, addrA, addrB)
			check(t, s.grow(8<<10))
			s.Close()
			check(t, os.Remove(table.path(laneName(ab, 2))))
		}},
		{"the account", "accounts for 8193 bytes and has 8192", true, "", func(_ *testing.T, table *Table) { lane(table, ab).bytes.Add(1) }},
		{"not announced", "holds 1 messages and its bit is not set", true, "", func(t *testing.T, table *Table) {
			s := newSender(t, table, addrA, addrB)
			check(t, s.Send(payload(0, 20)))
			s.to.page.ready[0].Store(0)
			s.Close()
		}},
		{"a lane that nobody knows", "generations [3 4] belong to no lane", false, "", func(t *testing.T, table *Table) {
			write(t, table, "l-00000007-00000008.3")
			write(t, table, "l-00000007-00000008.4")
		}},
		{"a temporary file", "unfinished file", true, "", func(t *testing.T, table *Table) { write(t, table, ".tmp-l-00000001-00000002.9") }},
		{"something else", "belongs to nothing", false, "", func(t *testing.T, table *Table) { write(t, table, "core") }},
		{"nearly a gate's", "gate-301.vault", false, "", func(t *testing.T, table *Table) {
			write(t, table, "gate-00000301.vault")
			write(t, table, "gate-00000301.sock")
			write(t, table, "gate-301.vault")
		}},
		{"no folder", "cannot be listed", false, "", func(t *testing.T, table *Table) {
			old := table.dir
			table.dir += "-gone"
			t.Cleanup(func() { table.dir = old })
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			maker := newDomain(t, Config{AllowUnknown: true})
			newSender(t, maker, addrA, addrB).Close()
			newSender(t, maker, addrC, addrB).Close()
			bind(t, maker, addrA)
			wantClean(t, maker)
			table := reopenDomain(t, rootOf(maker), Config{}) // it has opened nothing
			if tt.name == "no folder" {
				table = maker
			}
			tt.do(t, maker)
			clock := testutil.StartClock()
			found := table.Check()
			if d := clock.Stop(); d > time.Minute { // each with each other would take many
				t.Errorf("Check took %v", d)
			}
			reported := false
			for i, v := range found {
				switch text := v.String(); {
				case strings.Contains(text, tt.what):
					reported = true
					if v.Note != tt.note || tt.note != strings.HasSuffix(text, "(puts itself right)") {
						t.Errorf("%s: a note: %v, want %v", text, v.Note, tt.note)
					}
				case tt.name == "no folder": // then nothing can be opened
				case tt.also == "" || !strings.Contains(text, tt.also) && !strings.Contains(text, "two entries"):
					if i < 20 {
						t.Errorf("also: %s", text)
					}
				}
			}
			if !reported {
				t.Errorf("not reported: %s", tt.what)
			}
		})
	}
}

// TestCheckOfALaneInUse: what moves while Check looks is no violation.
func TestCheckOfALaneInUse(t *testing.T) {
	table, s, to := newPair(t, Config{})
	check(t, s.Send(payload(0, 50))) // the lane's bit is set from now on: its sender may stand still before it sets it
	to.next()
	stop := make(chan struct{})
	done := make(chan int)
	go func() {
		k := 1
		for ; ; k++ {
			select {
			case <-stop:
				done <- k
				return
			default:
			}
			if s.Send(payload(k, 50)) == nil {
				to.next()
			}
		}
	}()
	for range 100 {
		wantClean(t, table)
	}
	close(stop)
	<-done
	if names, _ := filepath.Glob(table.path("*")); len(names) < 4 {
		t.Errorf("files %v", names)
	}
}
