// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/frame"
)

// transports are the ways that a client may come.
var transports = []string{"tcp", "tls", "ws", "wss", "pipe"}

// A peer is the client's end of a connection.
type peer struct {
	net.Conn
	raw    net.Conn // below TLS
	web    bool
	reader frame.WSReader
	buf    []byte
}

// join connects over a transport, and returns both ends.
func join(t testing.TB, transport string, set *client.Setup) (*client.Conn, *peer) {
	t.Helper()
	return joinLink(t, transport, set, client.Link{})
}

func joinLink(t testing.TB, transport string, set *client.Setup, link client.Link) (*client.Conn, *peer) {
	t.Helper()
	var far, near net.Conn
	if transport == "pipe" {
		far, near = net.Pipe()
		t.Cleanup(func() { _ = far.Close() })
	} else {
		far, near = connect(t, listen(t))
	}
	p := &peer{Conn: far, raw: far, reader: frame.WSReader{Client: true, Deflate: link.Deflate}}
	if transport == "tls" || transport == "wss" {
		near, p.Conn = secureBoth(t, near, far)
	}
	p.web = transport == "ws" || transport == "wss"
	link.WebSocket = p.web
	return newConn(t, near, set, link), p
}

// wire returns packets as a client sends them.
func (p *peer) wire(packets ...string) []byte {
	var b []byte
	for _, s := range packets {
		if p.web {
			b = frame.AppendWSFrame(b, frame.WSHeader{Fin: true, Masked: true, Key: [4]byte{1, 2, 3, 4}, Opcode: frame.OpBinary}, []byte(s))
		} else {
			b = append(b, framed([]byte(s))...)
		}
	}
	return b
}

func (p *peer) send(t testing.TB, packets ...string) {
	t.Helper()
	if _, err := p.Write(p.wire(packets...)); err != nil {
		t.Fatal(err)
	}
}

// recv returns the next packet, or how the connection has ended: for WebSocket, by a
// *client.CloseError when a close frame has come.
func (p *peer) recv() (string, error) {
	for {
		packet, n, err := p.split()
		if err != nil {
			return "", err
		}
		p.buf = p.buf[n:]
		if packet != nil {
			return string(packet), nil
		}
		chunk := make([]byte, 64<<10)
		n, err = p.Read(chunk)
		p.buf = append(p.buf, chunk[:n]...)
		if n == 0 && err != nil {
			return "", err
		}
	}
}

func (p *peer) split() (packet []byte, n int, err error) {
	if !p.web {
		return frame.Length2.Split(p.buf, 1<<20)
	}
	m, n, err := p.reader.Next(p.buf, 1<<20)
	switch {
	case err != nil:
		return nil, n, err
	case m.Opcode == frame.OpClose:
		return nil, n, &client.CloseError{Code: m.Code, Text: string(m.Payload)}
	case m.Opcode == frame.OpPong:
		return append([]byte("pong "), m.Payload...), n, nil
	case m.Opcode == frame.OpContinuation:
		return nil, n, nil
	}
	return append(make([]byte, 0, 1), m.Payload...), n, nil
}

func (p *peer) want(t testing.TB, packets ...string) {
	t.Helper()
	for _, want := range packets {
		if got, err := p.recv(); got != want || err != nil {
			t.Fatalf("got %.40q, %v, want %.40q", got, err, want)
		}
	}
}

// control sends a frame of the WebSocket protocol.
func (p *peer) control(t testing.TB, op frame.Opcode, payload string) {
	t.Helper()
	p.frame(t, frame.WSHeader{Fin: true, Opcode: op}, payload)
}

func (p *peer) frame(t testing.TB, h frame.WSHeader, payload string) {
	t.Helper()
	h.Masked, h.Key = true, [4]byte{9, 8, 7, 6}
	if _, err := p.Write(frame.AppendWSFrame(nil, h, []byte(payload))); err != nil {
		t.Fatal(err)
	}
}

// serve runs Serve, and returns where its error comes.
func serve(c *client.Conn, handle func(packets [][]byte) error) <-chan error {
	end := make(chan error, 1)
	go func() { end <- c.Serve(handle) }()
	return end
}

// discard is a handler.
func discard([][]byte) error { return nil }

func wantEnd(t testing.TB, end <-chan error, wants ...error) {
	t.Helper()
	select {
	case err := <-end:
		for _, want := range wants {
			if !errors.Is(err, want) {
				t.Errorf("ended by %v, want %v", err, want)
			}
		}
	case <-time.After(90 * time.Second):
		t.Fatal("Serve does not return")
	}
}

// wantReset checks that the peer of a connection was reset; of a pipe, which knows no
// resets, that it has ended.
func (p *peer) wantReset(t testing.TB) {
	t.Helper()
	_ = p.raw.SetReadDeadline(time.Now().Add(90 * time.Second))
	_, err := io.Copy(io.Discard, p.raw)
	var op *net.OpError
	_, isTCP := p.raw.(*net.TCPConn)
	if isTCP && (!errors.As(err, &op) || op.Timeout()) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client: %v, want a reset", err)
	}
}

// eventually waits for what takes some time to be so.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 90 s", what)
		}
	}
}

// clean fails the test if it leaves goroutines or descriptors behind. It is called first.
func clean(t *testing.T) {
	t.Helper()
	noLeaks(t)
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil { // the runtime's own poller has some
		_ = l.Close()
	}
	before := descriptors(t)
	t.Cleanup(func() {
		for deadline := time.Now().Add(90 * time.Second); descriptors(t) > before; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d descriptors are open, before %d: %v", descriptors(t), before, openFiles())
			}
		}
	})
}

func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(list)
}

// each runs a test for each transport.
func each(t *testing.T, list []string, test func(t *testing.T, transport string)) {
	for _, transport := range list {
		t.Run(transport, func(t *testing.T) {
			clean(t)
			test(t, transport)
		})
	}
}

// openFiles lists what the descriptors of the process are.
func openFiles() (list []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		target, _ := os.Readlink("/proc/self/fd/" + e.Name())
		list = append(list, e.Name()+" "+target)
	}
	return list
}
