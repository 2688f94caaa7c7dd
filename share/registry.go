// SPDX-License-Identifier: Apache-2.0

package share

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// MaxName is how long the name of a table in a registry may be, in bytes.
const MaxName = 128

// A Registry finds tables by name and lists them. The zero Registry is empty and
// ready to use. All methods may be called by any goroutine; a Registry must not
// be copied after its first use.
type Registry struct {
	mu     sync.RWMutex
	tables map[string]Named
}

// Named is a [Table] of any type.
type Named interface {
	// Name returns the name that the table was made with.
	Name() string
	// Info describes the current version.
	Info() Info

	isTable()
}

// Info describes a table at one moment. How large a value is, is not known.
type Info struct {
	Name    string
	Type    string    // of the value, as Go writes it
	Version uint64    // number of the current version
	Time    time.Time // when that became the current one
	Source  string    // where it is from, if its writer said so
}

// Age returns how long the version has been the current one.
func (i Info) Age() time.Duration { return time.Since(i.Time) }

// Info describes the current version.
func (t *Table[T]) Info() Info {
	v := t.Load()
	return Info{Name: t.name, Type: typeName[T](), Version: v.number, Time: v.time, Source: v.source}
}

func (t *Table[T]) isTable() {}

func typeName[T any]() string { return reflect.TypeFor[T]().String() }

// Add makes a table known by its name. A name is 1 to [MaxName] bytes of
// printable UTF-8 (else [ErrName]), and no other table of the registry may have
// it (else [ErrExists]).
func (r *Registry) Add(t Named) error {
	name := t.Name()
	if err := checkName(name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if have, taken := r.tables[name]; taken {
		return fmt.Errorf("add table %s: a table of %s has this name: %w", quote(name), have.Info().Type, ErrExists)
	}
	if r.tables == nil {
		r.tables = make(map[string]Named)
	}
	r.tables[name] = t
	return nil
}

func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("add table: its name is empty, want 1 to %d bytes: %w", MaxName, ErrName)
	case len(name) > MaxName:
		return fmt.Errorf("add table %s: its name has %d bytes, want 1 to %d: %w", quote(name), len(name), MaxName, ErrName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return fmt.Errorf("add table %s: its name has bytes that are not text: %w", quote(name), ErrName)
	}
	return nil
}

// Remove makes a name free again, and reports whether a table had it. Those who
// hold the table may go on using it.
func (r *Registry) Remove(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, found := r.tables[name]
	delete(r.tables, name)
	return found
}

// List describes all tables, in the order of their names.
func (r *Registry) List() []Info {
	r.mu.RLock()
	tables := slices.Collect(maps.Values(r.tables))
	r.mu.RUnlock()
	list := make([]Info, 0, len(tables))
	for _, t := range tables {
		list = append(list, t.Info())
	}
	slices.SortFunc(list, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Lookup returns the table of a name. It fails with [ErrNotFound] when there is
// none, and with [ErrType] when its values are not of type T. A service looks
// once and keeps the table: it stays the same while its versions change.
func Lookup[T any](r *Registry, name string) (*Table[T], error) {
	r.mu.RLock()
	found, ok := r.tables[name]
	r.mu.RUnlock()
	if !ok {
		return nil, fmt.Errorf("look up table %s: %w", quote(name), ErrNotFound)
	}
	t, ok := found.(*Table[T])
	if !ok {
		return nil, fmt.Errorf("look up table %s: it holds %s, asked for %s: %w", quote(name), found.Info().Type, typeName[T](), ErrType)
	}
	return t, nil
}
