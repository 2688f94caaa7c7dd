// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/skybus-io/skybus/gate/client"
)

// Defaults of Options and Config.
const (
	DefaultConnections = 65536
	DefaultPerAddress  = 1024
	DefaultFirstByte   = 5 * time.Second
	DefaultTLS         = 5 * time.Second
	DefaultUpgrade     = 5 * time.Second
	DefaultAuth        = 10 * time.Second
	DefaultHalfPacket  = 10 * time.Second
	DefaultHeaderBytes = 8 << 10
)

// Options are what all listeners of a Server have in common. The zero value of each
// field but Accept is its default.
type Options struct {
	// Accept is called for each connection that is ready for its first packet, in a
	// goroutine of its own. The connection is the caller's until Accept returns: it
	// is expected to call c.Serve, or c.Kick. Then the connection is closed, if it is not yet,
	// and counts no longer. It, or Start, must be given.
	Accept func(c *client.Conn, in *Info)

	// Start is Accept for many connections: it returns at once, having called c.Start, and
	// in.End is called when the connection has been served to its end. It takes less memory than a goroutine
	// that waits for that.
	Start func(c *client.Conn, in *Info)

	// Client is how connections are made: framing, marks, limits. nil: client.Options
	// with its defaults.
	Client *client.Setup

	// Connections is how many connections there are at most, at all listeners
	// together; default 65,536, negative: any number. What comes beyond is reset
	// before anything is allocated for it.
	Connections int

	// PerAddress is how many connections one address has at most, default 1024,
	// negative: any number. An IPv6 address counts with all of its /64. Addresses
	// that a PROXY header names count, those of the proxies themselves do not.
	PerAddress int

	// FirstByte, TLS, Upgrade and Auth limit the phases of a connection, HalfPacket
	// how long a packet may be incomplete. Default 5 s, 5 s, 5 s, 10 s and 10 s;
	// negative: no limit. They are kept to about 250 ms.
	FirstByte, TLS, Upgrade, Auth, HalfPacket time.Duration

	// Tick is called by the sweeper about every 250 ms, for what the owner has to end
	// itself; it must not wait. nil: the sweeper sleeps while there are no connections.
	Tick func()

	// Log gets refusals, at most one line a second for each reason. nil: slog.Default.
	Log *slog.Logger
}

// withDefaults returns the options with their defaults, or what is wrong with them.
func (o Options) withDefaults() (Options, error) {
	if (o.Accept == nil) == (o.Start == nil) {
		return o, errors.New("entry: want one of Options.Accept and Options.Start")
	}
	defaults(&o.Connections, DefaultConnections)
	defaults(&o.PerAddress, DefaultPerAddress)
	defaults(&o.FirstByte, DefaultFirstByte)
	defaults(&o.TLS, DefaultTLS)
	defaults(&o.Upgrade, DefaultUpgrade)
	defaults(&o.Auth, DefaultAuth)
	defaults(&o.HalfPacket, DefaultHalfPacket)
	if o.Log == nil {
		o.Log = slog.Default()
	}
	var err error
	if o.Client == nil {
		o.Client, err = client.Prepare(client.Options{})
	}
	return o, err
}

// defaults gives a field that is zero its default.
func defaults[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Protocols is a set of what clients may speak.
type Protocols uint8

// The protocols.
const (
	TCP Protocols = 1 << iota // packets, framed
	TLS                       // packets, framed, in TLS
	WS                        // WebSocket
	WSS                       // WebSocket in TLS

	secure  = TLS | WSS
	plain   = TCP | WS
	packets = TCP | TLS
	web     = WS | WSS
)

// Config says what clients of one listener may speak. The zero value is packets and
// WebSocket, told apart by the first bytes, from anywhere, without TLS.
type Config struct {
	// Protocols is what is accepted; zero: everything that can be, which is TCP and WS,
	// and with a TLS config TLS and WSS too. With one alone nothing has to be told
	// apart.
	Protocols Protocols

	// TLS is the server's side of TLS. It may not be changed afterwards, except by its own means
	// such as GetCertificate.
	TLS *tls.Config

	// WebSocket says which upgrades are accepted.
	WebSocket WebSocket

	// Handler answers HTTP requests that are no upgrades to WebSocket at one of
	// its paths: a page that is served from the port of the gate. Its connections count as the
	// others do until they end; headers have Options.Upgrade to arrive, requests with
	// their bodies 60 s, and 30 s pass between two requests at most. nil: such requests get 404, or 426 at a path of WebSocket.
	Handler http.Handler

	// Proxies are the networks whose connections begin with a PROXY protocol
	// header, version 2, which says who the client is. From everywhere else such a header is an
	// ordinary packet, and no good one.
	Proxies []netip.Prefix

	// ProxyOptional lets connections from Proxies in that have no header, as the
	// proxy's own; otherwise they are refused.
	ProxyOptional bool
}

// WebSocket says which upgrades to WebSocket a listener accepts.
type WebSocket struct {
	// Paths are the paths that clients may ask for, exact; nil: any.
	Paths []string

	// Origins are the origins of pages that may connect: "https://game.example.com"
	// (exact), "https://*.example.com" (each host below it, the port as it stands),
	// "*" (any). nil: only pages from the host and port that the client asks for, so that no
	// other site can speak for its visitors. A client that names no origin is no
	// browser, and is let in.
	Origins []string

	// Subprotocols are those that the server speaks; of those that a client offers the one that
	// stands first here is chosen. If there is none in common, none is chosen, and it is
	// for the client to give up.
	Subprotocols []string

	// Headers are the names of those headers of the request that Info.Header keeps.
	Headers []string

	// Text has packets sent as text messages; by default they are binary. Both are
	// received.
	Text bool

	// Deflate accepts permessage-deflate, without context takeover in both
	// directions. It saves bytes and costs time: off by default.
	Deflate bool

	// HeaderBytes is how long a request is at most, up to its empty line; default 8 KB.
	HeaderBytes int
}

// withDefaults returns the config with its defaults, or what is wrong with it.
func (c Config) withDefaults() (Config, error) {
	if c.Protocols == 0 {
		c.Protocols = plain
		if c.TLS != nil {
			c.Protocols |= secure
		}
	}
	defaults(&c.WebSocket.HeaderBytes, DefaultHeaderBytes)
	return c, c.check()
}

func (c *Config) check() error {
	switch {
	case c.Protocols&^(plain|secure) != 0:
		return fmt.Errorf("entry: Config.Protocols is %#x, want a set of TCP, TLS, WS and WSS", uint8(c.Protocols))
	case c.Protocols&secure != 0 && c.TLS == nil:
		return errors.New("entry: Config.Protocols has TLS or WSS, Config.TLS is nil")
	case c.TLS != nil && slices.Contains(c.TLS.NextProtos, "h2"):
		return errors.New(`entry: Config.TLS.NextProtos has "h2", which is not spoken here`)
	case c.Handler != nil && c.Protocols&web == 0:
		return errors.New("entry: Config.Handler is given, Config.Protocols has neither WS nor WSS")
	case c.WebSocket.HeaderBytes < 0:
		return fmt.Errorf("entry: WebSocket.HeaderBytes is %d, want more than 0", c.WebSocket.HeaderBytes)
	}
	for _, path := range c.WebSocket.Paths {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf(`entry: WebSocket.Paths has %q, want it to begin with "/"`, path)
		}
	}
	for _, name := range c.WebSocket.Subprotocols {
		if name == "" || strings.ContainsFunc(name, notToken) {
			return fmt.Errorf("entry: WebSocket.Subprotocols has %q, want a token", name)
		}
	}
	for _, p := range c.Proxies {
		if !p.IsValid() {
			return fmt.Errorf("entry: Config.Proxies has %v, want a network such as 10.0.0.0/8", p)
		}
	}
	return checkOrigins(c.WebSocket.Origins)
}

// notToken reports whether r has no place in a token (RFC 9110, 5.6.2).
func notToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}
