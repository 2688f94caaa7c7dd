// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/internal/store"
	"github.com/skybus-io/skybus/internal/sys"
)

// Socket is the name in the domain's folder under which the engine answers.
const Socket = channel.ClusterSocket

// What a client may take its time for.
const (
	frameTime  = 5 * time.Second  // hello, the rest of a frame, to read an answer
	silentTime = 30 * time.Second // between two frames
	largePlace = 32               // frames above smallFrame that are read or done at a time
	slowCalls  = 256              // requests of one connection that wait for a replica's engine
	slowBytes  = 64 << 20         // and of all, their bytes
)

// A ServerConfig says what a Server does beside answering. The zero one is of use.
type ServerConfig struct {
	// Alive returns a function that tells whether the process that has bound a now still
	// lives. It is asked when a connection ends, and must be safe for concurrent use. Without
	// it leases of processes that have died end with their TTL.
	Alive  func(a addr.Addr) func() bool
	Logger *slog.Logger // nil: nothing is logged
}

// A Server lets the processes of a host use an Engine or a Replica.
type Server struct {
	e     backend
	c     ServerConfig
	ln    net.Listener  // nil: within the process
	large chan struct{} // places for large frames
	slow  atomic.Int64  // bytes of requests that wait
	ctx   context.Context
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu      sync.Mutex
	conns   map[*session]bool
	refused uint64
}

// Serve makes the engine's socket in folder and answers there, until Close. What a dead
// process has left of the socket is replaced: the caller sees to it that no other one serves there.
// The socket lets in whom the folder's group lets in.
func (e *Engine) Serve(folder string, c ServerConfig) (*Server, error) {
	return serve(e.server(c), folder)
}

// serve gives a server a socket.
func serve(s *Server, folder string) (*Server, error) {
	ln, err := listen(folder)
	if err != nil {
		return nil, fmt.Errorf("the socket of the cluster engine: %w", err)
	}
	s.ln = ln
	s.done.Add(1)
	go s.accept()
	return s, nil
}

// server returns one that has no socket; admit gives it connections.
func (e *Engine) server(c ServerConfig) *Server { return newServer(e, c) }

func newServer(e backend, c ServerConfig) *Server {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{e: e, c: c, large: make(chan struct{}, largePlace), conns: map[*session]bool{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

func listen(folder string) (net.Listener, error) {
	path := filepath.Join(folder, Socket)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	uid, gid, err := sys.Owner(folder)
	if err == nil && int(gid) != os.Getegid() {
		err = os.Chown(path, -1, int(gid))
	}
	if err == nil && os.Geteuid() == 0 && uid != 0 {
		err = os.Chown(path, int(uid), -1)
	}
	if err == nil {
		err = os.Chmod(path, 0o660)
	}
	if err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// Close hangs up on all clients and removes the socket. The engine goes on.
func (s *Server) Close() {
	s.stop()
	if s.ln != nil {
		s.ln.Close()
	}
	s.hangUp()
	s.done.Wait()
}

// hangUp ends the connections that there are.
func (s *Server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.stop() // what waits for a replica's engine does not any more
		c.c.Close()
	}
}

func (s *Server) accept() {
	defer s.done.Done()
	for {
		c, err := s.ln.Accept()
		if err != nil {
			if s.ctx.Err() != nil {
				return
			}
			s.c.Logger.Error("the cluster engine cannot accept", "err", err)
			time.Sleep(50 * time.Millisecond) // no descriptors, for example
			continue
		}
		s.admit(c)
	}
}

// admit takes a connection if there is room for one more.
func (s *Server) admit(c net.Conn) {
	ss := &session{s: s, c: c, polls: make(chan struct{}, s.e.bounds().Polls), calls: make(chan struct{}, slowCalls)}
	ss.ctx, ss.stop = context.WithCancel(s.ctx)
	s.mu.Lock()
	ok := len(s.conns) < s.e.bounds().Connections && s.ctx.Err() == nil
	if ok {
		s.conns[ss] = true
		s.done.Add(1)
	} else {
		s.refused++
	}
	s.mu.Unlock()
	if !ok {
		ss.stop()
		c.Close()
		return
	}
	go ss.run()
}

// A session is one connection.
type session struct {
	s      *Server
	c      net.Conn
	ctx    context.Context
	stop   context.CancelFunc
	client *store.Client
	alive  func() bool
	polls  chan struct{} // one for each that waits
	calls  chan struct{} // one for each other request that waits
	done   sync.WaitGroup

	mu sync.Mutex // of writing
}

func (ss *session) run() {
	defer ss.s.done.Done()
	err := ss.serve()
	ss.stop()
	ss.c.Close()
	ss.done.Wait()
	if ss.client != nil {
		ss.client.Close()
		if errors.Is(err, errEnded) {
			ss.s.e.leave(ss.client, ss.alive)
		}
	}
	if err != nil && !errors.Is(err, errEnded) && ss.s.ctx.Err() == nil {
		ss.s.c.Logger.Warn("the cluster engine hangs up on a client", "err", err)
	}
	ss.s.mu.Lock()
	delete(ss.s.conns, ss)
	ss.s.mu.Unlock()
}

// errEnded means that the client's side of the connection has ended.
var errEnded = errors.New("the client is gone")

func (ss *session) serve() error {
	r := bufio.NewReaderSize(ss.c, 4096)
	wait := frameTime
	for {
		_ = ss.c.SetReadDeadline(time.Now().Add(wait))
		n, err := readLength(r)
		switch {
		case errors.Is(err, ErrFrame):
			return err
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return errEnded
		case err != nil:
			return fmt.Errorf("nothing came from it for %v: %w", wait, err)
		}
		if err := ss.one(r, n); err != nil {
			return err
		}
		wait = silentTime
	}
}

// one reads and does one request.
func (ss *session) one(r *bufio.Reader, n int) error {
	if n > smallFrame {
		select {
		case ss.s.large <- struct{}{}:
			defer func() { <-ss.s.large }()
		case <-ss.ctx.Done():
			return errEnded
		}
	}
	_ = ss.c.SetReadDeadline(time.Now().Add(frameTime))
	q, err := readBody(r, n)
	if err != nil {
		return err
	}
	switch {
	case ss.client == nil:
		return ss.hello(q)
	case q.Op == opPoll:
		return ss.poll(q)
	case ss.s.e.waits(q):
		return ss.call(q, int64(n))
	}
	return ss.write(ss.s.e.handle(ss.ctx, ss.client, q))
}

// hello learns who the client is.
func (ss *session) hello(q *frame) error {
	a := &frame{ID: q.ID, Op: opHello, Version: version}
	if q.Op != opHello || q.Version == 0 || q.Client == "" || len(q.Client) > 64 {
		err := fmt.Errorf("%w: want a hello of version %d with the client's name, 1 to 64 bytes", ErrFrame, version)
		a.fail(err)
		return errors.Join(err, ss.write(a))
	}
	c, err := ss.s.e.hello(q, a)
	if err != nil { // it comes again
		a.fail(err)
		_ = ss.write(a)
		return errEnded
	}
	ss.client = c
	if q.Addr != 0 && ss.s.c.Alive != nil {
		ss.alive = ss.s.c.Alive(addr.Addr(q.Addr))
	}
	return ss.write(a)
}

// poll answers when there is something to tell, and lets others pass meanwhile.
func (ss *session) poll(q *frame) error {
	select {
	case ss.polls <- struct{}{}:
	default:
		a := &frame{ID: q.ID, Op: q.Op, Code: codeLimit, Text: fmt.Sprintf("a client may have %d watches", cap(ss.polls))}
		return ss.write(a)
	}
	ss.done.Add(1)
	go func() {
		defer ss.done.Done()
		a := ss.s.e.handle(ss.ctx, ss.client, q)
		<-ss.polls // before the answer, which the next poll follows
		if ss.write(a) != nil {
			ss.c.Close()
		}
	}()
	return nil
}

// call answers a request that may wait, and lets others pass meanwhile.
func (ss *session) call(q *frame, n int64) error {
	refuse := func(format string, args ...any) error {
		return ss.write(answer(q, &frame{}, fmt.Errorf("%w: "+format, append([]any{cluster.ErrUnavailable}, args...)...)))
	}
	if ss.s.slow.Add(n) > slowBytes {
		ss.s.slow.Add(-n)
		return refuse("requests of %d bytes wait for the engine", slowBytes)
	}
	select {
	case ss.calls <- struct{}{}:
	default:
		ss.s.slow.Add(-n)
		return refuse("%d requests of this client wait for the engine", cap(ss.calls))
	}
	ss.done.Add(1)
	go func() {
		defer ss.done.Done()
		a := ss.s.e.handle(ss.ctx, ss.client, q)
		<-ss.calls
		ss.s.slow.Add(-n)
		if ss.write(a) != nil {
			ss.c.Close()
		}
	}()
	return nil
}

// write sends a frame; who does not read is hung up on.
func (ss *session) write(f *frame) error {
	buf, err := appendFrame(nil, f)
	if err != nil {
		return err
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	_ = ss.c.SetWriteDeadline(time.Now().Add(frameTime))
	if _, err := ss.c.Write(buf); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("it does not read: %w", err)
		}
		return errEnded
	}
	return nil
}
