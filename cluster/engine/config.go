// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
)

// Config says what Open is to do.
type Config struct {
	State  string // the folder for engine.json, engine.yaml and the data; it is there
	Host   string // the name of this host
	Domain uint32 // the key of its domain
	// Cluster is what the cluster is called. It may be empty without Init: then it is called as it is.
	Cluster string
	// Init begins a cluster on a host without state.
	Init bool
	// Join asks where the cluster is, on a host without state; it may wait until its context is over. nil: there is
	// nobody to ask.
	Join func(ctx context.Context) (*Invitation, error)
	// Size is how many hosts are to have a member: 1, 3 or 5.
	Size int
	// Client and Peer are the HOST:PORT where clients and other members reach a member on this host.
	Client, Peer string
	// Program is the command that runs a server; "--config-file FILE" follows.
	Program []string
	// TLS is how servers and clients are secured; nil: not at all.
	TLS *TLS
	// Moved is told the endpoints of the engine when they change. It must not wait.
	Moved  func(endpoints []string)
	Logger *slog.Logger // nil: nothing is logged
}

// TLS is mutual TLS with the certificates of the host.
type TLS struct {
	CA, Cert, Key string      // files, for the server
	Client        *tls.Config // for this side's own connections
}

// An Invitation is where a cluster is.
type Invitation struct {
	Cluster string
	Members []Member
}

// A Member is a server of the engine, and the host that it runs on.
type Member struct {
	Name    string `json:"name"`   // the host; empty while it has not begun
	Client  string `json:"client"` // HOST:PORT
	Peer    string `json:"peer"`
	Learner bool   `json:"learner,omitempty"`
}

// Errors of Open, beside those of files. Each is wrapped with what is wrong.
var (
	// ErrNoCluster means that the host has no state, and was told neither to begin a cluster nor to join one.
	ErrNoCluster = errors.New("this host is in no cluster yet")
	// ErrOther means that the state is one of another cluster, host, domain or address.
	ErrOther = errors.New("its state is another one's")
	// ErrDataLost means that the only member's data are gone.
	ErrDataLost = errors.New("the data of the engine are gone")
)

func (c *Config) check() error {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Moved == nil {
		c.Moved = func([]string) {}
	}
	if c.Size != 1 && c.Size != 3 && c.Size != 5 {
		return fmt.Errorf("engine of %d members: want 1, 3 or 5", c.Size)
	}
	if len(c.Program) == 0 {
		return errors.New("no program for the engine: want a command")
	}
	for _, at := range []string{c.Client, c.Peer} {
		if host, port, err := net.SplitHostPort(at); err != nil || host == "" || port == "0" {
			return fmt.Errorf("address %q of the engine: want HOST:PORT that other hosts reach", at)
		}
	}
	return nil
}

func (c *Config) url(at string) string {
	if c.TLS != nil {
		return "https://" + at
	}
	return "http://" + at
}
