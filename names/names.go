// SPDX-License-Identifier: Apache-2.0

// Package names says what a registry of names is, on one host or on many: a name has an
// owner and a queue of those that would be next, as on D-Bus.
//
// Floor 1: the bus implements it, and services use it.
package names

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/skybus-io/skybus/addr"
)

// ErrTaken means that another one owns the name, and the request was not to wait.
var ErrTaken = errors.New("the name has another owner")

// ErrNotOwner means that neither the name's owner nor its queue is the one that gives it up.
var ErrNotOwner = errors.New("not an owner of the name")

// ErrFull means that the registry has no room for another name, or that as many as may wait for
// the name already: MaxQueue.
var ErrFull = errors.New("no room for another name")

// MaxName is the length of the longest name, in bytes.
const MaxName = 255

// An Owner is who has a name: a service at an address.
type Owner struct {
	Addr   addr.Addr
	Handle uint64
}

// IsZero reports whether o is nobody.
func (o Owner) IsZero() bool { return o == Owner{} }

// Flags say how a name is asked for.
type Flags uint8

const (
	// AllowReplacement lets one that asks with Replace have the name.
	AllowReplacement Flags = 1 << iota
	// Replace takes the name from an owner that allows it. That one becomes the first of the
	// queue, unless it has asked with NoQueue.
	Replace
	// NoQueue has the request fail with ErrTaken where it would wait for the name, or be
	// replaced and wait.
	NoQueue
)

// A Standing is what a request came to.
type Standing uint8

const (
	// Owns says that the name is the requester's.
	Owns Standing = iota + 1
	// Waits says that it is in the queue.
	Waits
)

// A Change says that a name got another owner.
type Change struct {
	Name     string
	Old, New Owner // zero: nobody
}

// A Registry has the names of a host, or of many. Any goroutine may call its methods. An
// owner's death releases its names.
type Registry interface {
	// Request asks for a name. One that has or awaits it already keeps its place and gets the new
	// flags, unless these take it further. Errors: ErrTaken; ErrFull; of a name that is none.
	Request(ctx context.Context, name string, o Owner, f Flags) (Standing, error)
	// Release gives a name up, or a place in its queue. Errors: ErrNotOwner.
	Release(ctx context.Context, name string, o Owner) error
	// Owners returns a name's owner and then its queue; none: nobody has the name.
	Owners(ctx context.Context, name string) ([]Owner, error)
	// List returns the names that begin with prefix, sorted, each with its owner.
	List(ctx context.Context, prefix string) ([]Change, error)
	// Watch calls f for each name that begins with prefix and has an owner, and then for each
	// change, in order, until ctx is over. Changes of a name that came between two looks may
	// be told as one. Errors: ctx's; f's.
	Watch(ctx context.Context, prefix string, f func(Change) error) error
}

// Check says what is wrong with a name.
func Check(name string) error {
	switch {
	case name == "" || len(name) > MaxName:
		return fmt.Errorf("name %q: want 1 to %d bytes", name, MaxName)
	case strings.ContainsAny(name, " \t\r\n/:"):
		return fmt.Errorf("name %q: want no space, slash or colon", name)
	}
	return nil
}
