// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/local"
	"github.com/skybus-io/skybus/names"
	"github.com/skybus-io/skybus/route"
)

// goneEach is how often a watch looks whether its domain is still there.
const goneEach = time.Second

func newNamesCommand(a *app) *cobra.Command {
	watch, global := false, false
	cmd := &cobra.Command{
		Use:   "names [PREFIX]",
		Short: "List the names that services have on this host, or in the cluster",
		Long: `names lists the names that all processes of the domain know, those that begin with
PREFIX if it is given. OWNER is the service that has the name, as address/handle; PROCESS
and PROGRAM say who has bound that address. QUEUE are the services that wait for the
name, the next one first. An owner whose process has ended is not listed: its names are
free, or the next one's.

With --watch it shows what there is and then each change, one a line, until it is
interrupted: when it was seen, the name, its owner before and now. With --json
that is one object a line.

With --cluster it asks the daemon, which speaks for the engine of the cluster, for the
names that all hosts know; HOST is where the owner's address lives by the routes, PROCESS and
PROGRAM are known only of this host's. While the engine is away they are as they
were: a line says how long ago, and with --json each has stale_ns.`,
		Example:           "  skybus names -k 1000\n  skybus names -k 1000 game. --watch\n  skybus names -k 1000 --cluster",
		Args:              takes(0, 1, "PREFIX"),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.openExisting()
			if err != nil {
				return err
			}
			defer d.Close()
			r, closeNames, err := namesOf(cmd.Context(), d, global)
			if err != nil {
				return err
			}
			defer closeNames()
			prefix := strings.Join(args, "")
			if watch {
				return a.watchNames(cmd.Context(), d, r, prefix)
			}
			if global {
				return a.listGlobalNames(cmd.Context(), d, r, prefix)
			}
			return a.listNames(cmd.Context(), d, r, prefix)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show changes, until interrupted")
	cmd.Flags().BoolVar(&global, "cluster", false, "the names that all hosts know")
	return cmd
}

// enginePatience is how long the engine of the cluster may take for its first answer.
const enginePatience = time.Second

// namesOf returns the names of a domain's host, or of its cluster.
func namesOf(ctx context.Context, d *skybus.Domain, global bool) (r names.Registry, closeNames func(), err error) {
	if !global {
		r, err = d.Names()
		return r, func() {}, err
	}
	quiet := slog.New(slog.DiscardHandler)
	p, err := local.Dial(d.Table().Folder(), local.Options{Logger: quiet})
	if err != nil {
		return nil, nil, err
	}
	if err := reached(ctx, p); err != nil {
		p.Close()
		return nil, nil, fmt.Errorf("no engine answers for domain %d: skybusd runs one, unless its configuration says cluster: none: %w", d.Key(), cause(err))
	}
	n, err := cluster.NewNames(p, cluster.NamesConfig{Logger: quiet})
	if err != nil {
		p.Close()
		return nil, nil, err
	}
	return n, func() {
		n.Close()
		p.Close()
	}, nil
}

// reached returns when the engine has answered, or why it does not.
func reached(ctx context.Context, p cluster.Provider) error {
	ctx, cancel := context.WithTimeout(ctx, enginePatience)
	defer cancel()
	for {
		h, err := p.Health(ctx)
		if err == nil && h.Reached {
			return nil
		}
		select {
		case <-ctx.Done():
			return cmp.Or(h.LastError, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// nameObject is a name in JSON.
type nameObject struct {
	Name    string        `json:"name"`
	Owner   string        `json:"owner"`
	Host    string        `json:"host,omitzero"` // of the cluster's names; this and what is next
	Stale   time.Duration `json:"stale_ns,omitzero"`
	Process uint32        `json:"process"`
	Program string        `json:"program"`
	Queue   []string      `json:"queue"`
}

// listGlobalNames lists the names of the cluster.
func (a *app) listGlobalNames(ctx context.Context, d *skybus.Domain, r names.Registry, prefix string) error {
	objects, owners, err := namesBy(ctx, d, r, prefix)
	if err != nil {
		return err
	}
	routes, err := routesOf(d, a.rootDir())
	if err != nil {
		return err
	}
	stale := staleNames(r)
	t := newTable("NAME", "OWNER", "HOST", ">PROCESS", "PROGRAM", "QUEUE")
	for i := range objects {
		o := &objects[i]
		here := false
		if o.Host, here = hostOf(routes, owners[i].Addr); !here {
			o.Process, o.Program = 0, "" // of one that had the address here
		}
		o.Stale = stale
		process := "-"
		if o.Process != 0 {
			process = strconv.FormatUint(uint64(o.Process), 10)
		}
		t.row(o.Name, o.Owner, orDash(o.Host), process, orDash(o.Program), orDash(strings.Join(o.Queue, " ")))
	}
	if stale > 0 && !a.json {
		a.printf("stale: the engine was last heard %s ago: this is how things were then\n", ageOf(stale))
	}
	return a.printNames(d, objects, t, prefix)
}

// staleNames is how old a registry's picture is, 0 if it is up to date.
func staleNames(r names.Registry) time.Duration {
	if n, ok := r.(interface{ Stale() time.Duration }); ok {
		return n.Stale()
	}
	return 0
}

// hostOf names the host where an address lives, "" if nobody has said what this one is called, and says whether it is
// this one.
func hostOf(t *route.Table, at addr.Addr) (host string, here bool) {
	if t == nil {
		return "", true
	}
	if m, ok := t.Lookup(at); ok {
		return m.Host, m.Local
	}
	return t.Self, true
}

func (a *app) listNames(ctx context.Context, d *skybus.Domain, r names.Registry, prefix string) error {
	objects, _, err := namesBy(ctx, d, r, prefix)
	if err != nil {
		return err
	}
	t := newTable("NAME", "OWNER", ">PROCESS", "PROGRAM", "QUEUE")
	for i := range objects {
		o := &objects[i]
		t.row(o.Name, o.Owner, strconv.FormatUint(uint64(o.Process), 10), orDash(o.Program), orDash(strings.Join(o.Queue, " ")))
	}
	return a.printNames(d, objects, t, prefix)
}

func (a *app) printNames(d *skybus.Domain, objects []nameObject, t *table, prefix string) error {
	if len(objects) == 0 && !a.json {
		a.printf("no service of domain %d has a name%s\n", d.Key(), beginsWith(prefix))
		return nil
	}
	return list(a, objects, t)
}

// namesBy returns the names that begin with prefix, and their owners.
func namesBy(ctx context.Context, d *skybus.Domain, r names.Registry, prefix string) (objects []nameObject, heads []names.Owner, err error) {
	all, err := r.List(ctx, prefix)
	if err != nil {
		return nil, nil, err
	}
	objects = []nameObject{}
	for _, c := range all {
		owners, err := r.Owners(ctx, c.Name)
		if err != nil {
			return nil, nil, err
		}
		if len(owners) == 0 {
			continue // given up since
		}
		o := nameObject{Name: c.Name, Owner: service(d, owners[0]), Queue: []string{}}
		if e, ok := d.Table().Endpoint(owners[0].Addr); ok {
			o.Process, o.Program = e.PID, e.Program
		}
		for _, w := range owners[1:] {
			o.Queue = append(o.Queue, service(d, w))
		}
		objects, heads = append(objects, o), append(heads, owners[0])
	}
	return objects, heads, nil
}

func beginsWith(prefix string) string {
	if prefix == "" {
		return ""
	}
	return " that begins with " + printable(prefix)
}

// service writes an owner as its PID, with the address the domain's way; nothing for nobody.
func service(d *skybus.Domain, o names.Owner) string {
	if o.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s/%x", d.FormatAddr(o.Addr), o.Handle)
}

// nameChange is a change in JSON.
type nameChange struct {
	Time time.Time `json:"time"`
	Name string    `json:"name"`
	Old  string    `json:"old"` // "": nobody
	New  string    `json:"new"`
}

// watchNames shows changes until ctx is over, or the domain is removed.
func (a *app) watchNames(ctx context.Context, d *skybus.Domain, r names.Registry, prefix string) error {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go watchGone(within, d, cancel)
	err := r.Watch(within, prefix, func(c names.Change) error {
		o := nameChange{time.Now(), c.Name, service(d, c.Old), service(d, c.New)}
		if a.json {
			return a.object(o, "")
		}
		a.printf("%s  %s  %s -> %s\n", o.Time.Format("15:04:05.000"), printable(o.Name), orDash(o.Old), orDash(o.New))
		return nil
	})
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return nil
	}
	return err
}

// watchGone ends a watch whose domain was removed.
func watchGone(ctx context.Context, d *skybus.Domain, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(goneEach)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := gone(d); err != nil {
			cancel(err)
			return
		}
	}
}

// completeNames offers the names that there are.
func (a *app) completeNames(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	d, err := a.openExisting()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer d.Close()
	r, err := d.Names()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	all, _ := r.List(context.Background(), begun)
	for _, c := range all {
		words = append(words, c.Name+"\tof "+service(d, c.New))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
