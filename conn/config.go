// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/skybus-io/skybus/actor"
)

const (
	// DefaultLimit is how many bytes wait in each direction of a connection.
	DefaultLimit = 64 << 10
	// DefaultTimeout is how long dialling and a TLS handshake take at most.
	DefaultTimeout = 30 * time.Second
	// Linger is how long what was written is still sent after Close.
	Linger = 5 * time.Second
)

// A Config says how connections are to be. The zero Config is a good one; the functions of
// the package that have the names of its methods use that.
type Config struct {
	// TLS has connections speak TLS. Dial takes the server's name from the address if there is
	// none; Listen and Serve need a certificate. nil: no TLS.
	TLS *tls.Config
	// ReadLimit is how many bytes are kept that nobody has read; for UDP datagrams, each with 64 bytes more. 0: DefaultLimit.
	// More takes memory where services are slow, less costs throughput.
	ReadLimit int
	// WriteLimit is how many bytes wait to be written before Write waits. 0: DefaultLimit.
	WriteLimit int
	// Timeout bounds Dial, and a TLS handshake of Listen. 0: DefaultTimeout; less than 0: the system's.
	Timeout time.Duration
	// MaxConns is how many connections of a listener are open at once, those in a handshake among them; further ones wait in the kernel. 0: no
	// bound. Each takes a waiting handler of its service (actor.Spec.MaxWaiting).
	MaxConns int
}

func (g Config) filled() Config {
	g.ReadLimit = cmp.Or(max(g.ReadLimit, 0), DefaultLimit)
	g.WriteLimit = cmp.Or(max(g.WriteLimit, 0), DefaultLimit)
	g.Timeout = cmp.Or(g.Timeout, DefaultTimeout)
	return g
}

// ParseAddress tells where to dial or listen: "unix" and a path for "unix:PATH", else "tcp" and
// HOST:PORT.
func ParseAddress(address string) (network, at string, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" {
			return "", "", fmt.Errorf("address %q: want unix: and a path", address)
		}
		return "unix", path, nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return "", "", fmt.Errorf("address %q: want HOST:PORT or unix:PATH", address)
	}
	return "tcp", address, nil
}

// Dial connects to an address; see ParseAddress. The handler waits meanwhile, its service goes on. The connection
// is the handler's service's. Errors: the address, what net.Dial and the handshake say, those of a wait.
func Dial(c *actor.Context, address string) (*Conn, error) { return Config{}.Dial(c, address) }

// Dial is the function Dial with a Config.
func (g Config) Dial(c *actor.Context, address string) (*Conn, error) {
	network, at, err := ParseAddress(address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	g = g.filled()
	nc, err := work(c, func(ctx context.Context) (any, error) { return g.connect(ctx, network, at) }, hangUp)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	return g.adopt(c, nc.(net.Conn), nil)
}

func hangUp(v any) { v.(net.Conn).Close() }

// within is a context that is over after the Config's time.
func (g *Config) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if g.Timeout < 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, g.Timeout)
}

// connect dials and, with TLS, shakes hands.
func (g *Config) connect(ctx context.Context, network, at string) (net.Conn, error) {
	ctx, cancel := g.within(ctx)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, at)
	if err != nil || g.TLS == nil {
		return nc, err
	}
	cfg := g.TLS
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify && network == "tcp" {
		cfg = cfg.Clone()
		cfg.ServerName, _, _ = net.SplitHostPort(at)
	}
	return shake(ctx, tls.Client(nc, cfg))
}

// shake returns t after its handshake, or closes it.
func shake(ctx context.Context, t *tls.Conn) (net.Conn, error) {
	if err := t.HandshakeContext(ctx); err != nil {
		t.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return t, nil
}

// Adopt makes a connection of one that the program has, which nobody else uses from now on. It may be
// any net.Conn. Also with an error it is closed by and by. The Config's TLS is not applied: wrap nc, and shake hands, before.
// Errors: the runtime is shut down.
func Adopt(c *actor.Context, nc net.Conn) (*Conn, error) { return Config{}.Adopt(c, nc) }

// Adopt is the function Adopt with a Config.
func (g Config) Adopt(c *actor.Context, nc net.Conn) (*Conn, error) {
	return g.filled().adopt(c, nc, nil)
}

// AdoptFile is Adopt of a descriptor of a stream socket. f is closed: the connection has a
// descriptor of its own.
func AdoptFile(c *actor.Context, f *os.File) (*Conn, error) { return Config{}.AdoptFile(c, f) }

// AdoptFile is the function AdoptFile with a Config.
func (g Config) AdoptFile(c *actor.Context, f *os.File) (*Conn, error) {
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("adopt %s: want a stream socket: %w", f.Name(), err)
	}
	if _, packets := nc.(net.PacketConn); packets && nc.LocalAddr().Network() != "unix" {
		nc.Close()
		return nil, fmt.Errorf("adopt %s: want a stream socket, it is one of %s", f.Name(), nc.LocalAddr().Network())
	}
	return g.Adopt(c, nc)
}

// adopt makes a Conn of nc for the handler's service.
func (g Config) adopt(c *actor.Context, nc net.Conn, from *Listener) (*Conn, error) {
	n := newConn(g, nc, from)
	k, err := keepFor(c, n)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("adopt %v: %w", n, err)
	}
	n.keeper.Store(k)
	go n.fill()
	return n, nil
}
