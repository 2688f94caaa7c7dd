// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/netip"
)

// Info is what is known about a connection when it is ready for its first packet.
// It may be copied, and read by any goroutine; nobody writes it.
type Info struct {
	// Transport is how the client came: "tcp", "tls", "ws" or "wss". At a listener
	// that is not of TCP, the name of its network stands for "tcp", and before
	// a "+" before the others: "unix", "kcp+ws".
	Transport string

	// Remote is the client: the address at the other end, or the one that a trusted
	// proxy names. It is not valid if that is no IP address. Local is the address
	// that the client has connected to, from the same source.
	Remote, Local netip.AddrPort

	// Proxy is the proxy that the connection came through, not valid if through none.
	Proxy netip.AddrPort

	// TLS is there for "tls" and "wss", Web for "ws" and "wss".
	TLS *TLSInfo
	Web *WebInfo

	guest *guest
}

// Authenticated says that the client is known: the limit for its authentication does
// not end it any more. It may be called from any goroutine, at any time, more than once.
func (in *Info) Authenticated() {
	if in.guest != nil {
		in.guest.admit()
	}
}

// End says that a connection that Options.Start was called with has been served: it is closed, if it is not yet,
// and counts no longer. It is called once.
func (in *Info) End() {
	if g := in.guest; g != nil {
		g.mu.Lock()
		c := g.client
		g.mu.Unlock()
		c.Kick(errReturned)
		g.end()
	}
}

// TLSInfo is what the handshake has shown.
type TLSInfo struct {
	ServerName string            // what the client called the server (SNI)
	Peer       *x509.Certificate // the client's, nil unless it was verified
}

// WebInfo is what the request to upgrade to WebSocket was.
type WebInfo struct {
	Path, Query string      // as the client wrote them, but for the escapes of Path
	Subprotocol string      // what was chosen; "": none
	Header      http.Header // those that WebSocket.Headers names; may be nil
}

func tlsInfo(state *tls.ConnectionState) *TLSInfo {
	info := &TLSInfo{ServerName: state.ServerName}
	if len(state.VerifiedChains) > 0 {
		info.Peer = state.PeerCertificates[0]
	}
	return info
}
