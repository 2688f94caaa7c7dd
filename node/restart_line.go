// SPDX-License-Identifier: Apache-2.0

package node

import "bytes"

// holdLine returns when nothing of the line is sent any more.
func (p *peer) holdLine() {
	p.mu.Lock()
	p.lineHeld = true
	var still chan struct{}
	if p.sending {
		still = make(chan struct{})
		p.still = still
	}
	if l := p.first; l != nil && l.stop != nil {
		l.stop()
	}
	p.mu.Unlock()
	if still != nil {
		<-still
	}
}

// releaseLine undoes holdLine.
func (p *peer) releaseLine() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lineHeld = false
	if p.first != nil && !p.sending {
		p.sending = true
		p.n.done.Go(p.sendLine)
	}
}

// stays leaves the first in line where it is: its sending was ended by holdLine. With mu held.
func (p *peer) stays(l *later, err error) bool {
	if err == nil || l.back || !p.lineHeld {
		return false
	}
	l.stop = nil
	return true
}

// waiting returns the envelopes in line.
func (p *peer) waiting() (list [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := p.first; l != nil; l = l.next {
		if !l.back {
			list = append(list, bytes.Clone(l.b))
		}
	}
	return list
}
