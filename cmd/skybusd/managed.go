// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus/cluster/engine"
	"github.com/skybus-io/skybus/cluster/etcd"
	"github.com/skybus-io/skybus/cluster/report"
	"github.com/skybus-io/skybus/internal/certs"
	"github.com/skybus-io/skybus/relay"
	"github.com/skybus-io/skybus/relay/link"
	"github.com/skybus-io/skybus/relay/wire"
)

// Ports of a managed engine where the configuration names none.
const (
	clientPort = "7101"
	peerPort   = "7102"
)

const (
	joinTime  = 5 * time.Second // that an answer to JOIN may take
	joinPause = time.Second     // until it is asked for again

	replaceTime = 8 * time.Second // that a replacement may take to begin: the tools wait for 10 s
)

// newEngineCommand is the command that a daemon starts as its child.
func newEngineCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "engine --config-file FILE", Hidden: true, Short: "Run a member of a managed engine: skybusd itself does it",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usagef("--config-file: is missing; skybusd starts this command by itself")
			}
			return engine.Serve(cmd.Context(), file)
		},
	}
	cmd.Flags().StringVar(&file, "config-file", "", "`FILE` with etcd's configuration")
	return cmd
}

// engineConfig is how this host takes part in a managed engine.
func (v *server) engineConfig() (engine.Config, error) {
	s := v.s
	c := engine.Config{
		State: s.Cluster.State, Host: s.Host, Domain: s.Domain, Cluster: s.Cluster.Name, Init: s.Cluster.Init, Size: s.Cluster.Engine.Size, Logger: v.l,
	}
	var err error
	if c.Client, c.Peer, err = s.engineAddresses(); err != nil {
		return c, err
	}
	if c.Program, err = s.engineProgram(); err != nil {
		return c, err
	}
	if s.Cluster.Join != "" {
		c.Join = v.join
	}
	if id := v.id.Load(); id != nil {
		if err := s.fitsEngine(id); err != nil {
			return c, err
		}
		c.TLS = &engine.TLS{CA: s.TLS.CA, Cert: s.TLS.Cert, Key: s.TLS.Key, Client: v.engineClient()}
	}
	return c, nil
}

// engineClient is how this host speaks to a managed engine, nil for without TLS.
func (v *server) engineClient() *tls.Config {
	if v.id.Load() == nil {
		return nil
	}
	return certs.EngineClient(v.id.Load)
}

// engineAddresses are where a member on this host is reached.
func (s *settings) engineAddresses() (client, peer string, err error) {
	client, peer = s.Cluster.Engine.Client, s.Cluster.Engine.Peer
	if client != "" && peer != "" {
		return client, peer, nil
	}
	host, _, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return "", "", errors.New("cluster.engine: want client and peer, HOST:PORT where a member on this host is reached, for a host that does not listen")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if host, err = os.Hostname(); err != nil {
			return "", "", fmt.Errorf("cluster.engine: want client and peer, HOST:PORT where a member on this host is reached: %w", err)
		}
	}
	if client == "" {
		client = net.JoinHostPort(host, clientPort)
	}
	if peer == "" {
		peer = net.JoinHostPort(host, peerPort)
	}
	return client, peer, nil
}

// engineProgram is the command that runs a member.
func (s *settings) engineProgram() ([]string, error) {
	if binary := s.Cluster.Engine.Binary; binary != "" {
		info, err := os.Stat(binary)
		if err == nil && (info.IsDir() || info.Mode()&0o111 == 0) {
			err = fmt.Errorf("%s: want a program", binary)
		}
		if err != nil {
			return nil, fmt.Errorf("cluster.engine.binary: %w", err)
		}
		return []string{binary}, nil
	}
	if !engine.BuiltIn {
		return nil, errors.New("cluster.engine.binary: is missing: this skybusd was built without an engine (tag noengine); it names an etcd program")
	}
	self, err := os.Executable()
	return []string{self, "engine"}, err
}

// fitsEngine says whether the host's certificate is good for what runs the engine.
func (s *settings) fitsEngine(id *certs.Identity) error {
	if err := id.ForEngine(); err != nil {
		return err
	}
	if s.Cluster.Engine.Binary == "" {
		return nil
	}
	_, peer, err := s.engineAddresses()
	if err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(peer) // it was checked
	if err := id.Covers(host); err != nil {
		return fmt.Errorf("cluster.engine.binary: an etcd program compares certificates with addresses, and %s is not for %s: leave binary out, or have a certificate made that is: %w", s.TLS.Cert, host, err)
	}
	return nil
}

// join asks where the cluster is, until it is told or ctx is over.
func (v *server) join(ctx context.Context) (*engine.Invitation, error) {
	var t *relay.TLS
	if v.id.Load() != nil {
		t = v.linkTLS()
	}
	last := ""
	for {
		one, stop := context.WithTimeout(ctx, joinTime)
		told, err := relay.Join(one, v.s.Cluster.Join, v.s.Host, t)
		stop()
		switch {
		case err == nil:
			_ = v.n.Status("")
			return invitation(told), nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case isFinal(err):
			return nil, err
		case err.Error() != last:
			last = err.Error()
			v.l.Warn("the cluster cannot be joined yet; it is tried again", "error", last)
			_ = v.n.Status("joining: " + last)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(joinPause):
		}
	}
}

// isFinal says whether an answer to JOIN would be the same the next time.
func isFinal(err error) bool {
	var refused *link.RefusedError
	if errors.As(err, &refused) {
		switch refused.Notice.Code {
		case wire.CodeIdentity, wire.CodeVersion, wire.CodeProtocol:
			return true
		}
	}
	return errors.Is(err, certs.ErrUntrusted) || errors.Is(err, certs.ErrNoIdentity) || errors.Is(err, wire.ErrProtocol)
}

func invitation(told *wire.Joined) *engine.Invitation {
	i := &engine.Invitation{Cluster: told.Cluster}
	for _, m := range told.Members {
		i.Members = append(i.Members, engine.Member{Name: m.Name, Client: m.Client, Learner: m.Learner})
	}
	return i
}

// invite answers a host that asks where the cluster is.
func (v *server) invite(string) (*wire.Joined, error) {
	e := v.e.Load()
	if e == nil {
		return nil, errors.New("its daemon is not in its cluster yet; try again")
	}
	i, err := e.Invite()
	if err != nil {
		return nil, err
	}
	told := &wire.Joined{Cluster: i.Cluster}
	for _, m := range i.Members {
		told.Members = append(told.Members, wire.Member{Name: m.Name, Client: m.Client, Learner: m.Learner})
	}
	return told, nil
}

// openEngine takes this host's part in the managed engine. It waits for an answer to JOIN.
func (v *server) openEngine(ctx context.Context, p *part) error {
	c, err := v.engineConfig()
	if err != nil {
		return err
	}
	c.Moved = func(endpoints []string) {
		if client := p.moved.Load(); client != nil {
			if err := client.SetEndpoints(endpoints); err != nil {
				v.l.Error("the engine has moved to where it cannot be", "endpoints", endpoints, "error", err.Error())
			}
		}
	}
	if p.managed, err = engine.Open(ctx, c); err != nil {
		return err
	}
	p.name = p.managed.Cluster()
	v.e.Store(p.managed)
	return nil
}

// dialManaged returns the client of the managed engine.
func (v *server) dialManaged(p *part) (*etcd.Client, error) {
	c, err := etcd.Dial(etcd.Options{Cluster: p.managed.Cluster(), Endpoints: p.managed.Endpoints(), TLS: v.engineClient(), Logger: v.l})
	if err != nil {
		return nil, err
	}
	p.moved.Store(c)
	return c, c.SetEndpoints(p.managed.Endpoints()) // they may have moved in between
}

// managedReport adds what is known of a managed engine to a report.
func (p *part) managedReport(r *report.Engine) {
	if p.managed == nil {
		return
	}
	h := p.managed.Health()
	r.Wanted, r.Child, r.ChildPID = p.size, h.String(), h.PID
}

// replace has this host take the place of a lost member.
func (p *part) replace(args json.RawMessage) (any, error) {
	if p.managed == nil {
		return nil, errors.New("the engine is an etcd cluster that others run: use etcdctl there")
	}
	var r report.Replace
	if err := json.Unmarshal(args, &r); err != nil || r.Old == "" {
		return nil, errors.New("want the name of the member that is to be replaced")
	}
	ctx, stop := context.WithTimeout(context.Background(), replaceTime)
	defer stop()
	return nil, p.managed.Replace(ctx, r.Old)
}
