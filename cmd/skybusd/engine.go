// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"path/filepath"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/cluster/local"
	"github.com/skybus-io/skybus/cmd/skybusd/internal/config"
)

// A localEngine keeps global names for the processes of this host.
type localEngine struct {
	e *local.Engine
	s *local.Server
}

// serveEngine begins to serve, if the configuration wants it. The relay goes on without: what
// goes wrong is logged.
func serveEngine(mode string, t *channel.Table, l *slog.Logger) *localEngine {
	if mode != config.Local {
		return nil
	}
	e := local.NewEngine(local.Limits{})
	s, err := e.Serve(t.Folder(), local.ServerConfig{Logger: l, Alive: aliveIn(t)})
	if err != nil {
		e.Close()
		l.Error("global names are not served", "err", err.Error())
		return nil
	}
	l.Info("global names are served", "at", filepath.Join(t.Folder(), local.Socket))
	return &localEngine{e, s}
}

func (e *localEngine) close() {
	if e != nil {
		e.s.Close()
		e.e.Close()
	}
}

// aliveIn tells by an address's lock, and by how often it was bound, whether the process that has it now
// is still the one.
func aliveIn(t *channel.Table) func(addr.Addr) func() bool {
	return func(a addr.Addr) func() bool {
		binds := t.Binds(a)
		return func() bool {
			info, ok := t.Endpoint(a)
			return ok && info.Bound && info.Binds == binds
		}
	}
}
