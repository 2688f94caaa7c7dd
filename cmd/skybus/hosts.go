// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/cluster/report"
)

func newHostsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "hosts",
		Short: "List the hosts of the cluster",
		Long: `hosts asks the daemon of the domain for the hosts of its cluster, one a line: where
their daemons are reached, how many routes each has published, and how long ago this
host has learnt of it. LINK is the connection to it: up, connecting, refused, or - if
there is none, as no route leads there.

STATE is here for this host, known for one that is in the cluster, doubted for one
that the engine has lost together with so many others that this is not believed
yet, and refused for one whose word is not taken: NOTE says why. A certificate is shown by
the first digits of its SHA-256; --json has all of it.

While the engine is away the hosts are as they were; a line says how long ago.`,
		Example:           "  skybus hosts -k 1000",
		Args:              takes(0, 0, ""),
		ValidArgsFunction: oneOf(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withCluster(cmd.Context(), a.listHosts)
		},
	}
}

// hostObject is a host in JSON.
type hostObject struct {
	report.Host
	Link  string        `json:"link"`     // "": none
	Stale time.Duration `json:"stale_ns"` // how old all of it is; 0: up to date
}

func (a *app) listHosts(d *skybus.Domain, c *report.Cluster) error {
	links := linksTo(d)
	t := newTable("HOST", "STATE", "LINK", "ADDRESS", "CERTIFICATE", ">ROUTES", ">AGE", "NOTE")
	objects := []hostObject{}
	for i := range c.Hosts {
		o := hostObject{Host: c.Hosts[i], Link: links[c.Hosts[i].Name], Stale: staleFor(c)}
		objects = append(objects, o)
		t.row(o.Name, o.State, orDash(o.Link), orDash(strings.Join(o.Links, " ")), orDash(short(o.Fingerprint)), strconv.Itoa(o.Host.Routes), ageOf(o.Age), orDash(hostNote(&o.Host)))
	}
	if !a.json {
		a.printf("%s: %s\n", aboutCluster(c), count(len(objects), "host"))
		a.sayStale(c)
		if len(objects) == 0 {
			return nil
		}
	}
	return list(a, objects, t)
}

// linksTo returns the state of the connections to each host: up if one is.
func linksTo(d *skybus.Domain) map[string]string {
	states := map[string]string{}
	s, err := ask(d, askStatus)
	if err != nil {
		return states // it has answered about its cluster, and ends
	}
	for i := range s.Links {
		if l := &s.Links[i]; l.Direction == linkOut && states[l.Peer] != linkUp {
			states[l.Peer] = l.State
		}
	}
	return states
}

// short is the beginning of a fingerprint.
func short(fingerprint string) string { return fingerprint[:min(16, len(fingerprint))] }

func hostNote(h *report.Host) string {
	var list []string
	if h.Error != "" {
		list = append(list, h.Error)
	}
	if h.PassedOver > 0 {
		list = append(list, count(h.PassedOver, "route")+" passed over")
	}
	return strings.Join(list, "; ")
}

func aboutCluster(c *report.Cluster) string {
	return "cluster " + printable(c.Name) + ", as host " + printable(c.Host) + " knows it"
}

// sayStale writes a line if what is listed is old.
func (a *app) sayStale(c *report.Cluster) {
	if text := staleness(c); text != "" {
		a.printf("stale: %s\n", printable(text))
	}
}

func staleFor(c *report.Cluster) time.Duration {
	if c.Stale {
		return c.Age
	}
	return 0
}
