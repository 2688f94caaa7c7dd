// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/cluster/engine"
	"github.com/skybus-io/skybus/cmd/skybusd/internal/config"
	"github.com/skybus-io/skybus/internal/certs"
	"github.com/skybus-io/skybus/internal/tbusxml"
	"github.com/skybus-io/skybus/route"
)

// flags are the command line. Without a configuration file they are turned into
// one, so that both ways have the same checks.
type flags struct {
	config, key, relayKey, root, host, listen, routesFile, log string
	peers, routes                                              []string
	ca, cert, keyFile                                          string
	clusterInit, clusterJoin, state                            string
	insecure, replace                                          bool
	set                                                        *pflag.FlagSet
}

func (f *flags) add(set *pflag.FlagSet) {
	f.set = set
	set.StringVar(&f.config, "config", "", "`FILE` with the configuration")
	set.StringVarP(&f.key, "key", "k", "", "`KEY` of the domain, 1000 or 0x3e8")
	set.StringVar(&f.relayKey, "relay-key", "", "`KEY` of the route table (default: that of the trelaymgr.xml, or the domain's)")
	set.StringVar(&f.root, "root", os.Getenv("SKYBUS_ROOT"), "`FOLDER` that holds the domain (default $SKYBUS_ROOT, or /dev/shm)")
	set.StringVar(&f.host, "host", "", "`NAME` of this host (default: the listen address with _ for what no name has)")
	set.StringVar(&f.listen, "listen", "", "`HOST:PORT` where other hosts connect")
	set.StringArrayVar(&f.peers, "peer", nil, "another host, `NAME=HOST:PORT`")
	set.StringArrayVar(&f.routes, "route", nil, "addresses on a host, `PREFIX=NAME[,stored][,priority=N]`")
	set.StringVar(&f.routesFile, "routes", "", "`FILE`, a trelaymgr.xml, that has the routes")
	set.StringVar(&f.ca, "ca", "", "`FILE` with the certificates that sign those of all hosts")
	set.StringVar(&f.cert, "cert", "", "`FILE` with this host's certificate")
	set.StringVar(&f.keyFile, "key-file", "", "`FILE` with its key")
	set.StringVar(&f.clusterInit, "cluster-init", "", "begin a cluster called `NAME`, on its first host")
	set.StringVar(&f.clusterJoin, "cluster-join", "", "join the cluster of the daemon that listens at `HOST:PORT`")
	set.StringVar(&f.state, "state", config.DefaultState, "`FOLDER` for what a host in a cluster has to find again")
	set.BoolVar(&f.insecure, "insecure", false, "go without TLS")
	set.StringVar(&f.log, "log", config.Text, "`FORMAT` of the log: text or json")
	set.BoolVar(&f.replace, "replace", false, "have the daemon that runs for the domain end, and take its place")
}

// settings is a configuration that was read.
type settings struct {
	*config.Config
	file string // empty: from flags
}

func (s *settings) from() string {
	if s.file == "" {
		return "the command line"
	}
	return s.file
}

// rootDir is the folder that the library takes where the settings name none.
func (s *settings) rootDir() string {
	if s.Root == "" {
		return channel.DefaultRoot
	}
	return s.Root
}

func (s *settings) summary() string {
	text := fmt.Sprintf("%d peers", len(s.Peers))
	if s.Routes != nil {
		text += fmt.Sprintf(", %d routes", len(s.Routes))
	}
	if s.RoutesFile != "" {
		text += ", routes of " + s.RoutesFile
	}
	if s.Insecure {
		return text + ", without TLS"
	}
	return text + ", with TLS"
}

// settings reads the file, or what the flags say.
func (f *flags) settings() (*settings, error) {
	if f.config != "" {
		if err := f.alone(); err != nil {
			return nil, err
		}
		c, err := config.Load(f.config)
		return &settings{c, f.config}, err
	}
	if f.key == "" {
		return nil, usagef("no configuration: want --config FILE, or -k KEY with --listen and --peer or --routes")
	}
	doc, err := f.document()
	if err != nil {
		return nil, err
	}
	data, err := yaml.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("command line: %w", err)
	}
	c, err := config.Read("", data)
	if err != nil {
		return nil, f.explain(err)
	}
	return &settings{Config: c}, nil
}

// alone refuses flags that the file has its own words for.
func (f *flags) alone() error {
	var also []string
	f.set.Visit(func(fl *pflag.Flag) {
		switch fl.Name {
		case "config", "check", "replace", "example":
		default:
			also = append(also, "--"+fl.Name)
		}
	})
	if len(also) > 0 {
		return usagef("%s: with --config the file says that", strings.Join(also, ", "))
	}
	return nil
}

// explain says of mistakes in the flags what is wrong, without the lines of a file
// that nobody has written.
func (f *flags) explain(err error) error {
	var texts []string
	var list interface{ Unwrap() []error }
	if !errors.As(err, &list) {
		return usagef("%w", err)
	}
	for _, e := range list.Unwrap() {
		var at *config.Error
		if !errors.As(e, &at) {
			continue
		}
		text, _, _ := strings.Cut(at.Msg, ", first in line") // nobody has written lines
		if name := flagOf(at.Field); name != "" {
			text = name + ": " + text
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return usagef("%w", err)
	}
	return usagef("%s", strings.Join(texts, "; "))
}

// flagOf is the flag that stands for a field of the configuration file.
func flagOf(field string) string {
	field, rest, _ := strings.Cut(field, ".")
	switch field {
	case "domain":
		return "-k"
	case "peers":
		return "--peer"
	case "routes":
		return "--route"
	case "routes_file":
		return "--routes"
	case "relay_key":
		return "--relay-key"
	case "cluster":
		if name, ok := map[string]string{"name": "--cluster-init", "init": "--cluster-init", "join": "--cluster-join", "state": "--state"}[rest]; ok {
			return name
		}
	case "tls":
		if name, ok := map[string]string{"ca": "--ca", "cert": "--cert", "key": "--key-file"}[rest]; ok {
			return name
		}
		return "--ca, --cert and --key-file, or --insecure"
	case "log":
		return "--log"
	case "":
		return ""
	}
	return "--" + field
}

// document is the configuration file that the flags stand for.
func (f *flags) document() (map[string]any, error) {
	doc := map[string]any{"domain": number(f.key), "log": map[string]any{"format": f.log}}
	put := func(key, value string) {
		if value != "" {
			doc[key] = value
		}
	}
	put("root", f.root)
	put("listen", f.listen)
	put("routes_file", f.routesFile)
	if f.host == "" && f.listen != "" {
		f.host = route.HostName(f.listen)
	}
	put("host", f.host)
	if f.relayKey == "" {
		f.relayKey = f.key
		if f.routesFile != "" {
			g, err := readRelays(f.routesFile)
			if err != nil {
				return nil, err
			}
			f.relayKey = strconv.FormatUint(uint64(g.Key), 10)
		}
	}
	doc["relay_key"] = number(f.relayKey)
	if f.insecure {
		doc["insecure"] = true
	}
	if f.ca+f.cert+f.keyFile != "" {
		doc["tls"] = map[string]any{"ca": f.ca, "cert": f.cert, "key": f.keyFile}
	}
	if err := f.cluster(doc); err != nil {
		return nil, err
	}
	var peers, routes []map[string]any
	for _, p := range f.peers {
		name, address, ok := strings.Cut(p, "=")
		if !ok {
			return nil, usagef("--peer %q: want NAME=HOST:PORT", p)
		}
		peers = append(peers, map[string]any{"name": name, "address": address})
	}
	for _, r := range f.routes {
		m, err := parseRoute(r)
		if err != nil {
			return nil, err
		}
		routes = append(routes, m)
	}
	if peers != nil {
		doc["peers"] = peers
	}
	if routes != nil {
		doc["routes"] = routes
	}
	return doc, nil
}

// cluster adds how the host takes part in a cluster: a host that remembers that it does needs no flag.
func (f *flags) cluster(doc map[string]any) error {
	c := map[string]any{"mode": config.Managed, "state": f.state}
	switch {
	case f.clusterInit != "" && f.clusterJoin != "":
		return usagef("--cluster-init and --cluster-join: want one of the two; init is for the first host, join for all others")
	case f.clusterInit != "":
		c["name"], c["init"] = f.clusterInit, true
	case f.clusterJoin != "":
		c["join"] = f.clusterJoin
	default:
		key, ok := number(f.key).(uint64)
		if !ok || !engine.Remembers(f.state, f.host, uint32(key)) {
			if f.set.Changed("state") {
				return usagef("--state: %s has nothing of host %q and domain %s; want --cluster-init NAME or --cluster-join HOST:PORT, too", f.state, f.host, f.key)
			}
			return nil
		}
	}
	doc["cluster"] = c
	return nil
}

// number leaves text that is none for the configuration to refuse.
func number(text string) any {
	if n, err := strconv.ParseUint(text, 0, 64); err == nil {
		return n
	}
	return text
}

func parseRoute(text string) (map[string]any, error) {
	prefix, rest, ok := strings.Cut(text, "=")
	words := strings.Split(rest, ",")
	if !ok || words[0] == "" {
		return nil, usagef("--route %q: want PREFIX=NAME[,stored][,priority=N]", text)
	}
	m := map[string]any{"to": prefix, "host": words[0]}
	for _, w := range words[1:] {
		switch p, isPriority := strings.CutPrefix(w, "priority="); {
		case isPriority:
			m["priority"] = number(p)
		case w == config.Stored || w == config.Consumed:
			m["release"] = w
		default:
			return nil, usagef("--route %q: %q is none of stored, consumed, priority=N", text, w)
		}
	}
	return m, nil
}

func readRelays(path string) (*tbusxml.GRM, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	return tbusxml.ParseRelay(path, data)
}

// routes returns the change that the configuration makes to the route table.
func (s *settings) routes() (func(*route.Table) error, error) {
	var hosts []route.Host
	var rules []route.Rule
	for _, p := range s.Peers {
		hosts = append(hosts, route.Host{Name: p.Name, Address: p.Address})
	}
	replace := s.Routes != nil || s.RoutesFile != ""
	for _, r := range s.Routes {
		rel, err := route.ParseRelease(r.Release)
		if err != nil {
			return nil, err
		}
		rules = append(rules, route.Rule{Prefix: r.To, Host: r.Host, Release: rel, Priority: r.Priority, Desc: r.Desc})
	}
	template := s.Template
	if s.RoutesFile != "" {
		g, err := readRelays(s.RoutesFile)
		if err != nil {
			return nil, err
		}
		template = g.Template
		known := map[string]bool{}
		for _, r := range g.Relays {
			name := route.HostName(r.HostPort())
			if !known[name] {
				known[name] = true
				hosts = append(hosts, route.Host{Name: name, Address: r.HostPort()})
			}
			rules = append(rules, route.Rule{Prefix: r.Prefix, Host: name, Desc: route.ShortDesc(r.Desc)})
		}
	}
	durable, err := s.durableRules()
	if err != nil {
		return nil, err
	}
	change := func(t *route.Table) error {
		t.Self, t.Template = s.Host, template
		if s.file != "" { // flags know nothing of durable lanes
			t.Durable = durable
		}
		if replace || s.isClustered() {
			old := t.Clone()
			t.Hosts, t.Rules = slices.Clone(hosts), slices.Clone(rules)
			if s.isClustered() {
				keepPublished(t, old)
			}
			return t.Validate()
		}
		for _, h := range hosts {
			addHost(t, h)
		}
		return t.Validate()
	}
	return change, change(&route.Table{Key: s.RelayKey})
}

// durableRules are those of the configuration; a relative folder is one below the
// present.
func (s *settings) durableRules() (rules []route.Durable, err error) {
	for _, d := range s.Durable {
		mode, err := route.ParseMode(d.Mode)
		if err != nil {
			return nil, err
		}
		dir, err := filepath.Abs(d.Dir)
		if err != nil {
			return nil, fmt.Errorf("durable: dir %q: %w", d.Dir, err)
		}
		rules = append(rules, route.Durable{From: d.From, To: d.To, Mode: mode, Dir: dir})
	}
	return rules, nil
}

// keepPublished takes over the rules of a table that came from the cluster, until its member
// has newer ones: what is configured goes before.
func keepPublished(t, old *route.Table) {
	own := map[addr.Prefix]bool{}
	for _, r := range t.Rules {
		own[r.Prefix] = true
	}
	for _, r := range old.Rules {
		if !r.Published || own[r.Prefix] {
			continue
		}
		if h, ok := old.Host(r.Host); ok && !slices.ContainsFunc(t.Hosts, func(have route.Host) bool { return have.Name == h.Name }) {
			t.Hosts = append(t.Hosts, h)
		}
		t.Rules = append(t.Rules, r)
	}
}

// addHost adds h, or gives the host of that name its address.
func addHost(t *route.Table, h route.Host) {
	for i := range t.Hosts {
		if t.Hosts[i].Name == h.Name {
			t.Hosts[i] = h
			return
		}
	}
	t.Hosts = append(t.Hosts, h)
}

// identity loads the certificates, nil where there are none.
func (s *settings) identity() (*certs.Identity, error) {
	if s.Insecure {
		return nil, nil
	}
	id, err := certs.Load(s.TLS.CA, s.TLS.Cert, s.TLS.Key)
	if err != nil {
		return nil, fmt.Errorf("%w (\"skybus daemon certs\" makes certificates)", err)
	}
	if id.Name() != s.Host {
		return nil, fmt.Errorf("%s is the certificate of host %q, this host is %q", s.TLS.Cert, id.Name(), s.Host)
	}
	return id, nil
}

func (s *settings) template() addr.Template {
	if s.RoutesFile != "" {
		if g, err := readRelays(s.RoutesFile); err == nil {
			return g.Template
		}
	}
	return s.Template
}
