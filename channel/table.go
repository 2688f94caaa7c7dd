// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/ring"
	"github.com/skybus-io/skybus/shm"
)

// DefaultRoot is the folder that holds the domains.
const DefaultRoot = "/dev/shm"

// Limits are a domain's budgets, set when it is made. Zero fields mean the default.
type Limits struct {
	MaxLanes   int           // lanes of the domain; default and most 65,536
	MaxBytes   uint64        // bytes of all lanes; default half of the file system
	MaxMessage int           // bytes of one message; default 16 MiB, at most 256 MiB
	GrowBytes  uint64        // a lane that is full grows up to this, between hosts to four times as much; default 1 MiB, larger messages make it larger
	IdleAfter  time.Duration // an on-demand lane unused so long gives its memory back; default 10 min, negative never
}

// Config is what a domain is made with. It has no effect on one that exists.
type Config struct {
	Template     addr.Template // how addresses are written; zero is 8.8.8.8
	Strict       bool          // lanes only where a configured channel is
	AllowUnknown bool          // lanes also to addresses that were never bound
	Limits       Limits
	Access       shm.Access
}

const (
	laneCap     = 1 << 16
	endpointCap = 1 << 16
	laneChunk   = 64 // entries that get memory together
	endChunk    = 32

	openTries  = 100  // to join a domain that is being destroyed and made anew
	firstRing  = 4096 // with its header page an on-demand lane starts at 8 KiB
	maxMessage = 256 << 20
)

// A Pair names a lane.
type Pair struct{ Src, Dst addr.Addr }

// A Table is one process's view of a domain. Safe for concurrent use.
//
// Lock order: the change lock (shm.Locks), then mu. A Sender's mutex comes
// before both.
type Table struct {
	dir      string
	key      uint32
	cfg      Config
	seg      *shm.Segment
	file     *os.File // of the table, to allocate more of it
	locks    *shm.Locks
	st       *tableState
	pool     *pool
	laneAt   int // offset of the lane entries
	routes   Routes
	durables Durables

	mu        sync.Mutex
	lanes     map[Pair]uint32
	inboxes   map[addr.Addr]*inbox
	byDst     map[addr.Addr][]uint32
	endpoints map[addr.Addr]uint32
	seenLanes uint32 // entries below are in the maps
	seenEnds  uint32
	seenEpoch uint64
}

// Dir returns the folder of the domain with that key.
func Dir(root string, key uint32) string {
	if root == "" {
		root = DefaultRoot
	}
	return filepath.Join(root, "skybus-"+strconv.FormatUint(uint64(key), 10))
}

// Open opens the domain key under root, and makes it when create is set and
// there is none.
func Open(root string, key uint32, cfg Config, create bool) (*Table, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	dir := Dir(root, key)
	for tries := 0; ; tries++ {
		if create {
			if err := shm.MakeDir(dir, cfg.Access); err != nil {
				return nil, err
			}
		}
		t, err := open(dir, key, cfg, create)
		if !errors.Is(err, errGone) || tries == openTries {
			return t, err
		}
	}
}

// errGone means that the domain was destroyed while it was being opened.
var errGone = errors.New("the domain was destroyed")

func open(dir string, key uint32, cfg Config, create bool) (*Table, error) {
	locks, err := shm.OpenLocks(filepath.Join(dir, "lock"), create, cfg.Access)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		return nil, errGone
	case errors.Is(err, fs.ErrNotExist):
		_ = os.Remove(dir) // if it is empty: its destroyer came no further
		return nil, fmt.Errorf("%w: key %d (%s is not there)", ErrNoDomain, key, dir)
	case err != nil:
		return nil, err
	}
	t := &Table{dir: dir, key: key, cfg: cfg, locks: locks, pool: newPool(), inboxes: map[addr.Addr]*inbox{}}
	if err = t.ensure(create); err == nil {
		err = t.attach()
	}
	if err == nil {
		err = t.current(errGone) // locks and table may be of two domains
	}
	if errors.Is(err, fs.ErrNotExist) || create && errors.Is(err, ErrNoDomain) {
		err = errGone // between two of these steps
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// current returns gone if the domain was destroyed since it was opened, also if
// another one has been made in its place.
func (t *Table) current(gone error) error {
	ok, err := t.locks.Current()
	if ok && err == nil {
		ok, err = sys.SameFile(t.file, t.path("table"))
	}
	if !ok && err == nil {
		err = gone
	}
	return err
}

func (c *Config) check() error {
	l := &c.Limits
	switch {
	case l.MaxLanes < 0 || l.MaxLanes > laneCap:
		return fmt.Errorf("MaxLanes %d: want 0 (default) to %d", l.MaxLanes, laneCap)
	case l.MaxMessage < 0 || l.MaxMessage > maxMessage:
		return fmt.Errorf("MaxMessage %d: want 0 (default) to %d bytes", l.MaxMessage, maxMessage)
	case l.GrowBytes > ring.MaxSize:
		return fmt.Errorf("GrowBytes %d: want at most %d", l.GrowBytes, ring.MaxSize)
	}
	return nil
}

func (t *Table) path(name string) string { return filepath.Join(t.dir, name) }

// ensure makes the table's file, once in the life of the domain. A folder without
// one is of a process that died while it made or destroyed the domain: what it
// left is removed.
func (t *Table) ensure(create bool) error {
	if _, err := os.Stat(t.path("table")); err == nil {
		return nil
	}
	if err := t.locks.Change(); err != nil {
		return err
	}
	defer t.locks.Changed()
	if ok, err := t.locks.Current(); err != nil || !ok {
		return errors.Join(err, errGone)
	}
	if _, err := os.Stat(t.path("table")); err == nil {
		return nil // another process was quicker
	}
	if !create {
		return errors.Join(fmt.Errorf("%w: key %d (%s is not there)", ErrNoDomain, t.key, t.path("table")), removeDomain(t.dir))
	}
	if err := removeRest(t.dir); err != nil {
		return err
	}
	seg, err := shm.Create(t.path("table"), t.spec())
	if err != nil {
		return fmt.Errorf("make domain %d: %w", t.key, err)
	}
	seg.Close()
	return nil
}

func (t *Table) spec() shm.Spec {
	body := tableBody{key: t.key, laneCap: laneCap, endpointCap: endpointCap}
	copy(body.template[:], t.cfg.Template.String())
	return shm.Spec{
		Magic: magicTable, Access: t.cfg.Access, Now: time.Now().UnixNano(),
		Size:  tableHeaderSize + endpointCap*endpointSize + laneCap*laneSize,
		Alloc: tableHeaderSize,
		Body:  bodyBytes(&body),
		Init:  func(mem []byte) { t.cfg.store(shm.View[tableState](mem, tableStateAt), t.dir) },
	}
}

// store writes the limits, defaults filled in, into a new table.
func (c *Config) store(st *tableState, dir string) {
	l := c.Limits
	if l.MaxBytes == 0 {
		_, total, _ := sys.Free(dir)
		l.MaxBytes = max(total/2, 64<<20)
	}
	if l.IdleAfter == 0 {
		l.IdleAfter = 10 * time.Minute
	}
	st.maxLanes.Store(uint32(orDefault(l.MaxLanes, laneCap)))
	st.maxBytes.Store(l.MaxBytes)
	st.maxMessage.Store(uint64(orDefault(l.MaxMessage, 16<<20)))
	st.growBytes.Store(ring.SizeFor(0, orDefault(l.GrowBytes, 1<<20)))
	st.idleSecs.Store(uint32(max(l.IdleAfter.Seconds(), 0)))
	if l.IdleAfter > 0 && l.IdleAfter < time.Second {
		st.idleSecs.Store(1)
	}
	if c.Strict {
		st.flags.Store(tableStrict)
	} else if c.AllowUnknown {
		st.flags.Store(tableAllowUnknown)
	}
}

func orDefault[T int | uint64](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// attach maps the table and checks that it is what it should be.
func (t *Table) attach() error {
	f, err := sys.Open(t.path("table"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: key %d (%s is not there)", ErrNoDomain, t.key, t.path("table"))
	}
	if err != nil {
		return shm.Explain(err, t.path("table"))
	}
	t.file = f
	if t.seg, err = shm.OpenFile(f, magicTable, false); err != nil {
		return fmt.Errorf("open domain %d: %w", t.key, damage(err))
	}
	body := bodyOf[tableBody](t.seg.Body())
	want := tableHeaderSize + int(body.endpointCap)*endpointSize + int(body.laneCap)*laneSize
	if body.key != t.key || body.laneCap != laneCap || body.endpointCap != endpointCap || want != len(t.seg.Mem()) {
		return fmt.Errorf("%w: %s is of domain %d with room for %d addresses and %d lanes in %d bytes, want domain %d, %d and %d",
			ErrDamaged, t.path("table"), body.key, body.endpointCap, body.laneCap, len(t.seg.Mem()), t.key, endpointCap, laneCap)
	}
	if t.cfg.Template, err = addr.ParseTemplate(text(body.template[:])); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, t.path("table"), err)
	}
	t.st = shm.View[tableState](t.seg.Mem(), tableStateAt)
	t.laneAt = tableHeaderSize + int(body.endpointCap)*endpointSize
	t.cfg.Access, err = t.owner()
	return err
}

// owner returns the access that the domain's folder has, so that files made
// later by any process belong to the same group.
func (t *Table) owner() (shm.Access, error) {
	return shm.AccessOf(t.dir)
}

// Close unmaps everything. No Sender, Drain or lease of this table may be in use.
func (t *Table) Close() {
	t.mu.Lock()
	for _, in := range t.inboxes {
		in.seg.Close()
	}
	t.inboxes = nil
	t.mu.Unlock()
	if t.seg != nil {
		t.seg.Close()
	}
	if t.file != nil {
		t.file.Close()
	}
	t.locks.Close()
}

// Key returns the domain's key.
func (t *Table) Key() uint32 { return t.key }

// Folder returns the domain's folder.
func (t *Table) Folder() string { return t.dir }

// Template returns how the domain's addresses are written.
func (t *Table) Template() addr.Template { return t.cfg.Template }

// Format writes an address the domain's way.
func (t *Table) Format(a addr.Addr) string { return t.cfg.Template.Format(a) }

// MaxMessage returns the largest message of the domain in bytes.
func (t *Table) MaxMessage() int { return int(min(t.st.maxMessage.Load(), maxMessage)) }

// Strict reports whether lanes exist only where a channel is configured.
func (t *Table) Strict() bool { return t.st.flags.Load()&tableStrict != 0 }

// IdleAfter returns after which time an unused lane is given back; 0 is never.
func (t *Table) IdleAfter() time.Duration {
	return time.Duration(t.st.idleSecs.Load()) * time.Second
}

func (t *Table) lane(i uint32) *laneEntry {
	return shm.View[laneEntry](t.seg.Mem(), t.laneAt+int(i)*laneSize)
}

func (t *Table) endpoint(i uint32) *endpointEntry {
	return shm.View[endpointEntry](t.seg.Mem(), tableHeaderSize+int(i)*endpointSize)
}

func (t *Table) laneCount() uint32     { return min(t.st.lanes.Load(), laneCap) }
func (t *Table) endpointCount() uint32 { return min(t.st.endpoints.Load(), endpointCap) }

// refreshLocked brings the maps up to date with what other processes have made.
func (t *Table) refreshLocked() {
	if e := t.st.epoch.Load(); e != t.seenEpoch || t.lanes == nil {
		t.lanes, t.byDst = map[Pair]uint32{}, map[addr.Addr][]uint32{}
		t.seenLanes, t.seenEpoch = 0, e
	}
	if t.endpoints == nil {
		t.endpoints = map[addr.Addr]uint32{}
	}
	for n := t.laneCount(); t.seenLanes < n; t.seenLanes++ {
		e := t.lane(t.seenLanes)
		if s := e.state.Load(); s != laneLive && s != laneIdle {
			continue
		}
		p := Pair{addr.Addr(e.src), addr.Addr(e.dst)}
		t.lanes[p] = t.seenLanes
		t.byDst[e.reader()] = append(t.byDst[e.reader()], t.seenLanes)
	}
	for n := t.endpointCount(); t.seenEnds < n; t.seenEnds++ {
		e := t.endpoint(t.seenEnds)
		if e.state.Load() == endpointKnown {
			t.endpoints[addr.Addr(e.addr)] = t.seenEnds
		}
	}
}

// find returns the entry of a lane.
func (t *Table) find(p Pair) (i uint32, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refreshLocked()
	i, ok = t.lanes[p]
	return i, ok
}

func (t *Table) findEndpoint(a addr.Addr) (e *endpointEntry, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refreshLocked()
	i, ok := t.endpoints[a]
	if !ok {
		return nil, false
	}
	return t.endpoint(i), true
}

// lanesTo returns the entries of the lanes that a reads.
func (t *Table) lanesTo(a addr.Addr) []uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refreshLocked()
	return t.byDst[a]
}

// text returns the bytes up to the first 0.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func step(site string) {
	if invariant.Enabled {
		invariant.Step(site)
	}
}
