// SPDX-License-Identifier: Apache-2.0

package skybus

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/ring"
)

const recentLanes = 64

// An Endpoint is an address that this process has bound. All methods are safe
// for concurrent use unless they say otherwise.
//
// Lock order: rmu before a Sender's mutex before the table's locks; smu and the
// parker's mutex are innermost.
type Endpoint struct {
	d     *Domain
	addr  addr.Addr
	bound *channel.Binding
	mode  Wait
	park  *parker
	given *os.File // holds the address since the program before; nil once it is bound

	spinFor atomic.Int64 // how long an adaptive wait spins, ns
	rest    atomic.Int64 // short waits until it spins long again
	vain    atomic.Int64 // what rest begins with after the next long spin that finds nothing
	canSpin atomic.Bool  // there is a processor to spare
	waited  atomic.Bool  // a wait was long: the next turn looks at the clock
	closed  atomic.Bool
	done    chan struct{} // closed when the address is free again

	early    atomic.Uint64 // messages that were released while they were held
	handling atomic.Bool   // a handler may run; set before closed is looked at

	recent  [recentLanes]atomic.Pointer[channel.Sender] // by the address's low bits: a send finds its lane without a lock
	smu     sync.RWMutex                                // guards senders
	senders map[addr.Addr]*channel.Sender

	rmu       sync.Mutex // guards all below, unless receiving is set: then the receiving goroutine alone uses drain and recs
	drain     *channel.Drain
	recs      []ring.Record
	receiving bool
	turns     uint32
	swept     time.Time
	ready     *readiness
}

// A BindOption changes how an address is bound.
type BindOption func(*Endpoint)

// WithWait sets how the endpoint's calls wait.
func WithWait(w Wait) BindOption { return func(e *Endpoint) { e.mode = w.or(e.mode) } }

// Bind takes address a for this process. Only one live process can have it; it
// is free again after Close, or when the process ends, however that happens.
// Messages that wait for the address are received after that. Errors: ErrInUse
// (it says who), ErrBoundElsewhere (it says on which host, as far as the daemon here
// has heard), ErrNoRoute (a strict domain does not know a, or a route leads elsewhere), ErrBudget,
// ErrClosed.
func (d *Domain) Bind(a addr.Addr, opts ...BindOption) (*Endpoint, error) {
	e := &Endpoint{
		d: d, addr: a, mode: d.opts.Wait.or(WaitAdaptive), done: make(chan struct{}),
		senders: map[addr.Addr]*channel.Sender{}, recs: make([]ring.Record, channel.BatchSize), swept: time.Now(),
	}
	for _, o := range opts {
		o(e)
	}
	e.spinFor.Store(int64(maxSpin))
	e.canSpin.Store(canSpin())
	if err := d.enter(); err != nil { // keeps the table mapped
		return nil, err
	}
	if err := e.bind(); err != nil {
		d.leave(e)
		return nil, fmt.Errorf("bind: %w", err)
	}
	if err := d.join(e); err != nil { // closed meanwhile
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *Endpoint) bind() (err error) {
	if err := e.d.mayLive(e.addr, e.given != nil); err != nil {
		return err
	}
	if e.bound, err = e.take(); err != nil {
		return err
	}
	if e.drain, err = e.bound.Drain(); err != nil {
		e.bound.Close()
		return err
	}
	e.drain.OnDamage = e.damaged
	e.park = newParker(e.bound.Bell())
	e.drain.Sweep() // a writer may have died unheard while nobody was bound
	return nil
}

func (e *Endpoint) damaged(src addr.Addr, err error) {
	if !errors.Is(err, ErrDamaged) { // no memory, no descriptors: each sweep tries again
		e.d.log.Warn("lane cannot be read now", "src", e.d.FormatAddr(src), "dst", e.d.FormatAddr(e.addr), "err", err)
		return
	}
	e.d.log.Error("lane taken out of use", "src", e.d.FormatAddr(src), "dst", e.d.FormatAddr(e.addr), "err", err)
	if f := e.d.opts.OnDamage; f != nil {
		f(src, e.addr, err)
	}
}

// Addr returns the address.
func (e *Endpoint) Addr() addr.Addr { return e.addr }

// Domain returns the domain.
func (e *Endpoint) Domain() *Domain { return e.d }

func (e *Endpoint) closedErr() error {
	return fmt.Errorf("endpoint %s: %w", e.d.FormatAddr(e.addr), ErrClosed)
}

// Close gives the address back. Calls that wait return ErrClosed. Nothing is
// lost: what was sent stays for its receivers, and what was not received waits
// for the next process that binds the address. When Close returns the address is
// free, unless a handler runs. Close waits for a Batch that is not committed; it
// does not wait for a handler, so a handler may call it: the address is then free
// when the handler returns.
func (e *Endpoint) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	late := time.AfterFunc(time.Second, func() {
		e.d.log.Warn("Close waits for a Batch or Claim that is neither committed nor aborted", "addr", e.d.FormatAddr(e.addr))
	})
	for _, s := range e.allSenders() { // without smu: a batch's owner may need it first
		s.Close()
	}
	late.Stop()
	e.park.close()
	e.rmu.Lock()
	busy := e.receiving
	e.rmu.Unlock()
	switch {
	case !busy:
		e.finish()
	case !e.handling.Load(): // then no handler starts any more: the loop is about to end
		<-e.done
	}
	return nil
}

// allSenders returns the lanes that are open. After closed is set no others come.
func (e *Endpoint) allSenders() []*channel.Sender {
	e.smu.RLock()
	defer e.smu.RUnlock()
	return slices.Collect(maps.Values(e.senders))
}

// finish lets the address go, when nobody uses the inbox any more.
func (e *Endpoint) finish() {
	e.rmu.Lock()
	if e.drain == nil {
		e.rmu.Unlock()
		<-e.done // another goroutine is at it
		return
	}
	e.drain.Close()
	e.drain = nil
	ready := e.ready
	e.rmu.Unlock()
	if ready != nil {
		ready.close()
	}
	e.bound.Close()
	close(e.done)
	e.d.leave(e)
}

// Stats are counts of one endpoint's lanes, for the life of the lanes.
type Stats struct {
	Lanes    []channel.LaneInfo
	Endpoint channel.EndpointInfo
}

// Stats reads the counters of all lanes that begin or end at the address. It
// stops nobody; the counts of different lanes are not of one moment.
func (e *Endpoint) Stats() (Stats, error) {
	if !e.park.enter() { // keeps the table mapped
		return Stats{}, e.closedErr()
	}
	defer e.park.leave()
	var st Stats
	st.Endpoint, _ = e.d.table.Endpoint(e.addr)
	for _, l := range e.d.table.Lanes() {
		if l.Src == e.addr || l.Dst == e.addr {
			st.Lanes = append(st.Lanes, l)
		}
	}
	return st, nil
}

// Other tells of an address of the domain: what its table says of whoever has it, and whether
// the routes place it on another host. Errors: ErrClosed, those of the route table.
func (e *Endpoint) Other(a addr.Addr) (info channel.EndpointInfo, remote bool, err error) {
	if !e.park.enter() { // keeps the table mapped
		return info, false, e.closedErr()
	}
	defer e.park.leave()
	if remote, err = e.d.isRemote(a); err == nil && !remote {
		info, _ = e.d.table.Endpoint(a)
	}
	return info, remote, err
}

// Binds returns how often an address was bound, 0 if it never was, or this endpoint is closed: it is
// quick to ask, and tells whether Other has something new.
func (e *Endpoint) Binds(a addr.Addr) uint64 {
	if !e.park.enter() {
		return 0
	}
	defer e.park.leave()
	return e.d.table.Binds(a)
}
