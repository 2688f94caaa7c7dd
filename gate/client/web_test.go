// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
)

// echoEnd serves by echo.
func echoEnd(c *client.Conn) <-chan error {
	end := make(chan error, 1)
	go func() { end <- echo(c) }()
	return end
}

func TestPingAndFragments(t *testing.T) {
	each(t, []string{"ws", "wss"}, func(t *testing.T, transport string) {
		c, p := join(t, transport, prepare(t, client.Options{}))
		c.Authenticated()
		end := echoEnd(c)
		p.control(t, frame.OpPing, "a")
		p.want(t, "pong a")
		p.frame(t, frame.WSHeader{Opcode: frame.OpText}, "in ")
		eventually(t, "the message is seen", func() bool { _, half := c.HalfSince(); return half })
		p.control(t, frame.OpPing, "between")
		p.control(t, frame.OpPong, "nobody has asked")
		p.want(t, "pong between")
		p.frame(t, frame.WSHeader{Opcode: frame.OpContinuation}, "three ")
		p.frame(t, frame.WSHeader{Opcode: frame.OpContinuation, Fin: true}, "parts")
		p.want(t, "in three parts")
		if _, half := c.HalfSince(); half {
			t.Error("a whole message is half a packet")
		}
		_ = p.Close()
		wantEnd(t, end, io.EOF)
	})
}

// TestPingsOfAClientThatDoesNotRead: what is kept for it is bounded.
func TestPingsOfAClientThatDoesNotRead(t *testing.T) {
	clean(t)
	o := small()
	c, p, end := slowly(t, "ws", o)
	stuff(t, c, 1000)
	before := c.Queued()
	for range 200 {
		p.control(t, frame.OpPing, strings.Repeat("p", 125))
	}
	p.send(t, "marker")
	eventually(t, "the pings are read", func() bool { return c.Stats().PacketsIn == 1 })
	if now := c.Queued(); now > before {
		t.Errorf("%d bytes are queued, %d before the pings", now, before)
	}
	c.Kick(nil)
	wantEnd(t, end, client.ErrKicked)
}

func TestTheClientCloses(t *testing.T) {
	cases := []struct {
		name, payload string
		code          uint16 // that comes back
		text          string
	}{
		{"normal", "\x03\xe8bye", 1000, "bye"},
		{"no status", "", frame.CloseNoStatus, ""},
		{"the program's own", "\x0f\xa1", 4001, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			clean(t)
			c, p := join(t, "ws", prepare(t, client.Options{}))
			c.Authenticated()
			end := echoEnd(c)
			p.send(t, "last")
			p.control(t, frame.OpClose, tc.payload)
			p.want(t, "last")
			if _, err := p.recv(); !isClose(err, tc.code) {
				t.Errorf("the client: %v, want code %d", err, tc.code)
			}
			if n, err := p.raw.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("behind the close frame: %d, %v", n, err) // it is for the server to close
			}
			err := <-end
			var ce *client.CloseError
			if !errors.Is(err, io.EOF) || !errors.As(err, &ce) || ce.Code != tc.code || ce.Text != tc.text {
				t.Errorf("ended by %v", err)
			}
		})
	}
}

// TestBrokenRules: the client learns which by the code, and what comes behind is not read.
func TestBrokenRules(t *testing.T) {
	masked := func(h frame.WSHeader, payload string) []byte {
		h.Masked = true
		return frame.AppendWSFrame(nil, h, []byte(payload))
	}
	cases := []struct {
		name  string
		bytes []byte
		code  uint16
	}{
		{"no mask", frame.AppendWSFrame(nil, frame.WSHeader{Fin: true, Opcode: frame.OpText}, []byte("x")), frame.CloseProtocol},
		{"reserved opcode", masked(frame.WSHeader{Fin: true, Opcode: 3}, "x"), frame.CloseProtocol},
		{"continues nothing", masked(frame.WSHeader{Fin: true}, "x"), frame.CloseProtocol},
		{"compressed, not negotiated", masked(frame.WSHeader{Fin: true, Rsv1: true, Opcode: frame.OpText}, "x"), frame.CloseProtocol},
		{"text that is none", masked(frame.WSHeader{Fin: true, Opcode: frame.OpText}, "\xff"), frame.CloseInvalid},
		{"close of 1 byte", masked(frame.WSHeader{Fin: true, Opcode: frame.OpClose}, "x"), frame.CloseProtocol},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			clean(t)
			c, p := join(t, "ws", prepare(t, client.Options{}))
			c.Authenticated()
			end := echoEnd(c)
			_, _ = p.Write(append(p.wire("good"), append(tc.bytes, p.wire("lost")...)...))
			p.want(t, "good")
			if _, err := p.recv(); !isClose(err, tc.code) {
				t.Errorf("the client: %v, want code %d", err, tc.code)
			}
			_, _ = p.Write(p.wire("lost too"))
			_ = p.Close()
			wantEnd(t, end, frame.ErrMalformed)
			if n := c.Stats().PacketsIn; n != 1 {
				t.Errorf("%d packets were handed over, want 1", n)
			}
		})
	}
}

func TestTextMessages(t *testing.T) {
	clean(t)
	c, p := joinLink(t, "ws", prepare(t, client.Options{}), client.Link{Text: true})
	send(t, c, "hi", queue.Must, 0, queue.Queued)
	c.Flush()
	b := make([]byte, 4)
	if _, err := io.ReadFull(p.raw, b); string(b) != "\x81\x02hi" || err != nil {
		t.Errorf("% x, %v", b, err)
	}
	c.Close()
}

func squeeze(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 6)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte(s))
	_ = w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

func unsqueeze(t *testing.T, s string) string {
	t.Helper()
	b, err := io.ReadAll(flate.NewReader(strings.NewReader(s + "\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDeflate(t *testing.T) {
	each(t, []string{"ws", "wss"}, func(t *testing.T, transport string) {
		for _, text := range []bool{false, true} {
			c, p := joinLink(t, transport, prepare(t, client.Options{}), client.Link{Deflate: true, Text: text})
			c.Authenticated()
			end := echoEnd(c)
			want := strings.Repeat("much the same, ", 1000)
			p.frame(t, frame.WSHeader{Fin: true, Rsv1: true, Opcode: frame.OpText}, squeeze(t, want))
			got, err := p.recv()
			if err != nil || len(got) > 1000 || unsqueeze(t, got) != want {
				t.Errorf("%d bytes came back, %v", len(got), err)
			}
			p.send(t, "short") // and not compressed
			p.want(t, "short")
			p.frame(t, frame.WSHeader{Fin: true, Rsv1: true, Opcode: frame.OpBinary}, "\x00") // an empty message
			p.want(t, "")
			_ = p.Close()
			wantEnd(t, end, io.EOF)
		}
	})
}

func TestBadDeflate(t *testing.T) {
	cases := []struct {
		name, payload string
		op            frame.Opcode
		code          uint16
	}{
		{"a bomb", squeeze(t, strings.Repeat("\x00", 1<<20)), frame.OpBinary, frame.CloseTooBig},
		{"not deflate", "\xff\xff\xff", frame.OpBinary, frame.CloseInvalid},
		{"cut", squeeze(t, strings.Repeat("abc", 100))[:4], frame.OpBinary, frame.CloseInvalid},
		{"text that is none", squeeze(t, "\xff\xfe"), frame.OpText, frame.CloseInvalid},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			clean(t)
			c, p := joinLink(t, "ws", prepare(t, client.Options{}), client.Link{Deflate: true})
			c.Authenticated()
			end := echoEnd(c)
			p.frame(t, frame.WSHeader{Fin: true, Rsv1: true, Opcode: tc.op}, tc.payload)
			if _, err := p.recv(); !isClose(err, tc.code) {
				t.Errorf("the client: %v, want code %d", err, tc.code)
			}
			_ = p.Close()
			if err := <-end; err == nil || errors.Is(err, io.EOF) {
				t.Errorf("ended by %v", err)
			}
		})
	}
}
