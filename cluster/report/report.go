// SPDX-License-Identifier: Apache-2.0

// Package report has what a daemon tells the tools of its cluster: plain values that go as
// JSON through the daemon's control socket. Whoever reads one has a copy of its own.
//
// A daemon fills in what it knows; what it leaves empty is shown as unknown. Later versions
// add fields and states: a reader passes over those that it does not know.
package report

import "time"

// What a daemon answers beside what every relay daemon does.
const (
	// AskCluster wants a [Cluster]; it has no arguments.
	AskCluster = "cluster"
	// AskReplace has the daemon's host take the place of a lost member of a managed engine;
	// its arguments are a [Replace].
	AskReplace = "cluster-replace"
)

// A Cluster is what one host knows of its cluster, at one moment.
type Cluster struct {
	Name string `json:"cluster"`
	Host string `json:"host"` // whose report it is
	// Age is how long ago the engine was last heard, 0 while it is heard; Stale whether that is
	// longer than it should be. Hosts and routes are as they were that long ago.
	Age   time.Duration `json:"age_ns"`
	Stale bool          `json:"stale"`
	// FromDisk says that the engine was not heard since the daemon began: all of it
	// is the last good copy.
	FromDisk bool    `json:"from_disk"`
	Engine   Engine  `json:"engine"`
	Hosts    []Host  `json:"hosts"`
	Routes   []Route `json:"routes"`
	Names    int     `json:"names"` // how many global names have an owner
	// Problems are for people to look at, a sentence each: refused hosts, limits, a damaged
	// copy on disk.
	Problems []string `json:"problems"`
}

// How an engine is run.
const (
	ModeNone    = "none"    // there is no cluster
	ModeLocal   = "local"   // inside the daemon, of this host alone
	ModeEtcd    = "etcd"    // somebody else's etcd cluster
	ModeManaged = "managed" // etcd servers that the daemons run
)

// An Engine is the health of the engine, as this host sees it.
type Engine struct {
	Mode    string        `json:"mode"`
	About   string        `json:"about"` // what and where it is, for people
	Reached bool          `json:"reached"`
	Age     time.Duration `json:"age_ns"` // since it was last heard
	Error   string        `json:"error,omitempty"`
	// Life and Revision say what it holds: in another life revisions of before mean nothing.
	// Life is 16 hexadecimal digits, empty if the engine was never heard.
	Life     string `json:"life"`
	Revision uint64 `json:"revision"`
	Keys     int    `json:"keys"`
	Leases   int    `json:"leases"`
	Bytes    int64  `json:"bytes"` // of keys and values
	// Wanted is how many members a managed engine is to have; 0 of others.
	Wanted  int      `json:"wanted,omitempty"`
	Members []Member `json:"members"`
	Alarms  []string `json:"alarms"` // such as NOSPACE
	// Child is what this host's own member does, empty on a host without one.
	Child string `json:"child,omitempty"`
	// ChildPID is its process, 0 while there is none.
	ChildPID int `json:"child_pid,omitempty"`
}

// A Member is one server of an etcd cluster.
type Member struct {
	Name    string   `json:"name"`
	ID      string   `json:"id"` // hexadecimal
	Clients []string `json:"clients"`
	Peers   []string `json:"peers"`
	Learner bool     `json:"learner"`
	Leader  bool     `json:"leader"`
	Healthy bool     `json:"healthy"`
	DBBytes int64    `json:"db_bytes"` // on its disk
	Error   string   `json:"error,omitempty"`
}

// States of a host.
const (
	HostHere    = "here"    // the one whose report it is
	HostKnown   = "known"   // it has a lease
	HostDoubted = "doubted" // the engine has lost it, together with so many that this is not believed yet
	HostRefused = "refused" // what it says is not believed: Error says why
)

// A Host is one host of the cluster.
type Host struct {
	Name        string        `json:"host"`
	Links       []string      `json:"links"` // HOST:PORT where its daemon is reached
	Fingerprint string        `json:"fingerprint,omitempty"`
	Incarnation uint64        `json:"incarnation"`
	Template    string        `json:"template"`
	State       string        `json:"state"`
	Age         time.Duration `json:"age_ns"` // since this host learnt of its incarnation
	Routes      int           `json:"routes"` // how many it has published
	PassedOver  int           `json:"passed_over"`
	Error       string        `json:"error,omitempty"` // why it is refused, or something of it is passed over
}

// Where a route comes from.
const (
	Configured = "configured" // this host's configuration
	Published  = "published"  // the host that has it
)

// States of a route.
const (
	RouteActive   = "active"   // in force
	RoutePending  = "pending"  // this host's own, which the engine does not have yet
	RouteShadowed = "shadowed" // published, but this host's configuration says otherwise
	RouteConflict = "conflict" // this host's own, which another host has: Conflict
	RouteDoubted  = "doubted"  // as HostDoubted
	RouteMoving   = "moving"   // to the host To
	RouteRefused  = "refused"  // a policy or a limit is against it: Error
)

// A Route is who has one prefix of addresses.
type Route struct {
	Prefix   string        `json:"prefix"` // by the domain's template
	Host     string        `json:"host"`
	Source   string        `json:"source"`
	State    string        `json:"state"`
	Age      time.Duration `json:"age_ns"`             // since this host learnt of it
	Conflict string        `json:"conflict,omitempty"` // the host that has it
	To       string        `json:"to,omitempty"`
	Error    string        `json:"error,omitempty"`
}

// Replace are the arguments of AskReplace.
type Replace struct {
	Old string `json:"old"` // the lost member's name
}
