// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/skybus-io/skybus/gate/client"
)

// ErrStopped is what Serve and Run return when the Server has been stopped.
var ErrStopped = errors.New("entry: the server is stopped")

// A Server lets clients in. Any goroutine may call its methods.
type Server struct {
	opt    Options
	origin time.Time // of the clock
	caps   *caps
	sweep  *sweeper
	spare  spare
	count  counters

	mu      sync.Mutex
	ports   map[*port]struct{}
	webs    []*webServer
	stopped bool
	guests  sync.WaitGroup // goroutines of connections
	loops   sync.WaitGroup // accept loops
}

// New returns a Server without listeners. Close must be called in the end. The error
// names the option that is wrong.
func New(opt Options) (*Server, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{opt: opt, origin: time.Now(), ports: make(map[*port]struct{})}
	s.caps = newCaps(opt.Connections, opt.PerAddress)
	s.sweep = newSweeper(s.now, opt.Tick)
	s.spare.take()
	return s, nil
}

// now is the Server's clock: the time since New.
func (s *Server) now() time.Duration { return time.Since(s.origin) }

// Serve accepts connections at l until the Server is stopped, and then returns nil.
// l is the Server's from then on: it is closed in any case. No want of descriptors or memory ends it:
// connections that come then are reset, by a descriptor that is kept for that, and it
// goes on as soon as there is room. An error is one of the config, ErrStopped if the Server was stopped
// before, or what l says when it does not work any more.
func (s *Server) Serve(l net.Listener, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	p := newPort(s, l, cfg)
	if !s.open(p) {
		return errors.Join(ErrStopped, l.Close())
	}
	defer s.loops.Done()
	defer s.forget(p)
	return p.run()
}

func (s *Server) open(p *port) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.ports[p] = struct{}{}
	if p.cfg.Handler != nil {
		p.web = newWebServer(p)
		s.webs = append(s.webs, p.web)
	}
	s.loops.Add(1)
	return true
}

func (s *Server) forget(p *port) {
	p.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ports, p)
}

// Run serves a connection that came another way, with a descriptor from another
// process for example: it counts, the limits hold for it, and Options.Accept, or Start, is called with it by this
// goroutine. Run returns when that has returned; after Accept the connection is closed then. in says what is known of it; the
// caps do not refuse it. The error is ErrStopped; then the connection is closed, too.
func (s *Server) Run(c *client.Conn, in Info) error {
	h := holder(in.Remote.Addr())
	s.caps.force(h)
	g := &guest{s: s, client: c, holder: h, info: in}
	if !s.begin(g) {
		s.caps.leave(h)
		c.Kick(Stopped)
		return ErrStopped
	}
	g.host(c)
	return nil
}

// begin has a guest looked at, and waited for. false: the Server is stopped.
func (s *Server) begin(g *guest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.guests.Add(1)
	g.enter(phaseFirst)
	s.sweep.add(g)
	return true
}

// Stop closes the listeners, and returns when the accept loops have ended. Connections stay.
func (s *Server) Stop() {
	s.mu.Lock()
	s.stopped = true
	for p := range s.ports {
		p.close()
	}
	s.mu.Unlock()
	s.loops.Wait()
}

// Shutdown stops, ends the connections that are not authenticated, waits until all
// others have ended, which is for the owner to bring about, and closes the Server. When ctx ends
// before, the connections that are left are reset, and the error says how many.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Stop()
	for _, g := range s.sweep.all(true) {
		if phase(g.phase.Load()) != phaseWeb {
			g.cut(Stopped, nil)
		}
	}
	for _, w := range s.webs {
		go w.drain(ctx)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.guests.Wait()
	}()
	var err error
	select {
	case <-gone:
	case <-ctx.Done():
		left, _ := s.caps.count()
		err = fmt.Errorf("entry: %d connections are left: %w", left, context.Cause(ctx))
	}
	s.Close()
	<-gone
	return err
}

// Close stops, resets all connections, and waits until Options.Accept has returned
// for each. It may be called again, and then waits as well; not by Accept.
func (s *Server) Close() {
	s.Stop()
	for _, g := range s.sweep.all(false) {
		g.cut(Stopped, nil)
	}
	for _, w := range s.webs {
		w.close()
	}
	s.guests.Wait()
	s.sweep.close()
	s.spare.drop()
}
