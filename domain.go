// SPDX-License-Identifier: Apache-2.0

package skybus

import (
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/names/host"
	"github.com/skybus-io/skybus/shm"
)

// Limits are a domain's budgets.
type Limits = channel.Limits

// Options say how to open a domain. The zero value opens it, and makes it if it
// is not there, with the defaults.
type Options struct {
	// Root is the folder that holds the domains. Default: the environment's
	// SKYBUS_ROOT, or /dev/shm. Processes meet only under the same root.
	Root string

	// MustExist makes Open fail with ErrNoDomain instead of making the domain.
	MustExist bool

	// The next fields count only for the process that makes the domain.

	// Template says how addresses are written. Default: 8.8.8.8.
	Template addr.Template
	// Strict allows lanes only where a channel is configured.
	Strict bool
	// AllowUnknown allows lanes to addresses that were never bound. Without it a
	// typo is ErrNoRoute; with it, messages may be sent before the receiver first runs.
	AllowUnknown bool
	// Limits are the domain's budgets.
	Limits Limits
	// User and Group own the domain's files: names or numbers. Default: whoever
	// makes it. Files have mode 0660, their folder 0770.
	User, Group string

	// Logger gets what an operator should know: damaged lanes, failed upkeep.
	// Default: nothing is logged.
	Logger *slog.Logger
	// Wait is how the domain's endpoints wait. Default: WaitAdaptive.
	Wait Wait
	// OnDamage is called when a lane that an endpoint reads is found damaged and
	// taken out of use. It must not block, and not use the endpoint that found it. The other lanes go on.
	OnDamage func(src, dst addr.Addr, err error)
}

// A Domain is this process's door to one bus. All methods are safe for
// concurrent use.
type Domain struct {
	table *channel.Table
	opts  Options
	log   *slog.Logger

	view atomic.Pointer[routeView] // of the route table that applies; nil before it was asked

	mu        sync.Mutex // guards all below
	endpoints map[*Endpoint]bool
	names     *host.Registry // nil until somebody asks for it
	users     int            // endpoints, and those that are being bound
	closed    bool
	gone      bool          // the table is unmapped, or about to be
	stop      chan struct{} // ends the upkeep; nil while none runs
	upkeep    sync.WaitGroup
}

// Open opens the domain named by key, from 1 to 2^31-1. Errors: ErrNoDomain,
// ErrLayout, ErrDamaged, ErrBudget (no memory), a permission error that says
// which file and which right.
func Open(key int, opts Options) (*Domain, error) {
	if key < 1 || key > 1<<31-1 {
		return nil, fmt.Errorf("domain key %d: want 1 to 2147483647", key)
	}
	access, err := opts.access()
	if err != nil {
		return nil, err
	}
	if opts.Root == "" {
		opts.Root = os.Getenv("SKYBUS_ROOT")
	}
	table, err := channel.Open(opts.Root, uint32(key), channel.Config{
		Template: opts.Template, Strict: opts.Strict, AllowUnknown: opts.AllowUnknown, Limits: opts.Limits, Access: access,
	}, !opts.MustExist)
	if err != nil {
		return nil, err
	}
	d := &Domain{table: table, opts: opts, log: opts.Logger, endpoints: map[*Endpoint]bool{}}
	table.SetRoutes(d.isRemote)
	table.SetDurable(d.durables())
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if err := table.TakeUp(); err != nil { // the domain is of use without these lanes
		d.log.Error("what durable lanes have left behind was not all taken up", "domain", key, "err", err)
	}
	return d, nil
}

func (o *Options) access() (shm.Access, error) {
	a := shm.Keep
	if o.User != "" {
		id := o.User
		if u, err := user.Lookup(o.User); err == nil {
			id = u.Uid
		}
		n, err := strconv.ParseUint(id, 10, 31)
		if err != nil {
			return a, fmt.Errorf("user %q: no such user, and no number", o.User)
		}
		a.UID = int(n)
	}
	if o.Group != "" {
		id := o.Group
		if g, err := user.LookupGroup(o.Group); err == nil {
			id = g.Gid
		}
		n, err := strconv.ParseUint(id, 10, 31)
		if err != nil {
			return a, fmt.Errorf("group %q: no such group, and no number", o.Group)
		}
		a.GID = int(n)
	}
	return a, nil
}

// Key returns the domain's key.
func (d *Domain) Key() int { return int(d.table.Key()) }

// Table gives tools access to the domain's lanes and addresses. It is valid
// until Close.
func (d *Domain) Table() *channel.Table { return d.table }

// ParseAddr reads an address the way the domain writes them.
func (d *Domain) ParseAddr(s string) (addr.Addr, error) { return d.table.Template().Parse(s) }

// FormatAddr writes an address the domain's way.
func (d *Domain) FormatAddr(a addr.Addr) string { return d.table.Format(a) }

// Close closes all endpoints, and ends watches of names. What was sent stays for its receivers. A
// handler that runs is left to finish, and the domain's memory goes with it.
func (d *Domain) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	var list []*Endpoint
	for e := range d.endpoints {
		list = append(list, e)
	}
	d.mu.Unlock()
	for _, e := range list {
		e.Close()
	}
	d.closeNames()
	d.mu.Lock()
	last := d.lastLocked()
	d.mu.Unlock()
	d.unmap(last)
	return nil
}

// enter keeps the table mapped until leave, for an endpoint that is to be bound.
func (d *Domain) enter() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return d.closedErr()
	}
	d.users++
	return nil
}

func (d *Domain) closedErr() error { return fmt.Errorf("domain %d: %w", d.table.Key(), ErrClosed) }

// join adds an endpoint that is bound, for Close to close.
func (d *Domain) join(e *Endpoint) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return d.closedErr()
	}
	d.endpoints[e] = true
	if after := d.table.IdleAfter(); d.stop == nil && after > 0 {
		d.stop = make(chan struct{})
		d.upkeep.Add(1)
		go d.giveBack(d.stop, min(max(after/4, 50*time.Millisecond), 30*time.Second))
	}
	return nil
}

// leave takes an endpoint out, whose last user is done. The last one of a
// closed domain unmaps the table.
func (d *Domain) leave(e *Endpoint) {
	d.mu.Lock()
	delete(d.endpoints, e)
	d.users--
	last := d.lastLocked()
	d.mu.Unlock()
	d.unmap(last)
}

// lastLocked reports, once, that nobody uses the table any more.
func (d *Domain) lastLocked() bool {
	last := d.closed && d.users == 0 && !d.gone
	d.gone = d.gone || last
	return last
}

func (d *Domain) unmap(last bool) {
	if !last {
		return
	}
	if d.stop != nil {
		close(d.stop)
	}
	d.upkeep.Wait()
	d.table.Close()
}

// giveBack returns the memory of lanes that were not used for long.
func (d *Domain) giveBack(stop chan struct{}, every time.Duration) {
	defer d.upkeep.Done()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case now := <-tick.C:
			d.mu.Lock()
			var list []*Endpoint
			for e := range d.endpoints {
				list = append(list, e)
			}
			d.mu.Unlock()
			for _, e := range list {
				e.giveBack(now)
			}
		}
	}
}
