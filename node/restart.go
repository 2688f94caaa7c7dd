// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/node/envelope"
)

// ErrRestart means that a hot restart was not possible, or that Start cannot go on with what the program before has
// handed over: the error says why.
var ErrRestart = errors.New("hot restart")

// RestartOptions say what a process is to become. The zero value is the newest build of what it is.
type RestartOptions struct {
	Path string   // of the program; "": this one's, whatever file has that name now
	Args []string // the first is the program's name for itself; nil: os.Args
	Env  []string // nil: os.Environ()
	// Grace is how long handlers have to end whose waits were ended because ctx was over, and the services' Snapshots have
	// after that; 0: 5 s.
	Grace time.Duration
}

// A restart is what a node keeps for hot restarts.
type restart struct {
	mu     sync.Mutex    // a Restart is under way
	on     atomic.Bool   // what comes stays in its lane, but for answers
	polls  atomic.Uint64 // odd while a batch is taken; the taking worker's
	look   sync.Mutex    // no peer is looked at
	before ledger        // of what comes again; the taking worker's
	in     *skybus.Intake
	quits  context.Context // over when the node is about to end: no Restart begins any more
	quit   context.CancelFunc
}

func (r *restart) init() { r.quits, r.quit = context.WithCancel(context.Background()) }

// end has a Restart that is under way give up, and others not begin. It returns when none is.
func (r *restart) end() {
	r.quit()
	r.mu.Lock()
	defer r.mu.Unlock()
}

// Restart makes the process another program, in which Start at the same address goes on with the node: for others nothing
// has happened, but that answers took longer. It returns only if that failed; then all goes on as before.
//
// Nothing is taken from the lanes any more, but for answers, and what was taken and not begun stays there. Handlers that run or wait come to
// their end, and messages between services of this node are handled, until ctx is over: then what handlers wait for ends with
// actor.ErrRestarting, and so do calls of goroutines. The services whose handlers are actor.Carriers are asked for their
// Snapshots; the others end with the program. docs/design/restart.md tells what is carried, docs/guide/restart.md how to use it.
//
// Other addresses that the process has bound are free for a moment, as after a crash, and so are those of other nodes in it.
// Errors wrap ErrRestart: there is no such program; *actor.BusyError, a handler does not come to its end; a Snapshot's;
// skybus.ErrClosed. Any goroutine may call it, but no handler, for it waits for them.
func (n *Node) Restart(ctx context.Context, o RestartOptions) error {
	if err := n.restartTo(ctx, &o); err != nil {
		return fmt.Errorf("%w: %w", ErrRestart, err)
	}
	return nil
}

func (n *Node) restartTo(ctx context.Context, o *RestartOptions) error {
	if err := o.fill(); err != nil {
		return err
	}
	r := &n.restart
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.quits.Err() != nil {
		return errClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.quits, cancel)()
	r.on.Store(true)
	defer r.on.Store(false)
	r.settle()
	if err := n.rt.Pause(ctx, o.Grace); err != nil {
		n.takeAgain()
		return err
	}
	defer n.rt.Resume()
	r.look.Lock()
	defer r.look.Unlock()
	err := n.become(o)
	n.goOn()
	return err
}

// fill sets what is not given, and sees whether there is a program: that is cheap to find out before others notice.
func (o *RestartOptions) fill() (err error) {
	if o.Path == "" {
		if o.Path, err = os.Executable(); err != nil {
			return fmt.Errorf("find the program of this process: %w", err)
		}
	}
	if o.Args == nil {
		o.Args = os.Args
	}
	if o.Env == nil {
		o.Env = os.Environ()
	}
	o.Grace = cmp.Or(max(o.Grace, 0), 5*time.Second)
	info, err := os.Stat(o.Path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%s: want a file that can be executed, it is %v", o.Path, info.Mode())
	}
	return nil
}

// become is the point from which there are two ways: the new program, or an error with which the old one goes on.
func (n *Node) become(o *RestartOptions) error {
	n.endReceive()
	left := n.restart.in.Left()
	for _, p := range n.allPeers() {
		p.holdLine()
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.Grace)
	defer cancel()
	defer context.AfterFunc(n.restart.quits, cancel)()
	st, err := n.rt.State(ctx)
	n.restart.before = n.restart.before.next(left, false)
	if err != nil {
		return err
	}
	f, err := n.write(st)
	if err != nil {
		return err
	}
	defer f.Close()
	lock, release, err := n.e.HandOver()
	if err != nil {
		return err
	}
	defer release()
	return sys.Exec(o.Path, o.Args, handedOver(o.Env, f, lock), []*os.File{f, lock})
}

// goOn has the old program take messages again.
func (n *Node) goOn() {
	for _, p := range n.allPeers() {
		p.releaseLine()
	}
	n.restart.on.Store(false) // before something is taken
	if err := n.take(); err != nil && !errors.Is(err, skybus.ErrClosed) {
		n.cfg.Log.Error("the node takes nothing any more after a hot restart that failed", "addr", n.d.FormatAddr(n.Addr()), "err", err)
	}
}

// takeAgain has what was put back taken again, when a pause was not possible. Handlers that still run go on; but a
// message of theirs does not come again if the process is killed meanwhile.
func (n *Node) takeAgain() {
	n.restart.look.Lock()
	defer n.restart.look.Unlock()
	n.endReceive()
	n.restart.before = n.restart.before.next(n.restart.in.Left(), true)
	n.goOn()
}

// begins says that a batch is taken. The store is a barrier: what is taken after settle sees on.
func (r *restart) begins() { r.polls.Store(r.polls.Load() + 1) }

func (r *restart) ends() { sys.StoreRelease64(&r.polls, r.polls.Load()+1) }

// settle returns when no batch is taken that was begun before.
func (r *restart) settle() {
	for at := r.polls.Load(); at%2 == 1 && r.polls.Load() == at; {
		time.Sleep(10 * time.Microsecond)
	}
}

// holds reports whether a record stays in its lane for now: it is none of those that handlers may wait for, or that other
// nodes ask whether this one is alive by.
func (r *restart) holds(e *envelope.Envelope) bool {
	if !r.on.Load() {
		return false
	}
	switch e.Kind {
	case envelope.Reply, envelope.Error, envelope.Ping, envelope.Pong, envelope.Cancel:
		return false
	}
	return true
}
