// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/cluster/report"
	"github.com/skybus-io/skybus/relay"
)

// clusterPatience is how long the daemon may take to say what it knows: that may be much.
const clusterPatience = 10 * time.Second

func newClusterCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Say how the cluster and its engine are",
		Long: `cluster asks the daemon of the domain for the cluster that its host is in: what keeps
its names, routes and elections (the engine), whether that answers, its members, and
how much there is. hosts, routes and names list that. While the engine is away the
daemon goes on with what it knows, and says how old that is. The exit code is 1 then,
and without a daemon.

ENGINE is local (inside the daemon, for this host alone), etcd (an etcd cluster that
others run) or managed (etcd servers that the daemons run).`,
		Example: "  skybus cluster -k 1000\n  skybus cluster replace -k 1000 west",
		Args:    noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withCluster(cmd.Context(), func(_ *skybus.Domain, c *report.Cluster) error { return a.clusterStatus(c) })
		},
	}
	cmd.AddCommand(newClusterReplaceCommand(a))
	return cmd
}

// withCluster opens the domain and asks its daemon for the cluster.
func (a *app) withCluster(ctx context.Context, do func(*skybus.Domain, *report.Cluster) error) error {
	d, err := a.openExisting()
	if err != nil {
		return err
	}
	defer d.Close()
	c, err := askCluster(ctx, d)
	if err != nil {
		return err
	}
	return do(d, c)
}

// errNoCluster means that the daemon is in none.
var errNoCluster = errors.New("in no cluster")

// askCluster asks the daemon of a domain for its cluster. Errors: relay.ErrNoDaemon; errNoCluster.
func askCluster(ctx context.Context, d *skybus.Domain) (*report.Cluster, error) {
	ctx, stop := context.WithTimeout(ctx, clusterPatience)
	defer stop()
	c := &report.Cluster{}
	if err := relay.AskFor(ctx, d.Table().Folder(), report.AskCluster, nil, c); err != nil {
		return nil, clusterless(d, err)
	}
	return c, nil
}

// clusterless says why a question about the cluster has no answer.
func clusterless(d *skybus.Domain, err error) error {
	if errors.Is(err, relay.ErrQuestion) {
		return fmt.Errorf("the daemon of domain %d is %w: its configuration says cluster: none", d.Key(), errNoCluster)
	}
	return noAnswer(d, err)
}

// ageOf writes how long something has lasted, coarsely.
func ageOf(d time.Duration) string {
	now := time.Now()
	return ago(now.Add(-d), now)
}

// staleness says in a sentence that what is listed is old, or nothing.
func staleness(c *report.Cluster) string {
	switch {
	case !c.Stale:
		return ""
	case c.FromDisk:
		return fmt.Sprintf("the engine of cluster %s was not heard since the daemon began: this is the last copy on disk, %s old", c.Name, ageOf(c.Age))
	}
	return fmt.Sprintf("the engine of cluster %s was last heard %s ago: this is how things were then", c.Name, ageOf(c.Age))
}

func (a *app) clusterStatus(c *report.Cluster) error {
	if a.json {
		if err := a.object(c, "  "); err != nil {
			return err
		}
	} else {
		a.printCluster(c)
	}
	if !c.Engine.Reached {
		return errShown
	}
	return nil
}

func (a *app) printCluster(c *report.Cluster) {
	e := &c.Engine
	hosts, routes := map[string]int{}, map[string]int{}
	for i := range c.Hosts {
		hosts[c.Hosts[i].State]++
	}
	for i := range c.Routes {
		routes[c.Routes[i].State]++
	}
	fields := []string{
		"cluster", c.Name, "host", c.Host, "engine", strings.TrimSuffix(e.Mode+", "+e.About, ", "), "state", engineState(e),
		"holds", fmt.Sprintf("%s, %s, %s bytes, revision %d of life %s", count(e.Keys, "key"), count(e.Leases, "lease"), size(uint64(max(e.Bytes, 0))), e.Revision, orDash(e.Life)),
		"hosts", strconv.Itoa(len(c.Hosts)) + others(hosts, report.HostDoubted, report.HostRefused),
		"routes", strconv.Itoa(len(c.Routes)) + others(routes, report.RouteConflict, report.RoutePending, report.RouteDoubted, report.RouteMoving, report.RouteRefused),
		"names", strconv.Itoa(c.Names),
	}
	if e.Child != "" {
		fields = append(fields, "member here", e.Child)
	}
	if len(e.Alarms) > 0 {
		fields = append(fields, "alarms", strings.Join(e.Alarms, ", "))
	}
	for _, p := range c.Problems {
		fields = append(fields, "problem", p)
	}
	if text := staleness(c); text != "" {
		fields = append(fields, "stale", text)
	}
	a.fields(fields...)
	if len(e.Members) > 0 {
		a.printf("\n")
		a.print(memberTable(e))
	}
}

// others writes those of a number that want to be looked at.
func others(by map[string]int, states ...string) string {
	var list []string
	for _, s := range states {
		if by[s] > 0 {
			list = append(list, fmt.Sprintf("%d %s", by[s], s))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

func engineState(e *report.Engine) string {
	switch {
	case e.Reached:
		return "heard " + ageOf(e.Age) + " ago"
	case e.Life == "":
		return "never heard" + because(e.Error)
	}
	return "not heard for " + ageOf(e.Age) + because(e.Error)
}

func because(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

func memberTable(e *report.Engine) *table {
	t := newTable("MEMBER", "ID", "ROLE", "HEALTHY", ">DB", "CLIENTS", "PEERS", "ERROR")
	for i := range e.Members {
		m := &e.Members[i]
		role := "voter"
		switch {
		case m.Leader:
			role = "leader"
		case m.Learner:
			role = "learner"
		}
		t.row(orDash(m.Name), m.ID, role, yesNo(m.Healthy), size(uint64(max(m.DBBytes, 0))), orDash(strings.Join(m.Clients, " ")), orDash(strings.Join(m.Peers, " ")), orDash(m.Error))
	}
	if e.Wanted > len(e.Members) {
		for range e.Wanted - len(e.Members) {
			t.row("-", "-", "missing", "no", "-", "-", "-", "-")
		}
	}
	return t
}

func newClusterReplaceCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "replace OLD",
		Short: "Have this host take the place of a lost member of the engine",
		Long: `replace has the daemon of this host, which must not run a member of the engine yet,
remove the lost member OLD from a managed engine and run one in its place. It says
when that has begun; skybus cluster shows how it goes on. A member that answers is not
replaced.`,
		Example:           "  skybus cluster replace -k 1000 west",
		Args:              takes(1, 1, "OLD"),
		ValidArgsFunction: oneOf(),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.openExisting()
			if err != nil {
				return err
			}
			defer d.Close()
			return a.replaceMember(cmd.Context(), d, args[0])
		},
	}
}

func (a *app) replaceMember(ctx context.Context, d *skybus.Domain, old string) error {
	if old == "" {
		return usagef("OLD: want the name of a member; skybus cluster lists them")
	}
	ctx, stop := context.WithTimeout(ctx, clusterPatience)
	defer stop()
	if err := relay.AskFor(ctx, d.Table().Folder(), report.AskReplace, report.Replace{Old: old}, new(any)); err != nil {
		return clusterless(d, err)
	}
	return a.done(report.Replace{Old: old}, "the daemon of domain %d takes the place of member %s; skybus cluster shows how it goes on", d.Key(), printable(old))
}
