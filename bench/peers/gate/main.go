// SPDX-License-Identifier: Apache-2.0

// Gate is Skybus's gate as a server of the area gate.
//
//	gate gate|room|client echo|fan DIR
//
// gate is the whole of it, with a service of the same process behind it; with room that service is in another process.
// client is its connections alone: gate/entry and gate/client, whose packets go back without a service. With BENCH_CERT and BENCH_KEY
// clients may come with TLS.
package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/skybus-io/skybus/bench/internal/gateserver"
	"github.com/skybus-io/skybus/bench/internal/peer"
	"github.com/skybus-io/skybus/gate/entry"
)

const (
	asGate   = "gate"
	asRoom   = "room"
	asClient = "client"
	asOther  = "other" // the second process of asRoom

	patience = 5 * time.Second // until a gate has ended
)

func main() {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // who is kicked or refused is counted
	s := gateserver.Parse(os.Args[1:])
	switch s.As {
	case asGate, asRoom:
		serveGate(s)
	case asClient:
		serveClients(s)
	case asOther:
		serveOther(s)
	default:
		peer.Die("there is no %q, only gate, room and client", s.As)
	}
}

// listen returns a listener of its own port, and what clients may speak there.
func listen() (net.Listener, entry.Config) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	peer.Must("listen", err)
	var cfg entry.Config
	if peer.HasCertificate() {
		cfg.TLS = peer.TLSConfig()
		cfg.TLS.ClientAuth = tls.NoClientCert // players have none
	}
	return l, cfg
}

// ending is a context for what ends.
func ending() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}
