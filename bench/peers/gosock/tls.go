// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"net"

	"github.com/skybus-io/skybus/bench/internal/peer"
)

// secured puts TLS 1.3 over a connection, with certificates on both sides.
func secured(conn net.Conn, server bool) net.Conn {
	t := tls.Client(conn, peer.TLSConfig())
	if server {
		t = tls.Server(conn, peer.TLSConfig())
	}
	peer.Must("shake hands", t.Handshake())
	return t
}
