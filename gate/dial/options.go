// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/skybus-io/skybus/gate/frame"
)

// Options say how a Client connects. The zero value of each field but Auth is its default.
type Options struct {
	// Auth is what the gate's auth function gets: without Resume the first packet, nil for none; with Resume what the AUTH has.
	Auth []byte
	// Resume says that the gate has Config.Resume.
	Resume bool
	// Framing is the gate's; default frame.Length2. It means nothing for WebSocket.
	Framing frame.Framing
	// TLS is for "tls://" and "wss://"; nil: the system's roots, and the host of the address as its name.
	TLS *tls.Config
	// Header goes with the request of a WebSocket.
	Header http.Header
	// Others are further addresses, which are tried in turn when a connection is lost; WebSocket or not goes by each.
	Others []string

	// MaxPacket is how many bytes a packet of the gate may have; default 1 MiB.
	MaxPacket int
	// Window is how many packets may be sent that are not known to be accepted, and Buffered how many received ones wait for Recv;
	// when there are more, Send waits, or the gate does. Default 1024 and 256.
	Window, Buffered int

	// Min and Max are the pauses before a connection is tried again: they double. Default 50 ms and 2 s.
	Min, Max time.Duration
	// Patience is for how long in all that is tried; default as long as the gate keeps the session, and at least 10 s.
	Patience time.Duration
	// Handshake limits each attempt; default 10 s.
	Handshake time.Duration
	// Ping is how often the gate is asked for a sign of life, and three times that without one is a lost connection. With Resume only; default 10 s.
	Ping time.Duration

	// Connect makes the stream to an address HOST:PORT; nil: net.Dialer.
	Connect func(ctx context.Context, address string) (net.Conn, error)
	// OnState is called when the connection is lost (false, why) and is there again (true, nil), by one goroutine at a time. It must not
	// wait, nor call the Client. May be nil.
	OnState func(connected bool, why error)
}

func (o Options) withDefaults() Options {
	if o.Framing == nil {
		o.Framing = frame.Length2
	}
	o.MaxPacket = cmp.Or(o.MaxPacket, 1<<20)
	o.Window = cmp.Or(o.Window, 1024)
	o.Buffered = cmp.Or(o.Buffered, 256)
	o.Min = cmp.Or(o.Min, 50*time.Millisecond)
	o.Max = cmp.Or(o.Max, 2*time.Second)
	o.Handshake = cmp.Or(o.Handshake, 10*time.Second)
	o.Ping = cmp.Or(o.Ping, 10*time.Second)
	if o.Connect == nil {
		o.Connect = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	return o
}

// An endpoint is an address, taken apart.
type endpoint struct {
	host   string // HOST:PORT
	secure bool
	web    *url.URL // nil: framed packets
}

// parse reads HOST:PORT, tls://HOST:PORT, ws://HOST:PORT/PATH and wss://HOST:PORT/PATH.
func parse(address string) (endpoint, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return endpoint{}, fmt.Errorf("address %q: want HOST:PORT, or a URL of tls, ws or wss", address)
		}
		return endpoint{host: address}, nil
	}
	e := endpoint{host: u.Host}
	port := ""
	switch u.Scheme {
	case "tls", "tcp":
		e.secure = u.Scheme == "tls"
	case "ws", "http":
		e.web, port = u, "80"
	case "wss", "https":
		e.web, e.secure, port = u, true, "443"
	default:
		return endpoint{}, fmt.Errorf("address %q: want HOST:PORT, or a URL of tls, ws or wss", address)
	}
	if u.Port() == "" {
		if port == "" {
			return endpoint{}, fmt.Errorf("address %q has no port", address)
		}
		e.host = net.JoinHostPort(u.Hostname(), port)
	}
	return e, nil
}
