// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/gate/vault"
	"github.com/skybus-io/skybus/node"
)

// Defaults of Config.
const (
	DefaultBudget = 256 << 20
	DefaultWindow = 30 * time.Second
	DefaultGrace  = 5 * time.Second
)

// A Config is how a gate is to be. The zero Config lets everybody in that it can bind: it needs Bind, or Auth, or AuthService.
type Config struct {
	// Node is that of the gate's node; its Services are started, too, and may be bound. An adopted home has a node of its own, with
	// the same Codec, Cluster and Log, and no other service than the gate's.
	Node node.Config

	// Auth decides who is let in, and to which service it is bound. It is called in the connection's goroutine with the
	// client's first packet, and may take its time, up to the limit for authentication (Entry.Auth): ctx ends then, and when
	// the connection does. An error refuses the client: a *Refusal tells it why, any other one only that it is not authorized. nil: AuthService, and if there is none
	// all are let in, bound to Bind.
	Auth func(ctx context.Context, h *Hello) (*Grant, error)
	// AuthService is a service that is called with a *Hello and answers with a *Grant. Its errors refuse the
	// client as not authorized; Grant.Refuse says why.
	AuthService Target
	// Bind is the service of those whose Grant names none, and of all without Auth.
	Bind Target

	// Client are framing, limits and marks of connections. Its Budget, OnSlow and OnKick are the gate's.
	Client client.Options
	// Budget is how many bytes may wait for all clients together, each shared packet counted once; above it the client
	// with the longest queue is kicked. 0: 256 MB; negative: no limit.
	Budget int64

	// Resume lets clients come back that have lost their connection: they speak the protocol of docs/format/gate.md. nil: packets are
	// the program's alone, and a session ends with its connection.
	Resume *Resume
	// Adopt are the homes of other gates of this host that this one takes over when their process dies, until it comes back.
	// It needs Resume, and the other gates the same Resume, Client and Shared.
	Adopt []addr.Addr

	// Shared says which groups the gate shares with other processes, by node.SharedGroup in the scope: when the first session of a home joins one, the home
	// does. nil: none. Any goroutine may call it.
	Shared func(group string) (node.Scope, bool)

	// Grace is how long a client that is kicked has to take what waits for it, before its connection is reset. 0: 5 s.
	Grace time.Duration

	// Entry are the limits before a session begins; Accept, Client, Tick and Log are the gate's. See entry.Options.
	Entry EntryLimits

	// Log gets what no caller hears of; nil: slog.Default.
	Log *slog.Logger
}

// EntryLimits are those of entry.Options, with their defaults.
type EntryLimits struct {
	Connections, PerAddress                   int
	FirstByte, TLS, Upgrade, Auth, HalfPacket time.Duration
}

// A Resume says how long what is kept for clients that are away.
type Resume struct {
	// Window is how long a session waits for its client. 0: 30 s. It is kept to about 250 ms.
	Window time.Duration
	// Vault is the memory for it: see vault.Config, whose zero value is good for 4096 sessions.
	Vault vault.Config
}

// A Hello is a client that wants to be let in.
type Hello struct {
	Data      []byte // its first packet; with Resume what its AUTH has
	Remote    string // its address and port
	Transport string // "tcp", "tls", "ws" or "wss", with the network before it where that is not TCP
	Server    string // what it has called the server in TLS (SNI), else ""
	Peer      []byte // its certificate in DER, if it was verified
	Path      string // of the WebSocket request, as are:
	Query     string
	Protocol  string            // the subprotocol that was chosen
	Header    map[string]string // those of WebSocket.Headers, the first value of each
}

// A Grant lets a client in, or not.
type Grant struct {
	Bind     Target     // the service that gets its packets; zero: Config.Bind
	Identity []byte     // who it is, for Opened and lists; 512 bytes at most
	Welcome  []byte     // a packet for the client before all others, as Must; nil: none
	Groups   []string   // that it is in from the beginning
	Refuse   frame.Code // not 0: it is not let in
	Why      string     // for people; goes to the client
}

// A Refusal is an error of Config.Auth that tells the client why.
type Refusal struct {
	Code frame.Code // 0: frame.CodeUnauthorized
	Why  string     // for people, 512 bytes at most
}

// Error has the code and the text.
func (r *Refusal) Error() string {
	return fmt.Sprintf("refused: %v: %s", cmp.Or(r.Code, frame.CodeUnauthorized), r.Why)
}

// Unwrap returns ErrRefused.
func (r *Refusal) Unwrap() error { return ErrRefused }

// withDefaults returns cfg with its defaults, or what is wrong with it.
func (cfg Config) withDefaults() (Config, error) {
	cfg.Grace = cmp.Or(cfg.Grace, DefaultGrace)
	cfg.Budget = cmp.Or(cfg.Budget, DefaultBudget)
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	if cfg.Node.Log == nil {
		cfg.Node.Log = cfg.Log
	}
	if cfg.Resume != nil {
		r := *cfg.Resume
		r.Window = cmp.Or(r.Window, DefaultWindow)
		cfg.Resume = &r
	}
	cfg.Client.Budget = &queue.Budget{Limit: max(cfg.Budget, 0)}
	return cfg, cfg.check()
}

func (cfg *Config) check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("gate: "+format, args...)) }
	if cfg.Auth == nil && cfg.AuthService.IsZero() && cfg.Bind.IsZero() {
		wrong("none of Config.Auth, AuthService and Bind is set: want one, or nobody can be let in")
	}
	if cfg.Auth != nil && !cfg.AuthService.IsZero() {
		wrong("both Config.Auth and AuthService are set: want one")
	}
	for _, t := range []Target{cfg.AuthService, cfg.Bind} {
		if err := t.check(); err != nil && !t.IsZero() {
			wrong("%w", err)
		}
	}
	if cfg.Client.OnSlow != nil || cfg.Client.OnKick != nil {
		wrong("Config.Client.OnSlow and OnKick are the gate's: want nil")
	}
	if cfg.Resume == nil {
		if len(cfg.Adopt) > 0 {
			wrong("Config.Adopt needs Config.Resume")
		}
		return errors.Join(errs...)
	}
	f := cfg.Client.Framing
	if f != nil && !frame.Binary(f) {
		wrong("framing %v cannot carry any bytes, which Config.Resume needs: want 2, 4 or varint", framingName(f))
	}
	if p := cfg.Client.Marks.Policy; p != queue.KickClient {
		wrong("Config.Client.Marks.Policy is %v, and with Config.Resume packets are numbered, so none may be left out: want kick", p)
	}
	if cfg.Resume.Window < 0 {
		wrong("Resume.Window is %v: want 0 or more", cfg.Resume.Window)
	}
	return errors.Join(errs...)
}

func framingName(f frame.Framing) string {
	if s, ok := f.(fmt.Stringer); ok {
		return s.String()
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", f), "*")
}
