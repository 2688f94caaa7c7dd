// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	lookEvery = time.Second     // at the members
	lookTime  = 4 * time.Second // that a look may take
)

// An Engine is this host's part in the engine of its cluster. Any goroutine may call its methods.
type Engine struct {
	c    Config
	log  *slog.Logger
	etcd *clientv3.Client
	ctx  context.Context //nolint:containedctx // the engine's own life
	stop context.CancelFunc
	done sync.WaitGroup

	work sync.Mutex // held by who changes the members, or this host's state; before mu

	mu     sync.Mutex // guards the following
	st     state
	child  *child // nil: this host has no member
	health Health
	told   string // the last of what was logged of the members
}

// Health is how this host's member is.
type Health struct {
	PID             int  // 0: it does not run
	Voter, Leader   bool // as it says
	Answers         bool // it has, lately
	Bytes           int64
	Lag             uint64 // entries of the log that it has and has not applied yet
	Term            uint64
	Error           string // why it does not run, or does not answer
	HasMember, Full bool   // Full: there is a NOSPACE alarm
}

// Open takes this host's part in a managed engine: the one that it has had by its state, or a new one. It does not wait
// for the engine to answer, but for Join. Errors: ErrNoCluster, ErrOther, ErrDataLost; those of Join and of the files.
func Open(ctx context.Context, c Config) (*Engine, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	st, err := loadState(c.State)
	if err == nil {
		if st == nil {
			st, err = c.begin(ctx)
		} else {
			err = c.goOn(st)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	e := &Engine{c: c, log: c.Logger, st: *st}
	e.ctx, e.stop = context.WithCancel(context.Background())
	var secured *tls.Config
	if c.TLS != nil {
		secured = c.TLS.Client
	}
	e.etcd, err = clientv3.New(clientv3.Config{
		Endpoints: e.urls(), TLS: secured, Context: e.ctx, Logger: zap.NewNop(), DialTimeout: lookTime,
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: lookTime,
	})
	if err != nil {
		e.stop()
		return nil, fmt.Errorf("engine: %w", err)
	}
	if st.Member != memberNone {
		e.startLocked()
	}
	e.done.Go(e.tend)
	return e, nil
}

// begin makes the state of a host that has none.
func (c *Config) begin(ctx context.Context) (*state, error) {
	st := &state{V: stateVersion, Cluster: c.Cluster, Host: c.Host, Domain: c.Domain}
	switch {
	case hasData(c.State):
		return nil, fmt.Errorf("%s has an engine's data, and there is no %s: put it back, or move the data away", filepath.Join(c.State, dataDir), stateFile)
	case c.Init:
		var token [16]byte
		_, _ = rand.Read(token[:]) // it does not fail
		st.Member, st.Token, st.Peer = memberFirst, hex.EncodeToString(token[:]), c.url(c.Peer)
		st.Members = []Member{{Name: c.Host, Client: c.Client, Peer: c.Peer}}
	case c.Join == nil:
		return nil, fmt.Errorf("%w: want --cluster-init NAME on the first host (cluster.name with init: true), --cluster-join HOST:PORT on any other one (cluster.join)", ErrNoCluster)
	default:
		told, err := c.Join(ctx)
		if err != nil {
			return nil, err
		}
		if c.Cluster != "" && c.Cluster != told.Cluster {
			return nil, fmt.Errorf("%w: the cluster there is called %q, want %q", ErrOther, told.Cluster, c.Cluster)
		}
		if st.Cluster, st.Members = told.Cluster, told.Members; len(st.voters()) == 0 {
			return nil, fmt.Errorf("cluster %q has no member that serves yet; try again", told.Cluster)
		}
	}
	return st, st.save(c.State)
}

// goOn judges the state that a host has.
func (c *Config) goOn(st *state) error {
	at := filepath.Join(c.State, stateFile)
	switch {
	case st.Host != c.Host:
		return fmt.Errorf("%w: %s is of host %q, this is %q", ErrOther, at, st.Host, c.Host)
	case st.Domain != c.Domain:
		return fmt.Errorf("%w: %s is of domain %d, this is %d: each daemon wants a state folder of its own", ErrOther, at, st.Domain, c.Domain)
	case c.Cluster != "" && c.Cluster != st.Cluster:
		return fmt.Errorf("%w: by %s this host is in cluster %q, not %q; to leave it, move the state folder away", ErrOther, at, st.Cluster, c.Cluster)
	case st.Member != memberNone && st.Peer != c.url(c.Peer):
		return fmt.Errorf("%w: by %s other members reach the engine at %s, not %s (cluster.engine.peer, or listen; insecure)", ErrOther, at, st.Peer, c.url(c.Peer))
	case st.Member != memberBegun || hasData(c.State):
		return nil
	case !st.others():
		return fmt.Errorf("%w: they were in %s, and no other host has a member; to begin anew, remove %s", ErrDataLost, filepath.Join(c.State, dataDir), at)
	}
	c.Logger.Error("the engine's data are gone: this host is a client now, and its name is still in the list", "folder", filepath.Join(c.State, dataDir), "to replace it", "skybus cluster replace "+c.Host)
	st.Member = memberNone
	return st.save(c.State)
}

// Close ends this host's member, in good order, and what looks after it.
func (e *Engine) Close() {
	e.stop()
	e.done.Wait()
	e.work.Lock()
	defer e.work.Unlock()
	e.mu.Lock()
	k := e.child
	e.mu.Unlock()
	if k != nil {
		k.end()
	}
	_ = e.etcd.Close() // its context is over
}

// Cluster is what the cluster is called.
func (e *Engine) Cluster() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.st.Cluster
}

// Endpoints are the HOST:PORT where the engine serves, as far as it is known.
func (e *Engine) Endpoints() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.st.voters()
}

// Invite tells where the cluster is, from what is remembered. Error: it has not begun yet.
func (e *Engine) Invite() (*Invitation, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.st.Member == memberFirst {
		return nil, fmt.Errorf("cluster %q is being begun here; try again", e.st.Cluster)
	}
	return &Invitation{e.st.Cluster, slices.Clone(e.st.Members)}, nil
}

// Health says how this host's member was when it was last looked at.
func (e *Engine) Health() Health {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.health
	if h.HasMember = e.child != nil; h.HasMember {
		pid, why := e.child.running()
		if h.PID = pid; why != nil {
			h.Error = why.Error()
		}
	}
	return h
}

// String says it in a line; empty on a host without a member.
func (h Health) String() string {
	switch {
	case !h.HasMember:
		return ""
	case h.PID == 0:
		return strings.TrimSuffix("does not run: "+h.Error, ": ")
	case !h.Answers:
		return strings.TrimSuffix(fmt.Sprintf("pid %d, does not answer: %s", h.PID, h.Error), ": ")
	}
	role := "learner"
	if h.Voter {
		role = "voter"
	}
	if h.Leader {
		role = "leader"
	}
	text := fmt.Sprintf("pid %d, %s, term %d, %d entries behind", h.PID, role, h.Term, h.Lag)
	if h.Full {
		text += ", NOSPACE"
	}
	return text
}

func (e *Engine) urls() (list []string) {
	for _, at := range e.Endpoints() {
		list = append(list, e.c.url(at))
	}
	return list
}

// remembered returns a copy of the state.
func (e *Engine) remembered() state {
	e.mu.Lock()
	defer e.mu.Unlock()
	st := e.st
	st.Members = slices.Clone(st.Members)
	return st
}

// remember changes the state, on the disk first. With work held.
func (e *Engine) remember(change func(st *state)) error {
	st := e.remembered()
	change(&st)
	if err := st.save(e.c.State); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(e.c.State, stateFile), err)
	}
	e.mu.Lock()
	e.st = st
	e.mu.Unlock()
	return nil
}

// startLocked starts the server, which is not there. With work held, or before anybody else knows e.
func (e *Engine) startLocked() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.child = startChild(e.c.Program, e.settings, e.log)
	e.health = Health{}
}

// settings writes what the server reads when it starts.
func (e *Engine) settings(ctx context.Context) (string, error) {
	st := e.remembered()
	begins, initial := st.Member == memberFirst, e.c.alone()
	if st.Member == memberAdded && !hasData(e.c.State) {
		ctx, stop := context.WithTimeout(ctx, lookTime)
		defer stop()
		list, err := e.etcd.MemberList(ctx)
		if err != nil {
			return "", fmt.Errorf("ask for the members of the engine: %w", err)
		}
		initial = e.c.initial(list.Members)
	}
	return e.c.writeSettings(begins, st.Token, initial)
}

// tend looks after the members until the engine is closed.
func (e *Engine) tend() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		ctx, stop := context.WithTimeout(e.ctx, lookTime)
		e.tell(e.look(ctx))
		stop()
		select {
		case <-tick.C:
		case <-e.ctx.Done():
			return
		}
	}
}

// tell logs what goes wrong, once.
func (e *Engine) tell(err error) {
	if e.ctx.Err() != nil {
		return
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	e.mu.Lock()
	news := text != e.told
	e.told = text
	e.mu.Unlock()
	switch {
	case news && err != nil:
		e.log.Warn("the engine's members", "error", text)
	case news:
		e.log.Info("the engine's members are in order")
	}
}

// look brings the state up to date, and does what is to be done.
func (e *Engine) look(ctx context.Context) error {
	e.work.Lock()
	defer e.work.Unlock()
	own := e.ask(ctx)
	if own != nil {
		if st := e.remembered(); st.Member != memberBegun {
			if err := e.remember(func(st *state) { st.Member = memberBegun }); err != nil {
				return err
			}
		}
	}
	r, err := e.etcd.MemberList(ctx)
	if err != nil {
		return fmt.Errorf("ask for the list: %w", err)
	}
	if err := e.learn(r.Members); err != nil {
		return err
	}
	mine := e.mine(r.Members)
	switch has := e.remembered().Member != memberNone; {
	case has && mine == nil && named(r.Members, e.c.Host) == nil:
		return e.leave()
	case !has:
		return e.consider(ctx, r.Members)
	case own != nil && own.Leader == own.Header.MemberId:
		return e.promote(ctx, r.Members, own)
	}
	return nil
}

// ask asks this host's member how it is; nil if there is none, or it does not say.
func (e *Engine) ask(ctx context.Context) *clientv3.StatusResponse {
	if !e.Health().HasMember {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, lookTime/2)
	defer stop()
	st, err := e.etcd.Status(ctx, e.c.url(e.c.Client))
	h := Health{}
	if err != nil {
		h.Error = err.Error()
	} else {
		h = Health{
			Answers: true, Voter: !st.IsLearner, Leader: st.Leader == st.Header.MemberId, Bytes: st.DbSize, Term: st.RaftTerm,
			Lag: st.RaftIndex - min(st.RaftAppliedIndex, st.RaftIndex),
		}
		h.Full = slices.ContainsFunc(st.Errors, func(s string) bool { return strings.Contains(s, "NOSPACE") })
	}
	e.mu.Lock()
	was := e.health
	e.health = h
	e.mu.Unlock()
	if h.Full && !was.Full {
		e.log.Error("the engine is full (NOSPACE): it takes nothing new; compact, defragment and disarm it with etcdctl", "bytes", h.Bytes)
	}
	if err != nil {
		return nil
	}
	return st
}

// learn takes down which members there are.
func (e *Engine) learn(list []*etcdserverpb.Member) error {
	var members []Member
	for _, m := range list {
		members = append(members, Member{Name: m.Name, Client: first(m.ClientURLs), Peer: first(m.PeerURLs), Learner: m.IsLearner})
	}
	before := e.remembered()
	after := before
	after.Members = members
	if slices.Equal(before.Members, members) || len(after.voters()) == 0 {
		return nil
	}
	if err := e.remember(func(st *state) { st.Members = members }); err != nil {
		return err
	}
	if !slices.Equal(before.voters(), after.voters()) {
		e.etcd.SetEndpoints(e.urls()...)
		e.c.Moved(after.voters())
	}
	return nil
}

// first is the first of some URLs, without its scheme.
func first(urls []string) string {
	if len(urls) == 0 {
		return ""
	}
	_, at, _ := strings.Cut(urls[0], "://")
	return at
}

// leave ends a member that is not in the list any more, and puts its data away.
func (e *Engine) leave() error {
	e.mu.Lock()
	k := e.child
	e.child, e.health = nil, Health{}
	e.mu.Unlock()
	if k != nil {
		k.end()
	}
	old := filepath.Join(e.c.State, oldDataDir)
	err := os.RemoveAll(old)
	if hasData(e.c.State) {
		err = errors.Join(err, os.Rename(filepath.Join(e.c.State, dataDir), old))
	}
	e.log.Warn("this host's member was removed from the engine: it has ended here, and its data are put away", "folder", old)
	return errors.Join(err, e.remember(func(st *state) { st.Member, st.Token, st.Peer = memberNone, "", "" }))
}
