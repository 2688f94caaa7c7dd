// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/skybus-io/skybus/actor"
)

//go:generate go run github.com/skybus-io/skybus/cmd/skybus gen --type Root --out root_rpc.go

// A Root gives objects names, for others to find. A name is free again when the service of its
// object has ended. Names that are used are held: an object that lives by leases lives while it has one.
type Root interface {
	// Register names an object. Errors: actor.ErrNameTaken; the name is not 1 to 255 bytes, or the object is nil.
	Register(ctx context.Context, name string, o Object) error
	// Unregister frees a name. Errors: ErrNoName.
	Unregister(ctx context.Context, name string) error
	// Lookup returns the object that has the name: As makes a Ref of it. Errors: ErrNoName.
	Lookup(ctx context.Context, name string) (Object, error)
	// List returns the names that begin with prefix, sorted.
	List(ctx context.Context, prefix string) ([]Named, error)
	// Watch streams what there is with the prefix, and then each change. It ends with ErrSlow when
	// 4096 changes wait.
	Watch(ctx context.Context, prefix string) (iter.Seq2[NameChange, error], error)
}

// Named is a name and its object.
type Named struct {
	Name   string
	Object Object
}

// A NameChange says that a name has another object; the zero Object: none.
type NameChange struct {
	Name     string
	Old, New Object
}

// ErrNoName means that nothing has the name.
var ErrNoName = errors.New("no such name")

// RootName is what the service of StartRoot is called.
const RootName = "root"

func init() {
	RegisterError("rpc.NoName", ErrNoName)
}

// StartRoot starts a service that is a Root, called "root". Not for handlers. Errors: those of Runtime.Start.
func StartRoot(ctx context.Context, rt *actor.Runtime) (Ref[Root], error) {
	p, err := rt.Start(ctx, actor.Spec{Name: RootName, New: Serve(NewRoot)})
	return RefOf[Root](p), err
}

// mostChanges bounds what waits for a watcher.
const mostChanges = 4096

type root struct {
	names    map[string]Object
	watches  map[actor.PID]*actor.Monitor // of the services that have names
	watchers []*nameWatcher
}

// A nameWatcher is a stream of changes.
type nameWatcher struct {
	prefix  string
	changes []NameChange
	slow    bool
}

func (*nameWatcher) String() string { return "change of a name" }

// NewRoot returns a Root for a Serve of one's own.
func NewRoot() Root {
	return &root{names: map[string]Object{}, watches: map[actor.PID]*actor.Monitor{}}
}

// Handle is Handler's: the end of a service that has names.
func (r *root) Handle(c *actor.Context, m *actor.Message) error {
	down, ok := m.Value.(actor.Down)
	if !ok || m.Kind != actor.KindDown {
		return fmt.Errorf("%w: nobody handles a %T", actor.ErrType, m.Value)
	}
	delete(r.watches, down.Service)
	for _, n := range r.list("") {
		if n.Object.PID == down.Service {
			r.change(c, NameChange{Name: n.Name, Old: n.Object})
		}
	}
	return nil
}

func (r *root) Register(ctx context.Context, name string, o Object) error {
	switch old, taken := r.names[name]; {
	case name == "" || len(name) > 255:
		return fmt.Errorf("name %.40q: want 1 to 255 bytes", name)
	case o.IsZero():
		return fmt.Errorf("name %q: %w", name, ErrNilRef)
	case taken:
		return fmt.Errorf("name %q: %w by %v", name, actor.ErrNameTaken, old)
	}
	c := FromContext(ctx)
	if o.PID.Node.IsNone() { // as the Down has it
		o.PID.Node = c.Self().Node
	}
	if r.watches[o.PID] == nil {
		m, err := c.Monitor(o.PID)
		if err != nil {
			return fmt.Errorf("name %q: %w", name, err)
		}
		r.watches[o.PID] = m
	}
	if o.Number&leased != 0 {
		hold(c.Runtime(), o, c.Self())
	}
	r.change(c, NameChange{Name: name, New: o})
	return nil
}

func (r *root) Unregister(ctx context.Context, name string) error {
	o, ok := r.names[name]
	if !ok {
		return fmt.Errorf("name %q: %w", name, ErrNoName)
	}
	c := FromContext(ctx)
	r.change(c, NameChange{Name: name, Old: o})
	if !r.has(func(other Object) bool { return other.PID == o.PID }) {
		r.watches[o.PID].Stop()
		delete(r.watches, o.PID)
	}
	return nil
}

func (r *root) Lookup(_ context.Context, name string) (Object, error) {
	o, ok := r.names[name]
	if !ok {
		return o, fmt.Errorf("name %q: %w", name, ErrNoName)
	}
	return o, nil
}

func (r *root) List(_ context.Context, prefix string) ([]Named, error) { return r.list(prefix), nil }

func (r *root) list(prefix string) []Named {
	list := []Named{}
	for name, o := range r.names {
		if strings.HasPrefix(name, prefix) {
			list = append(list, Named{name, o})
		}
	}
	slices.SortFunc(list, func(a, b Named) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (r *root) has(is func(Object) bool) bool {
	for _, o := range r.names {
		if is(o) {
			return true
		}
	}
	return false
}

// change makes a change and tells who watches.
func (r *root) change(c *actor.Context, n NameChange) {
	if n.New.IsZero() {
		delete(r.names, n.Name)
		if n.Old.Number&leased != 0 && !r.has(n.Old.Same) {
			letGo(c.Runtime(), n.Old, c.Self())
		}
	} else {
		r.names[n.Name] = n.New
	}
	for _, w := range r.watchers {
		switch {
		case !strings.HasPrefix(n.Name, w.prefix):
			continue
		case len(w.changes) >= mostChanges:
			w.slow = true
		default:
			w.changes = append(w.changes, n)
		}
		c.Wakeup(w)
	}
}

func (r *root) Watch(ctx context.Context, prefix string) (iter.Seq2[NameChange, error], error) {
	return func(yield func(NameChange, error) bool) {
		w := &nameWatcher{prefix: prefix}
		for _, n := range r.list(prefix) {
			w.changes = append(w.changes, NameChange{Name: n.Name, New: n.Object})
		}
		r.watchers = append(r.watchers, w)
		defer func() {
			r.watchers = slices.DeleteFunc(r.watchers, func(other *nameWatcher) bool { return other == w })
		}()
		for {
			for len(w.changes) > 0 {
				n := w.changes[0]
				if w.changes = w.changes[1:]; !yield(n, nil) {
					return
				}
			}
			err := ErrSlow
			if !w.slow {
				err = Wait(ctx, w)
			}
			if err != nil {
				yield(NameChange{}, err)
				return
			}
		}
	}, nil
}
