// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/skybus-io/skybus/bench/internal/peer"
)

// What a client speaks.
const (
	overTCP = "tcp"
	overWS  = "ws"
	overTLS = "tls"
)

// perAddress is how many clients a source address has, as in load/clients.hpp.
const perAddress = 200

// client is one connection.
type client struct {
	tcp *net.TCPConn
	net.Conn
	web bool
}

// dial connects the n-th client.
func dial(at, over string, n int) client {
	source := net.IPv4(127, 1, byte(n/perAddress/256), byte(1+n/perAddress%255))
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: source}, Timeout: patience}
	conn, err := d.Dial("tcp", at)
	peer.Must("dial", err)
	c := client{tcp: conn.(*net.TCPConn), Conn: conn}
	peer.Must("set a deadline", conn.SetDeadline(time.Now().Add(patience)))
	switch over {
	case overTCP:
	case overTLS:
		c.Conn = tls.Client(conn, peer.TLSConfig())
	case overWS:
		c.web = true
		c.upgrade(at)
	default:
		peer.Die(usage)
	}
	return c
}

// upgrade asks for WebSocket. The server says nothing more before it hears something, so no byte of a frame
// is lost in the reader.
func (c client) upgrade(at string) {
	request := "GET / HTTP/1.1\r\nHost: " + at + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	_, err := io.WriteString(c, request)
	peer.Must("ask for an upgrade", err)
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	peer.Must("read the answer to an upgrade", err)
	defer answer.Body.Close() // there is none
	if answer.StatusCode != http.StatusSwitchingProtocols {
		peer.Die("an upgrade is answered by %s", answer.Status)
	}
}

// echo sends a packet and waits until it has come back.
func (c client) echo(packet []byte) {
	_, err := c.Write(c.frame(packet))
	peer.Must("send", err)
	want := c.answer(packet)
	got := make([]byte, len(want))
	_, err = io.ReadFull(c, got)
	peer.Must("receive", err)
	if !bytes.Equal(got, want) {
		peer.Die("%x came back as %x", packet, got)
	}
}

// frame is a packet as a client sends it. A mask of zeros is one.
func (c client) frame(packet []byte) []byte {
	if !c.web {
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	}
	return append([]byte{0x82, 0x80 | byte(len(packet)), 0, 0, 0, 0}, packet...)
}

// answer is a packet as a server sends it.
func (c client) answer(packet []byte) []byte {
	if !c.web {
		return c.frame(packet)
	}
	return append([]byte{0x82, byte(len(packet))}, packet...)
}

// reset closes so that nothing stays behind in the kernel.
func (c client) reset() {
	_ = c.tcp.SetLinger(0)
	_ = c.tcp.Close()
}
