// SPDX-License-Identifier: Apache-2.0

package services

import (
	"sync"
	"time"

	"github.com/skybus-io/skybus/bench/internal/peer"
	"github.com/skybus-io/skybus/bench/internal/result"
)

const (
	probeEvery  = 200 * time.Microsecond
	fewestProbe = 20 // however short it is

	disturbance uint32 = 1 // kind of what is no probe
)

// A prober sends now and then to services from outside, and finds how long a message is under way: from when it
// is sent to when it is handled. It does not wait for one before it sends the next, so a service that is held up
// is probed all the same, and all probes count.
type prober struct {
	from, to int // services that are probed
	pending  sync.WaitGroup
}

// arrived is what a service that is probed calls.
func (p *prober) arrived(m *Message) {
	m.At = clock() - m.At
	p.pending.Done()
}

// probe sends probes for as long as span says. When it is late, because there was no processor for
// it, it sends at once what is due: how long that takes counts, how late it was does not.
func (p *prober) probe(s Services, span time.Duration) []Message {
	probes := make([]Message, max(fewestProbe, int(span/probeEvery)))
	p.pending.Add(len(probes))
	begin := time.Now()
	for i := range probes {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * probeEvery)))
		probes[i].At = clock()
		s.Send(p.from+i%(p.to-p.from), &probes[i])
	}
	return probes
}

// collect waits for probes and returns how long they took.
func (p *prober) collect(probes []Message, patience time.Duration) (*peer.Histogram, error) {
	if err := awaitGroup(&p.pending, patience, "services that have not handled a message"); err != nil {
		return nil, err
	}
	h := peer.NewHistogram()
	for i := range probes {
		h.Add(probes[i].At)
	}
	return h, nil
}

// compare probes for span, has disturb begin, and probes again. The line has the quantiles of the second time and the
// p99 of the first.
func (p *prober) compare(s Services, span, patience time.Duration, disturb func()) (l result.Line, err error) {
	before, err := p.collect(p.probe(s, span), patience)
	if err != nil {
		return l, err
	}
	disturb()
	var m meter
	from := m.mark()
	probes := p.probe(s, span)
	m.count = uint64(len(probes))
	to := m.mark()
	after, err := p.collect(probes, patience)
	if err != nil {
		return l, err
	}
	l = between(from, to)
	l.P50, l.P99 = float64(after.Quantile(.5)), float64(after.Quantile(.99))
	l.P999, l.Max = float64(after.Quantile(.999)), float64(after.Quantile(1))
	l.CalmP99 = float64(before.Quantile(.99))
	return l, nil
}
