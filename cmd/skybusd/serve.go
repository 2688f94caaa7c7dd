// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/cluster/engine"
	"github.com/skybus-io/skybus/cmd/skybusd/internal/config"
	"github.com/skybus-io/skybus/cmd/skybusd/internal/notify"
	"github.com/skybus-io/skybus/internal/certs"
	"github.com/skybus-io/skybus/relay"
	"github.com/skybus-io/skybus/route"
	"github.com/skybus-io/skybus/shm"
)

// A daemon that is replaced has takeOver looks to let go, lookPause apart: 10 s, in which the machine runs.
const (
	takeOver  = 1000
	lookPause = 10 * time.Millisecond
)

// A server is the daemon with what can be loaded again.
type server struct {
	f  *flags
	s  *settings
	id atomic.Pointer[certs.Identity]
	d  *relay.Daemon
	c  atomic.Pointer[localEngine]
	p  atomic.Pointer[part]
	e  atomic.Pointer[engine.Engine]
	l  *slog.Logger
	n  *notify.Notifier

	began time.Time
}

// serve runs the daemon until ctx ends or somebody asks it to.
func serve(ctx context.Context, f *flags, s *settings, errOut io.Writer) error {
	v := &server{f: f, s: s, l: newLogger(s.Log, errOut), n: notify.FromEnv(), began: time.Now()}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	if err := v.check(s); err != nil {
		return err
	}
	dom, err := skybus.Open(int(s.Domain), skybus.Options{
		Root: s.Root, Template: s.template(), User: s.User, Group: s.Group, Logger: v.l,
	})
	if err != nil {
		return err
	}
	defer dom.Close()
	if err := v.start(dom); err != nil {
		return err
	}
	if s.isClustered() {
		p, err := takePart(ctx, v, dom.Table())
		switch {
		case err == nil:
			v.p.Store(p)
		case v.isAsked(ctx):
			return v.end("before it was in its cluster")
		default:
			v.d.Close()
			return err
		}
	} else {
		v.c.Store(serveEngine(s.Cluster.Mode, dom.Table(), v.l))
	}
	v.l.Info("skybusd is ready", "host", s.Host, "domain", s.Domain, "relay_key", s.RelayKey, "listen", fmt.Sprint(v.d.Addr()),
		"tls", !s.Insecure, "cluster", s.Cluster.Mode, "pid", os.Getpid(), "configuration", s.from())
	_ = v.n.Ready()
	watch, stop := context.WithCancel(ctx)
	defer stop()
	go v.n.Watch(watch, v.d.Alive)
	for {
		select {
		case <-hup:
			v.reload()
		case <-v.d.Reloads():
			v.reload()
		case <-ctx.Done():
			return v.end("by a signal")
		case <-v.d.Stopping():
			return v.end("as it was asked to")
		}
	}
}

// isAsked says whether somebody wants the daemon to end.
func (v *server) isAsked(ctx context.Context) bool {
	select {
	case <-v.d.Stopping():
		return true
	default:
		return ctx.Err() != nil
	}
}

func (v *server) end(why string) error {
	_ = v.n.Stopping()
	v.c.Swap(nil).close() // before another daemon can take its place
	v.p.Swap(nil).end()
	v.d.Close()
	v.l.Info("skybusd has ended", "why", why)
	return nil
}

// start becomes the domain's relay, in the place of another one if asked to.
func (v *server) start(dom *skybus.Domain) error {
	s := v.s
	c := relay.Config{
		Table: dom.Table(), Root: s.Root, Host: s.Host, Listen: s.Listen, RelayKey: s.RelayKey, Connections: s.connections(), Logger: v.l,
		Prepare: s.putRoutes, Control: v.control,
		Limits: relay.Limits{
			InFlight: uint64(s.Limits.InFlight), Frame: s.Limits.Frame, Accepted: s.Limits.Connections, Handshake: s.Limits.HandshakeTimeout,
			MaxRecord: s.Limits.Record, NewLanes: s.Limits.NewLanesPerSecond,
		},
	}
	if !s.Insecure {
		c.TLS = v.linkTLS()
	}
	if s.Cluster.Mode == config.Managed {
		c.Cluster = v.invite
	}
	if v.f.replace {
		if err := v.askToLeave(dom.Table().Folder()); err != nil {
			return err
		}
	}
	for looks := 1; ; looks++ {
		d, err := relay.Start(c)
		if v.f.replace && errors.Is(err, channel.ErrInUse) && looks < takeOver {
			time.Sleep(lookPause)
			continue
		}
		if err != nil && errors.Is(err, channel.ErrInUse) {
			err = fmt.Errorf("%w; --replace takes its place", err)
		}
		v.d = d
		return err
	}
}

// linkTLS is how links are secured, with the certificates that were loaded last.
func (v *server) linkTLS() *relay.TLS {
	return &relay.TLS{
		Server: &tls.Config{
			MinVersion:         tls.VersionTLS13,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return v.id.Load().Server(), nil },
		},
		Client:   func(host string) *tls.Config { return v.id.Load().Client(host) },
		PeerName: certs.PeerName,
	}
}

// askToLeave has the daemon end that runs for the domain, if this one can take its place.
func (v *server) askToLeave(folder string) error {
	st, err := relay.Ask(folder, "status")
	switch {
	case errors.Is(err, relay.ErrNoDaemon):
		return nil
	case err != nil:
		return fmt.Errorf("the daemon that is to be replaced does not answer; if it hangs, kill it: %w", err)
	}
	if _, port, err := net.SplitHostPort(v.s.Listen); err == nil && !strings.HasSuffix(st.Listen, ":"+port) {
		ln, err := net.Listen("tcp", v.s.Listen) // it does not free this one
		if err != nil {
			return err
		}
		ln.Close()
	}
	_, err = relay.Ask(folder, "stop")
	return err
}

// check says whether the settings make sense together with the files that they name.
func (s *settings) check() error {
	if _, err := s.routes(); err != nil {
		return err
	}
	id, err := s.identity()
	if err != nil || s.Cluster.Mode != config.Managed {
		return err
	}
	if _, _, err := s.engineAddresses(); err != nil {
		return err
	}
	if _, err := s.engineProgram(); err != nil || id == nil {
		return err
	}
	return s.fitsEngine(id)
}

// check loads the certificates of s, and says whether it could be put in force.
func (v *server) check(s *settings) error {
	if err := s.check(); err != nil {
		return err
	}
	if _, err := os.Stat(s.rootDir()); err != nil {
		return fmt.Errorf("the folder for domains (--root): %w", err)
	}
	id, err := s.identity()
	if err != nil || id == nil {
		return err
	}
	v.id.Store(id)
	if left := time.Until(id.Expires()); left < 30*24*time.Hour {
		v.l.Warn("the certificate of this host expires soon", "at", id.Expires())
	}
	return nil
}

// putRoutes writes the routes of s.
func (s *settings) putRoutes() error {
	change, err := s.routes()
	if err != nil {
		return err
	}
	return route.Update(s.Root, s.RelayKey, shm.Keep, change)
}

// reload reads everything again. What is wrong changes nothing.
func (v *server) reload() {
	_ = v.n.Reloading()
	s, err := v.f.settings()
	if err == nil {
		if fixed := v.s.differences(s); len(fixed) > 0 {
			err = fmt.Errorf("%s: only a restart changes that", strings.Join(fixed, ", "))
		}
	}
	if err == nil {
		err = v.check(s)
	}
	if err == nil {
		err = v.put(s)
	}
	if err != nil {
		v.l.Error("the configuration was not loaded: the last one stays in force", "error", err.Error())
		_ = v.n.Status("configuration not loaded: " + err.Error())
		_ = v.n.Ready()
		return
	}
	v.d.Reload()
	v.l.Info("the configuration was loaded", "from", s.from())
	_ = v.n.Status("")
	_ = v.n.Ready()
}

// put puts the routes of s in force.
func (v *server) put(s *settings) error {
	p := v.p.Load()
	if p == nil {
		return s.putRoutes()
	}
	m, err := s.memberSettings()
	if err == nil {
		err = p.member.Reload(m)
	}
	if err == nil {
		p.judgeNames(m.Policy)
	}
	return err
}

// connections is how many lead to each host, where that is not one.
func (s *settings) connections() map[string]int {
	m := map[string]int{}
	for _, p := range s.Peers {
		if p.Connections != 1 {
			m[p.Name] = p.Connections
		}
	}
	return m
}

// differences names the settings that a running daemon cannot change.
func (s *settings) differences(to *settings) (names []string) {
	for _, d := range []struct {
		name string
		same bool
	}{
		{"domain", s.Domain == to.Domain}, {"root", s.Root == to.Root}, {"relay_key", s.RelayKey == to.RelayKey}, {"host", s.Host == to.Host},
		{"listen", s.Listen == to.Listen}, {"insecure", s.Insecure == to.Insecure}, {"limits", s.Limits == to.Limits},
		{"cluster", reflect.DeepEqual(fixed(s.Cluster), fixed(to.Cluster))},
		{"peers.connections", maps.Equal(s.connections(), to.connections())},
	} {
		if !d.same {
			names = append(names, d.name)
		}
	}
	return names
}

// fixed is what a running daemon cannot change of how it takes part in a cluster. How it came into it does not
// matter any more.
func fixed(c config.Cluster) config.Cluster {
	c.Policy, c.Init, c.Join = nil, false, ""
	return c
}

func newLogger(l config.Log, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: l.Level}
	if l.Format == config.JSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
