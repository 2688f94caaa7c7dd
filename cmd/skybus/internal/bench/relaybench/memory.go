// SPDX-License-Identifier: Apache-2.0

package relaybench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/cmd/skybus/internal/child"
)

const (
	looking = 100 * time.Millisecond // between two looks at the daemons
	still   = 5                      // looks without a change after which everything is in place
	filling = 2 * time.Minute        // until then
)

// RunMemory sends Queued bytes into Lanes lanes from one host to the other, where
// the destinations are bound and nothing is received, waits until the daemons
// move nothing any more, and gives what they keep for themselves to report, for
// each of Sizes. It takes up to four times Queued of memory below Root. Errors as
// of Run; also when less waits than was sent.
func RunMemory(ctx context.Context, o Options, report func(Memory) error) error {
	if err := o.CheckMemory(); err != nil {
		return err
	}
	o.setDefaults()
	for _, size := range o.Sizes {
		m, err := o.fill(ctx, size)
		if err != nil {
			return fmt.Errorf("fill %d lanes by messages of %d bytes: %w", o.Lanes, size, err)
		}
		if err := report(m); err != nil {
			return err
		}
	}
	return nil
}

// fill is one measurement.
func (o *Options) fill(ctx context.Context, size int) (m Memory, err error) {
	each := int((o.Queued + int64(o.Lanes*size) - 1) / int64(o.Lanes*size))
	err = o.onHosts(ctx, o.limits(size, each), func(h *hosts) error {
		var parts [2]*child.Process
		for i := range parts {
			p, err := child.Start(o.Hold, hold{Root: h.roots[i], Fill: i == 0, Size: size, Lanes: o.Lanes, Each: each})
			if err != nil {
				return err
			}
			defer p.Kill()
			parts[i] = p
		}
		w := watch{hosts: h, parts: parts, lanes: o.Lanes, sent: uint64(o.Lanes * each)}
		if m, err = w.run(ctx); err != nil {
			return err
		}
		m.Size, m.TLS = size, o.tls()
		if err := parts[1].Stop(patience); err != nil {
			return err
		}
		if err := h.stop(); err != nil {
			return err
		}
		a, b := h.busy()
		m.CPU = parts[0].Busy() + parts[1].Busy() + a + b
		return nil
	})
	return m, err
}

// limits let each lane of the origin take all that is sent into it, in rings that
// double while nothing is released. The far side's are the defaults.
func (o *Options) limits(size, each int) [2]skybus.Limits {
	record := uint64(size+16+15) &^ 15
	lane := uint64(64 << 10)
	for lane < 2*record*uint64(each) {
		lane *= 2
	}
	return [2]skybus.Limits{{GrowBytes: lane, MaxBytes: 2 * lane * uint64(o.Lanes)}, {MaxBytes: 2 * max(lane, 1<<20) * uint64(o.Lanes)}}
}

// watch looks at two hosts while lanes are filled.
type watch struct {
	hosts *hosts
	parts [2]*child.Process // fills, holds
	lanes int
	sent  uint64 // messages
}

// run returns what the daemons have when nothing changes any more.
func (w *watch) run(ctx context.Context) (m Memory, err error) {
	var tables [2]*skybus.Domain
	err = both(func(i int) (err error) {
		tables[i], err = skybus.Open(domainKey, skybus.Options{Root: w.hosts.roots[i], MustExist: true})
		return err
	})
	for _, d := range tables {
		if d != nil {
			defer d.Close()
		}
	}
	if err != nil {
		return m, err
	}
	ctx, cancel := context.WithTimeout(ctx, filling)
	defer cancel()
	m = Memory{Name: "skybus-relay", Mode: "memory", Lanes: w.lanes}
	var before [2]waiting
	for same := 0; same < still; {
		if err := w.look(&m); err != nil {
			return m, err
		}
		var now [2]waiting
		if w.ended() { // counting walks all records: not while they are sent
			now = [2]waiting{count(tables[0]), count(tables[1])}
		}
		if same++; now != before || now[1].lanes < w.lanes {
			same, before = 0, now
		}
		select {
		case <-ctx.Done():
			return m, w.late(ctx, before)
		case <-time.After(looking):
		}
	}
	m.Queued, m.Stored = before[0].bytes, before[1].bytes
	if before[0].messages != w.sent {
		return m, fmt.Errorf("%d messages wait at the origin, %d were sent and none was taken", before[0].messages, w.sent)
	}
	return m, nil
}

// late is the error of a measurement whose context has ended.
func (w *watch) late(ctx context.Context, n [2]waiting) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return fmt.Errorf("not everything in place after %v: %d of %d messages at the origin, %d of %d lanes at the far side",
		filling, n[0].messages, w.sent, n[1].lanes, w.lanes)
}

// ended says whether everything was sent.
func (w *watch) ended() bool {
	select {
	case <-w.parts[0].Done():
		return true
	default:
		return false
	}
}

// look reads the memory of both daemons, and fails when a process has.
func (w *watch) look(m *Memory) error {
	if err := w.hosts.alive(); err != nil {
		return err
	}
	if w.ended() {
		var f filled
		if err := w.parts[0].Result(&f); err != nil {
			return err
		}
	}
	select {
	case <-w.parts[1].Done():
		return errors.Join(errNoResult, w.parts[1].Err())
	default:
	}
	var list [2]uint64
	err := both(func(i int) (err error) {
		list[i], err = anon(w.hosts.daemons[i].pid())
		return err
	})
	m.First, m.Second = list[0], list[1]
	m.Anon = max(m.First, m.Second)
	m.Peak = max(m.Peak, m.Anon)
	return err
}

// waiting is what waits in a domain's lanes.
type waiting struct {
	lanes    int // that have something
	messages uint64
	bytes    uint64
}

func count(d *skybus.Domain) (n waiting) {
	for _, l := range d.Table().Lanes() {
		if l.Messages == 0 || !counted(&l) {
			continue
		}
		n.lanes++
		n.messages += l.Messages
		n.bytes += l.Waiting
	}
	return n
}

// counted reports whether a lane is one of those that are filled.
func counted(l *channel.LaneInfo) bool {
	return l.Err == nil && l.Src>>8 == firstSource>>8 && l.Dst>>8 == firstDest>>8
}

// anon returns the bytes of memory that a process has for itself: what is mapped
// from files and shared is not in it.
func anon(pid int) (uint64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	return rssAnon(text)
}

// rssAnon finds the line "RssAnon:     1234 kB".
func rssAnon(status []byte) (uint64, error) {
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		value, ok := strings.CutPrefix(lines.Text(), "RssAnon:")
		if !ok {
			continue
		}
		kib, ok := strings.CutSuffix(strings.TrimSpace(value), " kB")
		n, err := strconv.ParseUint(kib, 10, 54)
		if err != nil || !ok {
			return 0, fmt.Errorf("RssAnon is %q, want kB", strings.TrimSpace(value))
		}
		return n << 10, nil
	}
	return 0, errors.New("no RssAnon in the status of the process")
}
