// SPDX-License-Identifier: Apache-2.0

//go:build !noengine

package engine

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/skybus-io/skybus/internal/certs"
)

// BuiltIn says whether Serve has a server.
const BuiltIn = true

// Serve runs an etcd server until ctx is over: in a process of its own, for much of what can go wrong in it ends the
// process. file is its configuration, as etcd's --config-file has it; it logs to where that says.
func Serve(ctx context.Context, file string) error {
	cfg, err := embed.ConfigFromFile(file)
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	if !cfg.PeerTLSInfo.Empty() {
		cfg.PeerTLSInfo.ServerName = certs.EngineName // the configuration has no key for that
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	defer e.Close()
	select {
	case <-ctx.Done():
		return nil
	case err := <-e.Err():
		return fmt.Errorf("engine: %w", err)
	case <-e.Server.StopNotify():
		return errors.New("engine: it has stopped by itself: its member was removed, or its disk fails")
	}
}
