// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/cluster/engine"
	"github.com/skybus-io/skybus/cluster/etcd"
	"github.com/skybus-io/skybus/cluster/local"
	"github.com/skybus-io/skybus/cluster/member"
	"github.com/skybus-io/skybus/cluster/report"
	"github.com/skybus-io/skybus/cmd/skybusd/internal/config"
	"github.com/skybus-io/skybus/relay"
	"github.com/skybus-io/skybus/route"
	"github.com/skybus-io/skybus/shm"
)

// A part is the daemon's part in a cluster of hosts: what it knows of it, serves to the processes of this
// host, and publishes.
type part struct {
	engine  *etcd.Client
	replica *local.Replica
	server  *local.Server
	client  *local.Client
	member  *member.Member
	managed *engine.Engine // nil: others run the engine
	mode    string
	name    string // the cluster's
	size    int    // how many members a managed engine is to have
	policy  member.Policy

	moved atomic.Pointer[etcd.Client] // is told where a managed engine is
}

// takePart has this host take part in its cluster. The relay runs already; what goes wrong later is
// logged and tried again. It waits only to be told where the cluster is, until ctx is over or somebody asks the daemon
// to end.
func takePart(ctx context.Context, v *server, t *channel.Table) (_ *part, err error) {
	s := v.s
	p := &part{mode: s.Cluster.Mode, name: s.Cluster.Name, size: s.Cluster.Engine.Size}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-v.d.Stopping():
			stop()
		case <-ctx.Done():
		}
	}()
	defer func() {
		if err != nil {
			p.end()
			err = fmt.Errorf("cluster: %w", err)
		}
	}()
	if err := os.MkdirAll(s.Cluster.State, 0o700); err != nil {
		return nil, fmt.Errorf("the folder for its state (cluster.state): %w", err)
	}
	if p.mode == config.Managed {
		if err = v.openEngine(ctx, p); err == nil {
			p.engine, err = v.dialManaged(p)
		}
	} else {
		p.engine, err = s.dialEngine(v.l)
	}
	if err != nil {
		return nil, err
	}
	settings, err := s.memberSettings()
	if err != nil {
		return nil, err
	}
	o := local.ReplicaOptions{Cluster: p.name, Host: s.Host, State: filepath.Join(s.Cluster.State, "lease-"+p.name+".json"), Logger: v.l}
	if p.policy = settings.Policy; len(p.policy) > 0 {
		o.Policy = p.policy
	}
	if p.replica, err = local.NewReplica(p.engine, o); err != nil {
		return nil, err
	}
	if p.server, err = p.replica.Serve(t.Folder(), local.ServerConfig{Logger: v.l, Alive: aliveIn(t)}); err != nil {
		return nil, err
	}
	p.client = p.replica.Provider(local.Options{Logger: v.l})
	p.member, err = member.Start(member.Config{
		Provider: p.client, Cluster: p.name, Host: s.Host, Links: s.links(v.d.Addr()), Fingerprint: v.fingerprint(), Incarnation: uint64(v.began.UnixNano()),
		Template: s.template(), Settings: settings, Binds: bindsOf(t), State: s.Cluster.State, Logger: v.l,
		Apply: func(r member.Routes) error {
			err := route.Update(s.Root, s.RelayKey, shm.Keep, func(t *route.Table) error {
				t.Hosts, t.Rules = r.Hosts, r.Rules
				return t.Validate()
			})
			if err == nil {
				v.d.Reload()
			}
			return err
		},
	})
	return p, err
}

// judgeNames has names be judged by a policy, if it is another one than before.
func (p *part) judgeNames(by member.Policy) {
	switch {
	case reflect.DeepEqual(by, p.policy):
	case len(by) == 0:
		p.replica.SetPolicy(nil)
	default:
		p.replica.SetPolicy(by)
	}
	p.policy = by
}

// end stops taking part. What this host has published stays for the TTL, in which the next daemon takes it over: the
// processes of the host are still there.
func (p *part) end() {
	if p == nil {
		return
	}
	if p.server != nil {
		p.server.Close()
	}
	if p.member != nil {
		p.member.Detach()
	}
	if p.client != nil {
		_ = p.client.Close() // it has nothing to say
	}
	if p.replica != nil {
		p.replica.Close()
	}
	if p.engine != nil {
		_ = p.engine.Close() // what it says is that it was closed
	}
	if p.managed != nil {
		p.managed.Close()
	}
}

// control answers what the tools ask.
func (p *part) control(do string, args json.RawMessage) (any, error) {
	ctx, stop := context.WithTimeout(context.Background(), reportPatience)
	defer stop()
	switch do {
	case report.AskCluster:
		return p.report(ctx), nil
	case report.AskReplace:
		return p.replace(args)
	}
	return nil, fmt.Errorf("%w: %q", relay.ErrQuestion, do)
}

// report says what this host knows of its cluster.
func (p *part) report(ctx context.Context) *report.Cluster {
	c := p.member.Status(ctx)
	c.Engine.Mode = p.mode
	if h, err := p.engine.Health(ctx); err == nil {
		c.Engine.About, c.Engine.Reached, c.Engine.Age = h.Engine, h.Reached, h.Age
		if h.LastError != nil {
			c.Engine.Error = h.LastError.Error()
		}
	}
	members, alarms, err := p.engine.Members(ctx)
	if err == nil {
		c.Engine.Members, c.Engine.Alarms = members, alarms
	}
	p.managedReport(&c.Engine)
	_, names, err := lookInto(ctx, p.client, c.Name)
	if err == nil {
		c.Names = names
	}
	return &c
}

// bindsOf returns what lists the addresses that are bound in a domain.
func bindsOf(t *channel.Table) func() []addr.Addr {
	return func() []addr.Addr { return t.Bound() }
}

// links are where other hosts reach this one.
func (s *settings) links(at net.Addr) []string {
	if len(s.Cluster.Links) > 0 {
		return s.Cluster.Links
	}
	host, port, err := net.SplitHostPort(s.Listen)
	if err == nil && host != "" && port != "0" {
		return []string{s.Listen}
	}
	if at == nil {
		return nil
	}
	_, port, _ = net.SplitHostPort(at.String())
	if host == "" {
		if host, err = os.Hostname(); err != nil {
			host = s.Host
		}
	}
	return []string{net.JoinHostPort(host, port)}
}

// memberSettings are what a reload may change.
func (s *settings) memberSettings() (member.Settings, error) {
	var t route.Table
	change, err := s.routes()
	if err == nil {
		t.Key = s.RelayKey
		err = change(&t)
	}
	m := member.Settings{Hosts: t.Hosts, Rules: t.Rules}
	for _, p := range s.Cluster.Policy {
		m.Policy = append(m.Policy, member.Permit{
			Hosts: p.Hosts, Prefixes: p.Prefixes, Names: p.Names, MaxRoutes: p.MaxRoutes, MaxGroups: p.MaxGroups, MaxNames: p.MaxNames,
		})
	}
	return m, err
}

// fingerprint is that of the host's certificate, empty without one.
func (v *server) fingerprint() string {
	if id := v.id.Load(); id != nil {
		return id.Fingerprint()
	}
	return ""
}

// dialEngine returns the client of the engine that the settings name.
func (s *settings) dialEngine(l *slog.Logger) (*etcd.Client, error) {
	c := &s.Cluster
	o := etcd.Options{Cluster: c.Name, Endpoints: c.Endpoints, User: c.User, Logger: l}
	if c.PasswordFile != "" {
		password, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("password_file: %w", err)
		}
		o.Password = string(bytes.TrimSpace(password))
	}
	var err error
	if o.TLS, err = s.engineTLS(); err != nil {
		return nil, err
	}
	return etcd.Dial(o)
}

// engineTLS returns how etcd is spoken to, nil for without TLS.
func (s *settings) engineTLS() (*tls.Config, error) {
	files := s.Cluster.TLS
	if files.CA == "" {
		files = s.TLS
	}
	if s.Cluster.Insecure || files.CA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(files.CA)
	if err != nil {
		return nil, fmt.Errorf("tls.ca: %w", err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls.ca: %s has no certificate", files.CA)
	}
	if files.Cert == "" {
		return c, nil
	}
	own, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, fmt.Errorf("tls.cert: %w", err)
	}
	c.Certificates = []tls.Certificate{own}
	return c, nil
}

// reportPatience is how long the engine may take to be asked for a report.
const reportPatience = 3 * time.Second

// isClustered says whether the mode is one of many hosts.
func (s *settings) isClustered() bool {
	return s.Cluster.Mode == config.Etcd || s.Cluster.Mode == config.Managed
}
