// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/relay/link"
	"github.com/skybus-io/skybus/relay/wire"
	"github.com/skybus-io/skybus/route"
)

// Config says what a Daemon is to do.
type Config struct {
	Table *channel.Table // the domain; it stays open as long as the daemon runs
	Root  string         // the folder that holds domains and route tables
	Host  string         // the name of this host, as others' routes have it
	// Listen is the HOST:PORT where other hosts connect; empty for a host that only sends.
	Listen string
	// RelayKey names the route table. The domain is made to follow it.
	RelayKey uint32
	// Connections is how many connections lead to a host, 1 where it says nothing, at most 16.
	Connections map[string]int

	// Prepare is called when domain and port are this daemon's, before it looks at the
	// routes: it may write them. An error ends the start.
	Prepare func() error

	// Control answers what the control socket is asked beside status, routes, reload and stop, and may be
	// nil: do is the question, args its arguments in JSON, or nothing. What it returns goes back as JSON.
	// Several goroutines call it. It should answer within a few seconds: Close waits for it. Its error is
	// told to whoever asks; ErrQuestion, wrapped or not, says that it does not know the question.
	Control func(do string, args json.RawMessage) (any, error)

	// Cluster says to a host that asks by JOIN where the cluster of this one is. It may be nil: in none. Many
	// goroutines call it; it must not wait.
	Cluster func(host string) (*wire.Joined, error)

	// TLS is how connections are secured; nil is without.
	TLS *TLS

	Limits Limits
	// Undeliverable is the folder for records that the far side will never take.
	// Default: skybus-undeliverable-KEY in /var/tmp.
	Undeliverable string
	Logger        *slog.Logger // default: nothing is logged
}

// TLS is mutual TLS: both sides know each other by certificates.
type TLS struct {
	Server *tls.Config
	Client func(host string) *tls.Config
	// PeerName returns the host that the other side's certificate is for.
	PeerName func(tls.ConnectionState) (string, error)
}

// Limits bound what other hosts can make the daemon do. Zero fields mean the default.
type Limits struct {
	InFlight  uint64        // record bytes that a connection has sent and not seen stored; default 64 MiB
	Frame     int           // bytes of a frame, at least 4 KiB; default and most 32 KiB of records and their headers
	Accepted  int           // connections from other hosts; default 256
	Handshake time.Duration // until a connection is up; default 5 s
	MaxRecord int           // bytes of the largest message from another host; default the domain's limit
	NewLanes  int           // lanes a second that other hosts may cause to be made; default 1,000
}

// frameOverhead is what a frame has besides its records, at most, in bytes.
const frameOverhead = 64

func (c *Config) setDefaults() {
	l := &c.Limits
	if l.InFlight == 0 {
		l.InFlight = 64 << 20
	}
	if l.Frame -= frameOverhead; l.Frame <= 0 || l.Frame > wire.MaxPayload {
		l.Frame = wire.MaxPayload
	}
	if l.Accepted == 0 {
		l.Accepted = 256
	}
	if l.Handshake == 0 {
		l.Handshake = 5 * time.Second
	}
	if l.MaxRecord == 0 || l.MaxRecord > c.Table.MaxMessage() {
		l.MaxRecord = c.Table.MaxMessage()
	}
	if l.NewLanes == 0 {
		l.NewLanes = 1000
	}
	if c.Undeliverable == "" {
		c.Undeliverable = filepath.Join("/var/tmp", "skybus-undeliverable-"+strconv.FormatUint(uint64(c.Table.Key()), 10))
	}
	if c.Root == "" {
		c.Root = channel.DefaultRoot
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

func (c *Config) check() error {
	if c.Host == "" {
		return fmt.Errorf("the host has no name: others know it by one")
	}
	if len(c.Host) > wire.MaxText {
		return fmt.Errorf("host %q: the name is longer than %d bytes", c.Host, wire.MaxText)
	}
	if c.RelayKey == 0 {
		return fmt.Errorf("relay key 0: want that of a route table, 1 to 2147483647")
	}
	if c.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			return fmt.Errorf("listen address %q: want HOST:PORT: %w", c.Listen, err)
		}
	}
	for host, n := range c.Connections {
		if n < 1 || n > maxConnections {
			return fmt.Errorf("%d connections to host %q: want 1 to %d", n, host, maxConnections)
		}
	}
	return nil
}

// hello is what this side says of itself.
func (d *Daemon) hello(expected string, number, of int) wire.Hello {
	return wire.Hello{
		Lowest: wire.Version, Highest: wire.Version, Key: d.c.Table.Key(), Incarnation: d.incarnation,
		MaxRecord: uint32(d.c.Limits.MaxRecord), Conn: uint16(number), Conns: uint16(of), Host: d.c.Host, Expected: expected,
		Template: d.c.Table.Template().String(),
	}
}

func releaseOf(r route.Release) link.Release {
	if r == route.Stored {
		return link.OnStored
	}
	return link.OnConsumed
}

// saveUndeliverable writes a record that no far side will take to a file of its own.
func saveUndeliverable(dir, name string, data []byte) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return path, err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return path, err
}
