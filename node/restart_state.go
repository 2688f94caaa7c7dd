// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/sys"
)

// What a program hands on is a file in memory: the head and the body, each a CBOR item. The environment names its descriptor, and
// that of the lock file: "3,7".
const (
	restartVariable = "SKYBUS_RESTART"
	restartMagic    = "skybus-restart"
	restartVersion  = 1
)

// A handedHead is the same in all versions.
type handedHead struct {
	Magic   string
	Version uint32
	Key     int    // of the domain
	Folder  string // of the domain
	Addr    addr.Addr
}

// A handed is the body.
type handed struct {
	Actor actor.State
	Self  actor.Handle // of the node's own service
	Peers []handedPeer
	Lanes []handedLane
}

// A handedPeer is what a node knows of another one.
type handedPeer struct {
	Addr    addr.Addr
	Era     uint64
	Life    uint32
	Known   bool
	Far     bool
	Binds   uint64
	Bound   bool
	Last    uint64
	Watches []handedWatch
	Server  uint32
	Serving []handedServing
	Line    [][]byte
}

type handedWatch struct {
	ID              uint64
	Watcher, Target actor.Handle
	Link            bool
}

type handedServing struct {
	Watcher, Target actor.Handle
	Session         uint64
}

// handedOver returns an environment in which the new program finds what is handed on.
func handedOver(env []string, state, lock *os.File) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(s string) bool { return strings.HasPrefix(s, restartVariable+"=") })
	return append(env, fmt.Sprintf("%s=%d,%d", restartVariable, state.Fd(), lock.Fd()))
}

// write writes what the node hands on.
func (n *Node) write(st *actor.State) (*os.File, error) {
	body := handed{Actor: *st, Self: n.self.Handle, Lanes: n.restart.before.lanes()}
	for _, p := range n.allPeers() {
		body.Peers = append(body.Peers, p.handed())
	}
	head := handedHead{Magic: restartMagic, Version: restartVersion, Key: n.d.Key(), Folder: n.d.Table().Folder(), Addr: n.Addr()}
	f, err := sys.Memfd(restartMagic)
	if err != nil {
		return nil, err
	}
	enc := cbor.NewEncoder(f)
	if err := errors.Join(enc.Encode(head), enc.Encode(body)); err != nil {
		f.Close()
		return nil, fmt.Errorf("write what is handed over: %w", err)
	}
	return f, nil
}

// An inheritance is what a program before has handed on, and holds the address.
type inheritance struct {
	handed
	head handedHead
	lock *os.File // nil: it is an endpoint's
}

// inherited is what the environment named when the program began: nobody that this program starts is to get it.
var inherited struct {
	mu          sync.Mutex
	state, lock *os.File
	err         error
}

func init() {
	text, ok := os.LookupEnv(restartVariable)
	if !ok {
		return
	}
	os.Unsetenv(restartVariable)
	inherited.state, inherited.lock, inherited.err = openInherited(text)
}

// openInherited opens the descriptors that the environment names.
func openInherited(text string) (state, lock *os.File, err error) {
	a, b, _ := strings.Cut(text, ",")
	first, err1 := strconv.ParseUint(a, 10, 31)
	second, err2 := strconv.ParseUint(b, 10, 31)
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, fmt.Errorf("%s=%.40q: want two descriptors, as 3,7", restartVariable, text)
	}
	if state, err = sys.Inherited(int(first), "handed over"); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", restartVariable, err)
	}
	if lock, err = sys.Inherited(int(second), "lock"); err != nil {
		state.Close()
		return nil, nil, fmt.Errorf("%s: %w", restartVariable, err)
	}
	return state, lock, nil
}

// inherit returns what the program before has handed on, once; nil if there is nothing. With an error it is given up.
func inherit(d *skybus.Domain, at addr.Addr) (*inheritance, error) {
	in := &inherited
	in.mu.Lock()
	defer in.mu.Unlock()
	state, lock, err := in.state, in.lock, in.err
	in.state, in.lock, in.err = nil, nil, nil
	if state == nil && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRestart, err)
	}
	defer state.Close()
	h, err := readInheritance(state)
	if err == nil {
		err = h.isFor(d, at)
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("%w: %w", ErrRestart, err)
	}
	h.lock = lock
	return h, nil
}

func readInheritance(f *os.File) (*inheritance, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read what the program before has handed over: %w", err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("read what the program before has handed over: %w", err)
	}
	return parseInheritance(data)
}

var handedDecoder = func() cbor.DecMode {
	mode, err := cbor.DecOptions{MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32}.DecMode()
	if err != nil {
		panic(fmt.Sprintf("node: options of the decoder: %v", err)) // they are constants
	}
	return mode
}()

// parseInheritance reads head and body. What they say is not checked against anything yet.
func parseInheritance(data []byte) (*inheritance, error) {
	h := &inheritance{}
	rest, err := handedDecoder.UnmarshalFirst(data, &h.head)
	switch {
	case err != nil:
		return nil, fmt.Errorf("what the program before has handed over: head: %w", err)
	case h.head.Magic != restartMagic:
		return nil, fmt.Errorf("what the program before has handed over: %.40q stands there, want %q", h.head.Magic, restartMagic)
	case h.head.Version != restartVersion:
		return nil, fmt.Errorf("what the program before has handed over is of version %d, want %d", h.head.Version, restartVersion)
	}
	if err := handedDecoder.Unmarshal(rest, &h.handed); err != nil {
		return nil, fmt.Errorf("what the program before has handed over: body: %w", err)
	}
	return h, nil
}

// isFor says why it is not for a node.
func (h *inheritance) isFor(d *skybus.Domain, at addr.Addr) error {
	if h.head.Key != d.Key() || h.head.Folder != d.Table().Folder() {
		return fmt.Errorf("the program before has handed over a node of domain %d in %s, and this is domain %d in %s", h.head.Key, h.head.Folder, d.Key(), d.Table().Folder())
	}
	if h.head.Addr != at {
		return fmt.Errorf("the program before has handed over the node at %s, and this is %s", d.FormatAddr(h.head.Addr), d.FormatAddr(at))
	}
	return nil
}

// bindBy returns how the node binds its address.
func (h *inheritance) bindBy(opts ...skybus.BindOption) []skybus.BindOption {
	if h == nil {
		return opts
	}
	return append(opts, skybus.WithLock(h.lock))
}

// drop gives the address back.
func (h *inheritance) drop() {
	if h != nil {
		h.lock.Close()
	}
}

// life returns the node's life.
func (h *inheritance) life() uint32 {
	if h == nil {
		return newLife()
	}
	return h.Actor.Life
}
