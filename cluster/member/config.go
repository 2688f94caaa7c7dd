// SPDX-License-Identifier: Apache-2.0

package member

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/route"
)

// Config says who a Member is and what it works on. Provider, Cluster, Host, Links and Incarnation
// must be given.
type Config struct {
	// Provider leads to the engine. It is the caller's, and is closed after the Member is.
	Provider cluster.Provider
	Cluster  string // the cluster's name, 1 to 63 of a-z A-Z 0-9 . _ -
	Host     string // this host's name, likewise
	// Links are the HOST:PORT where other hosts reach this one's daemon, 1 to 8, the one to dial first.
	Links []string
	// Fingerprint is the SHA-256 of the host's certificate in 64 hexadecimal digits, empty where
	// links are not secured. A host of this name with another one is refused, and so is this one if
	// the other was first.
	Fingerprint string
	// Incarnation tells the starts of the host's daemon apart, 1 or more: a later one has a higher one,
	// and takes the host's place from an earlier one.
	Incarnation uint64
	// Template is how the domain's addresses are written; those outside of it are not taken.
	Template addr.Template
	Settings
	// Binds returns the addresses that are bound in the domain now, each once, in any order; the
	// slice is not kept. It is called every 50 ms, by one goroutine, and must be quick. nil: none.
	Binds func() []addr.Addr
	// Apply puts routes in force. It is called with all of them, from Start and then by one goroutine
	// at a time, only when they have changed, and at most every 20 ms. An error is logged, and it is called again after
	// a second. nil: nobody needs them.
	Apply func(Routes) error
	// State is the folder of the last good copy; empty: there is none, and a start waits for the engine.
	State string
	Quota Quota
	// TTL is how long what this host has published survives it; 10 s. What is doubted is so for
	// 3 s longer.
	TTL    time.Duration
	Logger *slog.Logger // nil: nothing is logged
}

// Settings are what Reload can change.
type Settings struct {
	// Hosts are those of this host's configuration, with the addresses that are dialled here
	// whatever they say of themselves.
	Hosts []route.Host
	// Rules are the prefixes of this host's configuration. Those whose Host is this one are published;
	// the others are in force here, whatever the cluster says of the same prefix. Published is
	// passed over.
	Rules []route.Rule
	// Policy says what is believed of whom.
	Policy Policy
}

// A Quota bounds what one host can make the others keep. Zero fields mean the defaults.
type Quota struct {
	Hosts  int // in the cluster; 4,096, which is also the most
	Routes int // of one host; 65,536, which is also the most
	Groups int // of one host; 16,384
}

// Routes are what a route table says beside its key, template and durable rules. Rules from the
// cluster are marked as Published. Whoever gets them may keep them, and must not change them.
type Routes struct {
	Hosts []route.Host // the configured ones first, then by name
	Rules []route.Rule // the configured ones first, in their order, then by prefix
}

const (
	defaultTTL    = 10 * time.Second
	defaultGroups = 16384
	graceMargin   = 3 * time.Second
)

func (c Config) withDefaults() Config {
	if c.TTL == 0 {
		c.TTL = defaultTTL
	}
	c.Quota.Hosts = least(c.Quota.Hosts, route.MaxHosts)
	c.Quota.Routes = least(c.Quota.Routes, route.MaxRules)
	if c.Quota.Groups == 0 {
		c.Quota.Groups = defaultGroups
	}
	if c.Binds == nil {
		c.Binds = func() []addr.Addr { return nil }
	}
	if c.Apply == nil {
		c.Apply = func(Routes) error { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Links = slices.Clone(c.Links)
	return c
}

func (c *Config) check() error {
	errs := []error{checkCluster(c.Cluster), checkLinks(c.Links), checkFingerprint(c.Fingerprint), c.checkSettings(&c.Settings)}
	if c.Provider == nil {
		errs = append(errs, errors.New("no Provider, want the engine's client"))
	}
	if !validHost(c.Host) {
		errs = append(errs, fmt.Errorf("host %s: want 1 to 63 of a-z A-Z 0-9 . _ -", quote(c.Host)))
	}
	if c.Incarnation == 0 {
		errs = append(errs, errors.New("incarnation 0, want 1 or more"))
	}
	if c.TTL < cluster.MinTTL || c.TTL > cluster.MaxTTL {
		errs = append(errs, fmt.Errorf("TTL %v, want %v to %v", c.TTL, cluster.MinTTL, cluster.MaxTTL))
	}
	if c.Quota.Hosts < 0 || c.Quota.Routes < 0 || c.Quota.Groups < 0 {
		errs = append(errs, fmt.Errorf("quota %+v, want no bound below 0", c.Quota))
	}
	return errors.Join(errs...)
}

// checkSettings reports what would keep the settings from being in a route table.
func (c *Config) checkSettings(s *Settings) error {
	t := route.Table{Key: 1, Template: c.Template, Self: c.Host, Hosts: s.Hosts, Rules: s.Rules}
	return errors.Join(t.Validate(), s.Policy.Validate())
}

// clone returns settings that nobody else has. What is configured is not published.
func (s *Settings) clone() Settings {
	rules := slices.Clone(s.Rules)
	for i := range rules {
		rules[i].Published = false
	}
	return Settings{Hosts: slices.Clone(s.Hosts), Rules: rules, Policy: slices.Clone(s.Policy)}
}
