// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/local"
	"github.com/skybus-io/skybus/cluster/report"
	"github.com/skybus-io/skybus/cmd/skybusd/internal/config"
	"github.com/skybus-io/skybus/relay"
)

// control answers what the tools ask of the cluster; see relay.Config.
func (v *server) control(do string, args json.RawMessage) (any, error) {
	if p := v.p.Load(); p != nil {
		return p.control(do, args)
	}
	e := v.c.Load()
	switch {
	case v.s.isClustered():
		return nil, errors.New("the daemon does not take part in its cluster yet: the log says what it waits for")
	case e == nil && v.s.Cluster.Mode == config.Local:
		return nil, errors.New("the engine does not run, or not yet: the log says why")
	case e == nil:
	case do == report.AskCluster:
		return v.report(e)
	case do == report.AskReplace:
		return nil, errors.New("the engine is local, in the daemon of this host: it has no members to replace")
	}
	return nil, fmt.Errorf("%w: %q", relay.ErrQuestion, do)
}

// report says how the local engine is. Its cluster is this host.
func (v *server) report(e *localEngine) (*report.Cluster, error) {
	ctx, stop := context.WithTimeout(context.Background(), reportPatience)
	defer stop()
	p := e.e.Provider(local.Options{Logger: v.l})
	defer p.Close()
	h, names, err := lookInto(ctx, p, defaultCluster)
	if err != nil {
		return nil, err
	}
	c := &report.Cluster{
		Name: defaultCluster, Host: v.s.Host, Names: names, Routes: []report.Route{}, Problems: []string{},
		Engine: report.Engine{
			Mode: report.ModeLocal, About: "in the daemon, for this host alone", Reached: true, Life: fmt.Sprintf("%016x", h.Life), Revision: h.Revision,
			Keys: h.Keys, Leases: h.Leases, Bytes: h.Bytes, Members: []report.Member{}, Alarms: []string{},
		},
		Hosts: []report.Host{{Name: v.s.Host, Links: []string{}, Template: v.s.template().String(), State: report.HostHere, Age: time.Since(v.began)}},
	}
	if a := v.d.Addr(); a != nil {
		c.Hosts[0].Links = append(c.Hosts[0].Links, a.String())
	}
	return c, nil
}

// defaultCluster is what a cluster is called that nobody has named.
const defaultCluster = config.DefaultClusterName

// lookInto returns the engine's health and how many names there are.
func lookInto(ctx context.Context, p cluster.Provider, name string) (h cluster.Health, names int, err error) {
	root := cluster.NamesRoot(name)
	snap, err := p.Get(ctx, cluster.Query{Key: root, Prefix: true})
	if err != nil {
		return h, 0, err
	}
	last := ""
	for i := range snap.KVs { // in order
		name, _, claim := strings.Cut(strings.TrimPrefix(snap.KVs[i].Key, root), "/")
		if claim && name != last {
			names, last = names+1, name
		}
	}
	h, err = p.Health(ctx)
	return h, names, err
}
