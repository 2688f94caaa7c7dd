// SPDX-License-Identifier: Apache-2.0

package dial

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 has it so
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/skybus-io/skybus/gate/frame"
)

// A link is one connection: it carries packets.
type link struct {
	conn    net.Conn
	framing frame.Framing
	web     *frame.WSReader // nil: framed
	limit   int

	buf  []byte // read, from at on not taken
	at   int
	wmu  sync.Mutex
	wbuf []byte
}

// connect makes a connection to a gate, ready for the first packet.
func connect(ctx context.Context, e endpoint, o *Options) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Handshake)
	defer cancel()
	conn, err := o.Connect(ctx, e.host)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	l := &link{conn: conn, framing: o.Framing, limit: o.MaxPacket}
	if e.secure {
		err = l.secure(ctx, e, o.TLS)
	}
	if err == nil && e.web != nil {
		err = l.upgrade(e, o.Header)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, l.conn.Close())
	}
	return l, nil
}

func (l *link) secure(ctx context.Context, e endpoint, cfg *tls.Config) error {
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		cfg = cfg.Clone()
		cfg.ServerName, _, _ = net.SplitHostPort(e.host)
	}
	c := tls.Client(l.conn, cfg)
	l.conn = c
	return c.HandshakeContext(ctx)
}

// upgrade makes the connection a WebSocket (RFC 6455, section 4.1).
func (l *link) upgrade(e endpoint, header http.Header) error {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	key := base64.StdEncoding.EncodeToString(nonce)
	path := e.web.RequestURI()
	if path == "" {
		path = "/"
	}
	r := &http.Request{Method: http.MethodGet, Host: e.web.Host, Header: header.Clone()}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Sec-WebSocket-Key", key)
	r.Header.Set("Sec-WebSocket-Version", "13")
	out := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n", path, r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			out = fmt.Appendf(out, "%s: %s\r\n", name, v)
		}
	}
	if _, err := l.conn.Write(append(out, "\r\n"...)); err != nil {
		return err
	}
	br := bufio.NewReader(l.conn)
	answer, err := http.ReadResponse(br, r)
	if err != nil {
		return fmt.Errorf("upgrade to WebSocket: %w", err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-WebSocket-Accept") != accept(key) {
		return fmt.Errorf("upgrade to WebSocket: the answer is %s, want 101 with the right key", answer.Status)
	}
	l.web = &frame.WSReader{Client: true}
	early, _ := br.Peek(br.Buffered())
	l.buf = append(l.buf, early...)
	return nil
}

func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// write sends packets at once. Any goroutine may call it.
func (l *link) write(packets ...[]byte) error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	return l.writeLocked(packets...)
}

func (l *link) writeLocked(packets ...[]byte) (err error) {
	b := l.wbuf[:0]
	for _, p := range packets {
		if l.web != nil {
			b = appendMasked(b, frame.OpBinary, p)
		} else if b, err = l.framing.Append(b, p); err != nil {
			return err
		}
	}
	if l.wbuf = b; cap(b) > 64<<10 {
		l.wbuf = nil
	}
	_, err = l.conn.Write(b)
	return err
}

func appendMasked(dst []byte, op frame.Opcode, payload []byte) []byte {
	h := frame.WSHeader{Fin: true, Opcode: op, Masked: true}
	_, _ = rand.Read(h.Key[:]) // never fails
	return frame.AppendWSFrame(dst, h, payload)
}

// read returns the next packet, which is valid until the next read. One goroutine calls it.
func (l *link) read() ([]byte, error) {
	for {
		p, ok, err := l.split()
		if err != nil || ok {
			return p, err
		}
		if err := l.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads more behind what is there.
func (l *link) fill() error {
	if l.at > 0 {
		l.buf = l.buf[:copy(l.buf, l.buf[l.at:])]
		l.at = 0
	}
	if cap(l.buf)-len(l.buf) < 2<<10 {
		l.buf = append(make([]byte, 0, max(2*cap(l.buf), 4<<10)), l.buf...)
	}
	n, err := l.conn.Read(l.buf[len(l.buf):cap(l.buf)])
	l.buf = l.buf[:len(l.buf)+n]
	if n > 0 {
		return nil
	}
	return err
}

// split takes a packet from what was read.
func (l *link) split() ([]byte, bool, error) {
	if l.web == nil {
		p, n, err := l.framing.Split(l.buf[l.at:], l.limit)
		l.at += n
		return p, n > 0, err
	}
	for {
		m, n, err := l.web.Next(l.buf[l.at:], l.limit)
		l.at += n
		if err != nil {
			return nil, false, err
		}
		switch m.Opcode {
		case frame.OpText, frame.OpBinary:
			return m.Payload, true, nil
		case frame.OpPing:
			if err := l.control(frame.OpPong, m.Payload); err != nil {
				return nil, false, err
			}
		case frame.OpClose:
			_ = l.control(frame.OpClose, frame.AppendClose(nil, m.Code, ""))
			if m.Code != frame.CloseNormal && m.Code != frame.CloseNoStatus {
				return nil, false, fmt.Errorf("closed by the gate: %d %s", m.Code, m.Payload)
			}
			return nil, false, io.EOF
		case frame.OpContinuation:
			if n == 0 || l.at == len(l.buf) {
				return nil, false, nil
			}
		}
	}
}

func (l *link) control(op frame.Opcode, payload []byte) error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	_, err := l.conn.Write(appendMasked(nil, op, payload))
	return err
}

func (l *link) close() { _ = l.conn.Close() }
