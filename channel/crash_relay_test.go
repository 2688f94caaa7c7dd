// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/ring"
)

func sentAB(w *world) { knownReader(w); w.send(20, 40); w.leaveA() }

// relayOf makes the process the relay of a domain that has a on another host.
func (w *world) relayOf(a addr.Addr) *Relay {
	t := w.open()
	t.SetRoutes(func(b addr.Addr) (bool, error) { return a == b, nil })
	fatal(t.SetRelayKey(1))
	r, err := t.BindRelay()
	fatal(err)
	return r
}

// relayOut turns the lane to the relay, which shows what is in it and confirms, but
// comes to release nothing.
func relayOut(w *world) {
	r := w.relayOf(addrB)
	w.send(30)
	r.News(func(uint32) {})
	src, err := r.Source(laneAB)
	fatal(err)
	recs := make([]ring.Record, BatchSize)
	n, err := src.Take(recs, batchBytes)
	fatal(err)
	for i := range recs[:n] {
		w.got(&recs[i])
	}
	fatal(src.Again())
	src.Confirm(recs[n-1].Seq)
	src.Restart()
	i, _ := w.t.find(laneAB)
	r.Cool(w.t.lane(i).bit())
	src.Close()
	r.Close()
}

// relayIn has the relay write the lane, as a life of another host.
func relayIn(w *world) {
	r := w.relayOf(addrA)
	k, err := r.Sink(laneAB)
	fatal(err)
	fatal(w.led.attached(k.Stored()))
	fatal(k.Renew(w.t.newEpoch(), k.Stored()+1, nil))
	for _, n := range []int{30, 400} {
		m := w.led.get(ledgerAttempted)
		w.led.set(ledgerAttempted, m+1)
		if n > 100 {
			b, err := k.Claim(n, ring.FlagRedel)
			fatal(err)
			copy(b, payload(int(m), n))
		} else {
			fatal(k.Add(payload(int(m), n)))
		}
		k.Commit()
		w.led.set(ledgerAccepted, m+1)
	}
	k.Close()
	r.Close()
}
