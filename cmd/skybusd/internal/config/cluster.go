// SPDX-License-Identifier: Apache-2.0

package config

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/skybus-io/skybus/addr"
)

// The values of Cluster.Mode.
const (
	// Local keeps global names in the daemon, for the processes of this host.
	Local = "local"
	// None does without.
	None = "none"
	// Etcd keeps names, routes and hosts in an etcd cluster that others run.
	Etcd = "etcd"
	// Managed keeps them in etcd servers that the daemons run themselves.
	Managed = "managed"
)

// Cluster says where what hosts have in common is kept.
type Cluster struct {
	// Mode is Local, None, Etcd or Managed. With the first two no other field is set.
	Mode string
	// Name is the cluster's, 1..63 bytes of [a-zA-Z0-9._-]. Empty with Managed: it is
	// what the cluster was called when it was begun.
	Name string
	// Init begins a Managed cluster called Name, on a host that is in none yet; Join is the HOST:PORT of a daemon
	// that says where one is. At most one of the two is set.
	Init bool
	Join string
	// Endpoints are the HOST:PORT of the etcd servers; one or more with Etcd, none else.
	Endpoints []string
	// User and PasswordFile are for an etcd cluster that wants them; empty: none.
	User, PasswordFile string
	// TLS names the certificates for etcd. CA is empty where those of the host
	// are used, or none if Insecure is set there; Cert and Key may be empty.
	TLS TLS
	// Insecure means that etcd is spoken to without TLS.
	Insecure bool
	// Links are the HOST:PORT where other hosts reach this one, the best one first. Empty: Config.Listen.
	Links []string
	// State is the folder for what the daemon has to find again when it is restarted.
	State string
	// Engine is how a managed engine is run.
	Engine Engine
	// Policy says which hosts may publish what; the first entry that has a host counts.
	// Empty: all may publish everything.
	Policy []Permit
}

// Engine is an etcd server that the daemon runs.
type Engine struct {
	// Size is how many hosts of the cluster have one: 1, 3 or 5.
	Size int
	// Client and Peer are the HOST:PORT where it is reached, by daemons and by the other
	// servers. Empty: the host of Config.Listen and the ports 7101 and 7102.
	Client, Peer string
	// Binary is an etcd program to run in place of the one inside skybusd; empty: that one.
	Binary string
}

// Permit is what some hosts may publish.
type Permit struct {
	// Hosts are globs of host names.
	Hosts []string
	// Prefixes are where their addresses must lie, Names globs of the names they may have; none: any.
	Prefixes []addr.Prefix
	Names    []string
	// MaxRoutes, MaxNames and MaxGroups bound how many they have; 0: no bound of its own.
	MaxRoutes, MaxNames, MaxGroups int
}

// DefaultState is Cluster.State where the file names none.
const DefaultState = "/var/lib/skybus"

// DefaultClusterName is Cluster.Name with Etcd where the file has none.
const DefaultClusterName = "default"

const maxBound = 1 << 20 // of a Permit's numbers

// cluster reads a mode, or a mapping with one.
func (r *reader) cluster(v value) {
	c := &r.cfg.Cluster
	if v.node.Kind != yaml.MappingNode {
		if set(&c.Mode, word(Local, None, Etcd, Managed))(v); c.Mode == Etcd {
			v.fail("etcd wants endpoints: write a mapping with mode: etcd and endpoints: [HOST:PORT]")
		}
		if c.Mode == Managed {
			c.fill()
		}
		return
	}
	r.lines["cluster"] = v.node.Line
	given, errs := map[string]int{}, len(r.rep.errs)
	mark := func(name string, read func(value)) func(value) {
		return func(v value) {
			given[name] = v.node.Line
			read(v)
		}
	}
	v.fields([]field{
		{"mode", "it says where names are kept: local, none, etcd or managed", set(&c.Mode, word(Local, None, Etcd, Managed))},
		{"name", "", mark("name", set(&c.Name, value.clusterName))},
		{"init", "", mark("init", set(&c.Init, value.boolean))},
		{"join", "", mark("join", set(&c.Join, value.dial))},
		{"endpoints", "", mark("endpoints", func(v value) { v.each("HOST:PORT", add(&c.Endpoints, value.dial)) })},
		{"user", "", mark("user", set(&c.User, value.account))},
		{"password_file", "", mark("password_file", set(&c.PasswordFile, in(r.dir)))},
		{"tls", "", mark("tls", r.clusterTLS)},
		{"insecure", "", mark("insecure", set(&c.Insecure, value.boolean))},
		{"links", "", mark("links", func(v value) { v.each("HOST:PORT", add(&c.Links, value.dial)) })},
		{"state", "", mark("state", set(&c.State, in(r.dir)))},
		{"engine", "", mark("engine", r.engine)},
		{"policy", "", mark("policy", r.policy)},
	})
	if len(r.rep.errs) == errs {
		r.fits(v, given)
	}
	if c.Mode == Etcd || c.Mode == Managed {
		c.fill()
	}
}

// fill sets what the file does not.
func (c *Cluster) fill() {
	if c.Name == "" && c.Mode == Etcd {
		c.Name = DefaultClusterName
	}
	if c.State == "" {
		c.State = DefaultState
	}
	if c.Engine.Size == 0 && c.Mode == Managed {
		c.Engine.Size = 3
	}
}

// fits reports keys that mean nothing in the mode, and those that it lacks.
func (r *reader) fits(v value, given map[string]int) {
	c := &r.cfg.Cluster
	refused := map[string][]string{
		Local:   {"name", "init", "join", "endpoints", "user", "password_file", "tls", "insecure", "links", "state", "engine", "policy"},
		None:    {"name", "init", "join", "endpoints", "user", "password_file", "tls", "insecure", "links", "state", "engine", "policy"},
		Etcd:    {"init", "join", "engine"},
		Managed: {"endpoints", "user", "password_file", "tls", "insecure"},
	}[c.Mode]
	for _, name := range refused {
		if line := given[name]; line > 0 {
			r.rep.fail(line, "cluster."+name, "means nothing with mode: %s", c.Mode)
		}
	}
	if c.Mode == Managed {
		r.fitsManaged(given)
	}
	if c.Mode != Etcd {
		return
	}
	if given["endpoints"] == 0 {
		r.rep.fail(v.node.Line, "cluster.endpoints", "is missing; it says where the etcd servers are")
	} else if len(c.Endpoints) == 0 {
		r.rep.fail(given["endpoints"], "cluster.endpoints", "want one HOST:PORT or more")
	}
	if (c.User == "") != (c.PasswordFile == "") {
		r.rep.fail(max(given["user"], given["password_file"]), "cluster.user", "goes together with password_file; want both or none")
	}
	if c.Insecure && given["tls"] > 0 {
		r.rep.fail(given["tls"], "cluster.tls", "does not go with insecure: true; want one of the two")
	}
}

func (r *reader) fitsManaged(given map[string]int) {
	c := &r.cfg.Cluster
	if c.Init && c.Name == "" {
		r.rep.fail(given["init"], "cluster.init", "wants cluster.name: what the cluster is to be called")
	}
	if c.Init && c.Join != "" {
		r.rep.fail(given["join"], "cluster.join", "does not go with init: true; init is for the first host, join for all others")
	}
}

func (r *reader) clusterTLS(v value) {
	t := &r.cfg.Cluster.TLS
	v.fields([]field{
		{"ca", "it is the authority of the etcd servers", set(&t.CA, in(r.dir))},
		{"cert", "", set(&t.Cert, in(r.dir))},
		{"key", "", set(&t.Key, in(r.dir))},
	})
	if (t.Cert == "") != (t.Key == "") {
		v.fail("cert and key go together; want both or none")
	}
}

func (r *reader) engine(v value) {
	e := &r.cfg.Cluster.Engine
	v.fields([]field{
		{"size", "", func(v value) {
			set(&e.Size, number(1, 5))(v)
			if e.Size%2 == 0 && e.Size != 0 {
				v.fail("want 1, 3 or 5, got %d: an even number needs as many for a majority as the next one", e.Size)
			}
		}},
		{"client", "", set(&e.Client, value.dial)},
		{"peer", "", set(&e.Peer, value.dial)},
		{"binary", "", set(&e.Binary, in(r.dir))},
	})
	if e.Client != "" && e.Client == e.Peer {
		v.fail("client and peer are both %s; want two ports", e.Client)
	}
}

func (r *reader) policy(v value) {
	r.cfg.Cluster.Policy = []Permit{}
	v.each("permits", func(v value) {
		p, errs := Permit{}, len(r.rep.errs)
		v.fields([]field{
			{"hosts", "it says which hosts the entry is for", func(v value) { v.each("globs of host names", add(&p.Hosts, value.glob)) }},
			{"prefixes", "", func(v value) { v.each("prefixes", r.permitted(&p.Prefixes)) }},
			{"names", "", func(v value) { v.each("globs of names", add(&p.Names, value.glob)) }},
			{"max_routes", "", set(&p.MaxRoutes, number(1, maxBound))},
			{"max_names", "", set(&p.MaxNames, number(1, maxBound))},
			{"max_groups", "", set(&p.MaxGroups, number(1, maxBound))},
		})
		if len(p.Hosts) == 0 && len(r.rep.errs) == errs {
			v.fail(`hosts: want one glob or more, such as "zone-*"`)
		}
		if len(r.rep.errs) == errs {
			r.cfg.Cluster.Policy = append(r.cfg.Cluster.Policy, p)
		}
	})
}

func (r *reader) permitted(list *[]addr.Prefix) func(value) {
	if r.blurred {
		return func(value) {}
	}
	return add(list, within(r.cfg.Template))
}

// add returns what reads a value and appends it to a list, in which none comes twice.
func add[T comparable](list *[]T, read reading[T]) func(value) {
	return func(v value) {
		got, ok := read(v)
		switch {
		case !ok:
		case slices.Contains(*list, got):
			v.fail("%s comes twice", quote(v.node.Value))
		default:
			*list = append(*list, got)
		}
	}
}

// clusterName reads the name of a cluster.
func (v value) clusterName() (string, bool) {
	const what = "the name of a cluster, 1..63 of a-z A-Z 0-9 . _ -"
	s, ok := v.written(what)
	if ok && (len(s) > maxName || strings.Trim(s, nameBytes) != "") {
		v.want(what)
		return "", false
	}
	return s, ok
}

// glob reads a pattern of path.Match.
func (v value) glob() (string, bool) {
	s, ok := v.written("a glob, text with *, ? and [a-z]")
	if !ok {
		return "", false
	}
	if _, err := path.Match(s, ""); err != nil {
		v.want("a glob, text with *, ? and [a-z]")
		return "", false
	}
	return s, true
}
