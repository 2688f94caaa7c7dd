// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/skybus-io/skybus/names"
)

// edit changes the claims of a name: f gets those that are alive.
func (r *Registry) edit(t *table, name string, alive *census, f func([]names.Claim) ([]names.Claim, error)) error {
	rec, err := t.find(name)
	if err != nil {
		return err
	}
	list, err := alive.living(rec.claims)
	if err != nil {
		return err
	}
	if list, err = f(list); err != nil {
		return err
	}
	return t.put(&rec, list)
}

// Request asks for a name. It waits while another process makes a change, until ctx is over. Errors:
// names.ErrTaken; ErrNotBound, if o is at no address that is bound here; names.ErrFull; ErrDamaged; shm.ErrNoSpace;
// ErrGone; os.ErrClosed; ctx's cause.
func (r *Registry) Request(ctx context.Context, name string, o names.Owner, f names.Flags) (s names.Standing, err error) {
	if err := names.Check(name); err != nil {
		return 0, err
	}
	if f&^(names.AllowReplacement|names.Replace|names.NoQueue) != 0 {
		return 0, fmt.Errorf("request %q: flags %#x: want a sum of 1, 2 and 4", name, uint8(f))
	}
	var refused error
	err = r.with(ctx, func(t *table) error {
		life, bound, err := r.lifeOf(o.Addr)
		if err != nil || !bound || o.Addr.IsNone() {
			return cmp.Or(err, fmt.Errorf("%v: %w", o.Addr, ErrNotBound))
		}
		return r.edit(t, name, r.census(), func(list []names.Claim) ([]names.Claim, error) {
			list, s, refused = names.Ask(list, names.Claim{Owner: o, Life: life, Flags: f})
			if len(list) > names.MaxQueue {
				return nil, fmt.Errorf("%w: %d wait for it", names.ErrFull, len(list)-1)
			}
			return list, nil
		})
	})
	if err = cmp.Or(err, refused); err != nil {
		return 0, fmt.Errorf("request %q: %w", name, err)
	}
	return s, nil
}

// Release gives a name up, or a place in its queue. Errors: names.ErrNotOwner; those of Request.
func (r *Registry) Release(ctx context.Context, name string, o names.Owner) error {
	var refused error
	err := r.with(ctx, func(t *table) error {
		return r.edit(t, name, r.census(), func(list []names.Claim) ([]names.Claim, error) {
			list, refused = names.GiveUp(list, o)
			return list, nil
		})
	})
	if err = cmp.Or(err, refused); err != nil {
		return fmt.Errorf("release %q: %w", name, err)
	}
	return nil
}

// with is change with the lock taken and given back.
func (r *Registry) with(ctx context.Context, f func(t *table) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.leave()
	return r.change(f)
}

// Owners returns a name's owner and then its queue; none: nobody has the name. It takes no lock. Dead ones
// are left out, and removed if that needs no waiting. Errors: ErrDamaged; os.ErrClosed; ctx's cause.
func (r *Registry) Owners(ctx context.Context, name string) ([]names.Owner, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var list, all []names.Claim
	err := r.look(func(t *table) error {
		if t == nil {
			return nil
		}
		rec, err := t.find(name)
		if err == nil {
			all = rec.claims
			list, err = r.census().living(all)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("owners of %q: %w", name, err)
	}
	if len(list) < len(all) {
		r.bury(name)
	}
	owners := make([]names.Owner, len(list))
	for i, c := range list {
		owners[i] = c.Owner
	}
	return owners, nil
}

// List returns the names that begin with prefix and have a live owner, sorted. It takes no
// lock; they are not of one moment. Errors: those of Owners.
func (r *Registry) List(ctx context.Context, prefix string) (list []names.Change, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	alive := r.census()
	var dead []string
	err = r.look(func(t *table) error {
		if t == nil {
			return nil
		}
		return t.each(func(bucket []record) error {
			for _, rec := range bucket {
				if !strings.HasPrefix(rec.name, prefix) {
					continue
				}
				living, err := alive.living(rec.claims)
				if err != nil {
					return err
				}
				if len(living) < len(rec.claims) {
					dead = append(dead, rec.name)
				}
				if len(living) > 0 {
					list = append(list, names.Change{Name: rec.name, New: living[0].Owner})
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list names: %w", err)
	}
	r.bury(dead...)
	slices.SortFunc(list, func(a, b names.Change) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// buryMost is how many names are cleared of their dead before others have their turn.
const buryMost = 256

// bury takes dead claims out of names. While others make changes it leaves that to whoever looks
// next.
func (r *Registry) bury(list ...string) {
	for part := range slices.Chunk(list, buryMost) {
		if !r.tryEnter() {
			return
		}
		err := r.change(func(t *table) error { return r.editAll(t, part) })
		r.leave()
		if err != nil {
			return // whoever asks for a name is told
		}
	}
}

func (r *Registry) editAll(t *table, list []string) error {
	alive := r.census()
	for _, name := range list {
		if err := r.edit(t, name, alive, func(l []names.Claim) ([]names.Claim, error) { return l, nil }); err != nil {
			return err
		}
	}
	return nil
}
