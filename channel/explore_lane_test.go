// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"hash/maphash"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A fileModel is the part of a model whose lane gets new segments and loses old
// ones: from A to B, one message sent and taken.
type fileModel struct {
	table  *Table
	to     end
	entry  *laneEntry
	before []snapshot
	files  map[string][]byte // of the lane

	reader bellReader
	inside *actor // who holds the change lock
}

func newFileModel(t *testing.T) fileModel {
	m := fileModel{table: newDomain(t, Config{}), files: map[string][]byte{}}
	m.to = bindReader(t, m.table, addrB)
	bind(t, m.table, addrA)
	s := newSender(t, m.table, addrA, addrB)
	check(t, s.Send(payload(0, 0)))
	wantNumbers(t, m.to.all(), 0, 1)
	i, _ := m.table.find(laneAB)
	m.entry = m.table.lane(i)
	s.Close()
	m.to.drain.Close()
	path := m.table.lanePath(m.entry, 1)
	m.files[path] = must(os.ReadFile(path))(t)
	m.before = snapshotOf(m.to.inbox.seg.Mem(), m.table.seg.Mem()[:tableHeaderSize], m.table.seg.Mem()[m.table.laneAt:][:laneSize])
	m.reader = bellReader{cools: true, batch: 1, before: 1}
	return m
}

// restart makes the files anew, and a reader that polls the lane.
func (m *fileModel) restart() {
	for _, p := range m.table.pool.open {
		for range p.ends {
			p.seg.Close()
		}
	}
	m.table.pool = newPool()
	for _, name := range m.laneFiles() {
		fatal(os.Remove(name))
	}
	for name, data := range m.files {
		fatal(os.WriteFile(name, data, 0o600))
	}
	putBack(m.before)
	m.inside = nil
	d, err := m.to.Drain()
	fatal(err)
	d.Sweep()
	m.reader.drain = d
	m.reader.reset(m.to.Bell(), 1)
}

func (m *fileModel) laneFiles() []string {
	names, err := filepath.Glob(m.table.path("l-*"))
	fatal(err)
	return names
}

func (m *fileModel) senderState(h *maphash.Hash, s *Sender) {
	maphash.WriteComparable(h, [3]uint64{s.tx.NextSeq(), uint64(s.at.gen), s.idle})
	maphash.WriteComparable(h, [3]bool{s.rung == m.reader.episode, s.rung == 0, s.at.seg == nil})
}

// blocked: the change lock is held by another one.
func (m *fileModel) blocked(a *actor) bool {
	return a.site == "table.lock" && m.inside != nil && m.inside != a
}

// passed notes who holds the lock: from the step before it is taken to the one
// after it was given back.
func (m *fileModel) passed(a *actor, site string) {
	switch {
	case site == "table.lock":
		m.inside = a
	case slices.Contains([]string{"table.end", killedSite}, site) && m.inside == a:
		m.inside = nil
	}
}

func (m *fileModel) private() []string {
	return []string{"ring.rx.released", "channel.freed", "shm.create", "shm.allocated", "shm.rename", "table.begin", "channel.stray"}
}

func (m *fileModel) shared(h *maphash.Hash) {
	m.reader.sleeper.state(h, m.reader.bell.Sleeping())
	e := m.entry
	maphash.WriteComparable(h, [4]uint64{uint64(e.state.Load()), uint64(e.gen.Load()), e.lastSeq.Load(), m.to.inbox.page.ready[0].Load()})
	for _, name := range m.laneFiles() {
		b, err := os.ReadFile(name)
		fatal(err)
		h.WriteString(name)
		h.Write(b[laneMarksAt:laneProducerAt])
		h.Write(b[laneDataAt : laneDataAt+firstRing])
	}
}
