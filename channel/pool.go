// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"sync"

	"github.com/skybus-io/skybus/shm"
)

// A pool keeps one mapping a segment, however many ends of it this process
// has. Safe for concurrent use.
type pool struct {
	mu   sync.Mutex
	open map[string]*pooled
}

type pooled struct {
	seg  *shm.Segment
	ends int
}

func newPool() *pool { return &pool{open: map[string]*pooled{}} }

// get returns the segment at path, mapped by load if it is not yet. Each get
// wants a put. A mapping whose file has lost its name is left to its holders:
// the lane may have been deleted and made anew since.
func (p *pool) get(path string, load func(path string) (*shm.Segment, error)) (*shm.Segment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, ok := p.open[path]; ok && s.seg.Named() {
		s.ends++
		return s.seg.Acquire(), nil
	}
	seg, err := load(path)
	if err != nil {
		return nil, err
	}
	p.open[path] = &pooled{seg: seg, ends: 1}
	return seg, nil
}

func (p *pool) put(seg *shm.Segment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.open[seg.Path()]; s != nil && s.seg == seg {
		if s.ends--; s.ends == 0 {
			delete(p.open, seg.Path())
		}
	}
	seg.Close()
}
