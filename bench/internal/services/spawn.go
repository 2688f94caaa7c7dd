// SPDX-License-Identifier: Apache-2.0

package services

import (
	"runtime"

	"github.com/skybus-io/skybus/bench/internal/result"
)

// measureSpawn starts services and has each handle a message. Then they idle, and what heap and stacks have grown by is
// theirs. It takes the time that it takes: the duration does not matter.
func measureSpawn(r Runtime, o *Options) (result.Line, error) {
	var left countdown
	left.reset(o.Size)
	before := inUse()
	var m meter
	from := m.mark()
	s, err := r.Start(o.Size, func(_ Context, self int, _ *Message) { left.done(self) })
	if err != nil {
		return result.Line{}, err
	}
	m.count = uint64(o.Size)
	line := between(from, m.mark())
	wake := &Message{}
	for i := range o.Size {
		s.Send(i, wake)
	}
	if err := await(left.zero, o.patience(), "services that have not handled a message"); err != nil {
		return result.Line{}, err
	}
	line.Each = max(0, float64(inUse())-float64(before)) / float64(o.Size)
	err = s.Stop()
	runtime.KeepAlive(s)
	return line, err
}

// inUse is what live objects and stacks take, in bytes.
func inUse() uint64 {
	runtime.GC()
	runtime.GC() // what the first one has only unlinked: pools, finalizers
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc + stats.StackInuse
}
