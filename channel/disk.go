// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/ring"
	"github.com/skybus-io/skybus/shm"
)

// asyncEvery is how long what was sent asynchronously may be in memory alone; tests
// have rounds come when they want.
var asyncEvery = time.Second

// syncFile is fdatasync; tests look at what it is given, and make it fail.
var syncFile = sys.Sync

// A disk brings on disk what the Sender of a durable lane commits. Commits are
// counted; a round is one fdatasync of each file that is not yet behind us, and
// covers all commits counted before it. One round runs at a time: those who want
// more wait, and share the next. Safe for concurrent use.
//
// Lock order: the Sender's lock comes before mu.
type disk struct {
	fail    func(error) error // takes the lane out of use
	sync    bool              // Send waits for its round
	commits atomic.Uint64     // written with the Sender's lock held, after the commit
	armed   atomic.Bool       // a round will come by itself

	mu      sync.Mutex // guards all below
	ended   sync.Cond  // a round has
	running bool
	done    uint64 // commits that are on disk
	err     error  // a round has failed, or the disk is closed
	files   []*diskFile
	next    *diskFile // made ready for the generation to come
	timer   *time.Timer
	rounds  uint64
}

// A diskFile is one generation.
type diskFile struct {
	file  *os.File
	seg   *shm.Segment // held
	ring  ring.Region
	gen   uint32
	saved uint64 // `released` as the last round has it on disk
}

func newDisk(wait bool, fail func(error) error) *disk {
	d := &disk{sync: wait, fail: fail}
	d.ended.L = &d.mu
	return d
}

// openDisk has s keep its lane's files on disk, and syncs them all: what the last
// producer left in memory counts as accepted (D5).
func (s *Sender) openDisk() error {
	flags := s.e.flags.Load()
	d := newDisk(flags&laneSync != 0 && flags&laneMirror == 0, func(err error) error {
		return s.t.quarantine(s.e, fmt.Errorf("%w: %w", ErrDamaged, err))
	})
	for gen := s.e.gen.Load(); gen <= s.at.gen; gen++ {
		at, err := s.at, error(nil)
		if gen == s.at.gen {
			at.seg.Acquire()
		} else if at, err = s.t.openSegment(s.e, gen); err == nil {
			at.seg.Acquire()
			s.t.pool.put(at.seg)
		}
		if err == nil {
			err = d.add(at)
		}
		if err != nil && (gen == s.at.gen || !errors.Is(err, fs.ErrNotExist)) { // else all of it is consumed
			d.close()
			return err
		}
	}
	if err := d.wait(d.note()); err != nil {
		d.close()
		return err
	}
	s.disk, s.slow = d, true
	s.tx.Hold(d.released())
	return nil
}

// newDiskFile opens the file of at and takes over the caller's hold of at.seg.
func newDiskFile(at segment) (*diskFile, error) {
	f, err := sys.Open(at.seg.Path(), os.O_RDWR, 0)
	if err != nil {
		at.seg.Close()
		return nil, shm.Explain(err, at.seg.Path())
	}
	return &diskFile{file: f, seg: at.seg, ring: at.ring, gen: at.gen}, nil
}

func (f *diskFile) close() {
	f.file.Close()
	f.seg.Close()
}

func (d *disk) add(at segment) error {
	f, err := newDiskFile(at)
	if err == nil {
		d.mu.Lock()
		d.files = append(d.files, f)
		d.mu.Unlock()
	}
	return err
}

// prepare opens the generation that the lane is about to go on in.
func (d *disk) prepare(at segment) error {
	at.seg.Acquire()
	f, err := newDiskFile(at)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.next != nil {
		d.next.close()
	}
	d.next = f
	return nil
}

// enter has the lane go on in at. Nothing is committed there before.
func (d *disk) enter(at segment) error {
	d.mu.Lock()
	ready := d.next != nil && d.next.gen == at.gen
	if ready {
		d.files, d.next = append(d.files, d.next), nil
	}
	d.mu.Unlock()
	if ready {
		return nil
	}
	at.seg.Acquire()
	err := d.add(at)
	if err != nil { // what is committed there can never be vouched for
		err = d.spoil(err)
	}
	return err
}

func (d *disk) spoil(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = d.fail(err)
	return d.err
}

// note counts a commit, and returns what to wait for to have it on disk. The
// Sender's lock is held.
func (d *disk) note() uint64 { return d.commits.Add(1) }

// wait returns when the commits up to number are on disk.
func (d *disk) wait(number uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.done < number {
		switch {
		case d.err != nil:
			return d.err
		case d.running:
			d.ended.Wait()
		default:
			d.roundLocked()
		}
	}
	return nil
}

// roundLocked syncs everything; mu is let go meanwhile.
func (d *disk) roundLocked() {
	d.running = true
	number, files := d.commits.Load(), slices.Clone(d.files)
	d.mu.Unlock()
	err := error(nil)
	saved := uint64(0)
	for _, f := range files { // in their order (D3)
		saved = ring.Position(f.ring) // before: what is there now will be on disk (D4)
		step("durable.sync")
		if err = syncFile(f.file); err != nil {
			err = syncFailed(f.file.Name(), err)
			break
		}
	}
	d.mu.Lock()
	d.running = false
	d.rounds++
	if err != nil {
		d.err = d.fail(err)
	} else {
		d.done = number
		left := max(len(files), 1) - 1
		for _, f := range files[:left] {
			f.close()
		}
		d.files = slices.Delete(d.files, 0, left)
		if len(files) > 0 {
			d.files[0].saved = saved
		}
	}
	d.ended.Broadcast()
}

// syncFailed says the reason first: the lane's entry has room for little more.
func syncFailed(path string, err error) error {
	return fmt.Errorf("fdatasync failed: %w: it is not known what of %s is on disk", err, path)
}

// released is that of the generation being written, as it is on disk.
func (d *disk) released() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.files) == 0 {
		return 0
	}
	return d.files[len(d.files)-1].saved
}

// arm has a round come in time for what was just committed.
func (d *disk) arm() {
	if d.armed.Swap(true) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.timer = time.AfterFunc(asyncEvery, d.flush)
	}
}

// flush is the round that arm announces.
func (d *disk) flush() {
	d.armed.Store(false) // first: what is committed from now on arms anew
	_ = d.wait(d.commits.Load())
}

// close brings on disk what is not there yet and lets the files go.
func (d *disk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	for d.running || d.err == nil && d.done < d.commits.Load() {
		if d.running {
			d.ended.Wait()
		} else {
			d.roundLocked()
		}
	}
	if d.err == nil {
		d.err = os.ErrClosed
	}
	for _, f := range d.files {
		f.close()
	}
	if d.next != nil {
		d.next.close()
	}
	d.files, d.next = nil, nil
}
