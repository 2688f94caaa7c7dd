// SPDX-License-Identifier: Apache-2.0

package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/skybus-io/skybus/addr"
)

// Config is what the file says, checked and with its defaults filled in. Paths
// are relative to the folder of the file no more. Nothing here is changed by this
// package once it is returned; it belongs to the caller.
type Config struct {
	// Domain is the key of the domain that is relayed, 1..2^31-1.
	Domain uint32
	// Root is the folder that holds the domain and the route table; empty
	// means the library's default.
	Root string
	// RelayKey names the route table, 1..2^31-1.
	RelayKey uint32
	// Host is the name of this host, 1..63 bytes of [a-zA-Z0-9._-].
	Host string
	// Listen is the HOST:PORT to accept peers at. The host may be empty, which
	// means all of this machine; port 0 lets the system choose one.
	Listen string
	// Template says how addresses are written in the file and in the domain.
	Template addr.Template
	// Peers are the other hosts, in the order of the file. No two have a name
	// or an address in common, and none is called Host.
	Peers []Peer
	// Routes are the rules of the route table, in the order of the file, no
	// two of one prefix. Nil means that the file has no list, so that the table
	// stays as it is; an empty list is one without rules.
	Routes []Route
	// RoutesFile is a trelaymgr.xml that has the routes instead, or empty. It
	// is never set together with Routes.
	RoutesFile string
	// TLS names the certificates; it is the zero TLS if Insecure is set, and
	// complete otherwise.
	TLS TLS
	// Insecure means that peers are neither proven nor kept from being
	// listened to: it was asked for in so many words.
	Insecure bool
	// Limits bound what peers can make this host spend.
	Limits Limits
	// Durable are the lanes whose messages are to outlive the host, no two of
	// one pair of prefixes.
	Durable []Durable
	// Cluster says where global names, and what hosts know of each other, are kept.
	Cluster Cluster
	// User and Group are whom the daemon becomes, names or numbers; empty
	// means that it stays what it is.
	User, Group string
	// Log says how the daemon logs.
	Log Log
}

// Peer is another host.
type Peer struct {
	// Name is the peer's Host, as its certificate has it.
	Name string
	// Address is the HOST:PORT to dial. The host is a name, an IPv4 address or
	// an IPv6 address in brackets; the port is 1..65535.
	Address string
	// Connections is how many TCP connections the link has, 1..16. More carry
	// more where one is limited by a single processor or by loss.
	Connections int
}

// The values of Route.Release.
const (
	// Consumed keeps a message at its origin until the receiving process has
	// taken it.
	Consumed = "consumed"
	// Stored keeps it there until the other host has it in memory: room comes
	// back sooner, and a reboot of the other host loses what waited there.
	Stored = "stored"
)

// Route says behind which host addresses live.
type Route struct {
	// To are the addresses, within Template.
	To addr.Prefix
	// Host is the name of a peer, or Config.Host for addresses that are local.
	Host string
	// Release is Consumed or Stored.
	Release string
	// Priority is 0..7; messages of a higher one go first.
	Priority uint8
	// Desc is for people: at most 95 bytes, without control characters.
	Desc string
}

// TLS names files in PEM, as package certs makes them.
type TLS struct {
	// CA has the certificates that sign those of all hosts; Cert and Key are
	// this host's.
	CA, Cert, Key string
}

// Limits bound memory, connections and rates.
type Limits struct {
	// InFlight is how many bytes a connection may have sent and not seen stored, 1M
	// to 64G.
	InFlight int64
	// Connections is how many TCP connections peers may have open, 1..65536;
	// no less than those of Peers together.
	Connections int
	// Frame is the largest frame in bytes, 4K to 64K. Larger ones cost fewer
	// system calls, smaller ones let a message of higher priority pass sooner.
	Frame int
	// HandshakeTimeout is how long a connection may take to say who it is,
	// 10ms to 10m.
	HandshakeTimeout time.Duration
	// Record is the largest message that a peer may send, in bytes, 1K to 256M.
	Record int
	// NewLanesPerSecond is how many lanes a peer may make here, 1..1000000.
	NewLanesPerSecond int
}

// The values of Durable.Mode.
const (
	// Sync has a message on disk before Send returns.
	Sync = "sync"
	// Async writes it soon after.
	Async = "async"
)

// Durable names lanes by the prefixes of their two ends, and says where and how
// their messages are kept.
type Durable struct {
	// From and To are within Template.
	From, To addr.Prefix
	// Mode is Sync or Async.
	Mode string
	// Dir is the folder for the files.
	Dir string
}

// The values of Log.Format.
const (
	Text = "text"
	JSON = "json"
)

// Log says how the daemon logs.
type Log struct {
	// Format is Text or JSON.
	Format string
	// Level is the least that is written: debug, info, warn or error.
	Level slog.Level
}

// defaults returns what holds where the file says nothing.
func defaults() *Config {
	return &Config{
		Limits: Limits{
			InFlight:          64 << 20,
			Connections:       256,
			Frame:             64 << 10,
			HandshakeTimeout:  5 * time.Second,
			Record:            16 << 20,
			NewLanesPerSecond: 1000,
		},
		Cluster: Cluster{Mode: Local},
		Log:     Log{Format: Text, Level: slog.LevelInfo},
	}
}

// MaxSize is the size of the largest file that is read, in bytes.
const MaxSize = 16 << 20

// Load reads the file at path. The error is that of opening or reading it, or
// that of [Read].
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Read(path, data)
}

// Read reads the bytes of a file. name is what errors call it; paths in it are
// relative to name's folder. It keeps nothing of data. The error joins
// [*Error] values in the order of their lines, at most 20 and one that counts
// the rest.
func Read(name string, data []byte) (*Config, error) {
	r := newReader(name)
	r.read(data)
	if err := r.rep.err(); err != nil {
		return nil, err
	}
	return r.cfg, nil
}

//go:embed example.yaml
var example string

// Example returns a file that Read accepts, with comments that say what each key
// means, what it may be and what holds without it.
func Example() string { return example }
