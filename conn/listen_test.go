// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
)

// echo returns each line to its sender.
func echo(c *actor.Context, n *Conn) {
	for {
		line, err := n.ReadLine(c, "\n", 0)
		if err != nil {
			return
		}
		if err := n.Write(c, append(line, '\n')); err != nil {
			return
		}
	}
}

// listen has the service listen with f for each connection.
func listen(t testing.TB, rt *actor.Runtime, p actor.PID, g Config, at string, f func(c *actor.Context, n *Conn)) *Listener {
	t.Helper()
	var ln *Listener
	must(t, rt, p, func(c *actor.Context) (err error) {
		ln, err = g.Listen(c, at, f)
		return err
	})
	return ln
}

// TestServicesTalk has 50 handlers of one service dial another one, over TCP, Unix sockets, and TLS.
func TestServicesTalk(t *testing.T) {
	server, client := certificate(t)
	for _, test := range []struct {
		name, at       string
		server, client *tls.Config
	}{
		{"tcp", "127.0.0.1:0", nil, nil},
		{"unix", "unix:" + filepath.Join(t.TempDir(), "s"), nil, nil},
		{"tls", "127.0.0.1:0", server, client},
		{"tls over unix", "unix:" + filepath.Join(t.TempDir(), "t"), server, withName(client)},
	} {
		t.Run(test.name, func(t *testing.T) {
			rt, p := world(t)
			ln := listen(t, rt, p, Config{TLS: test.server, Timeout: -1}, test.at, echo)
			at := ln.Addr().String()
			if ln.Addr().Network() == "unix" {
				at = "unix:" + at
			}
			other := service(t, rt)
			var all []<-chan error
			for i := range 50 {
				all = append(all, start(rt, other, func(c *actor.Context) error {
					n, err := Config{TLS: test.client, Timeout: -1}.Dial(c, at)
					if err != nil {
						return err
					}
					defer n.Close()
					for size := range 20 {
						want := bytes.Repeat([]byte{byte('a' + i%26)}, size*200)
						if err := n.Write(c, append(want, '\n')); err != nil {
							return err
						}
						got, err := n.ReadLine(c, "\n", 0)
						if err != nil {
							return err
						}
						if !bytes.Equal(got, want) {
							return fmt.Errorf("got %d bytes, want %d", len(got), len(want))
						}
					}
					if err := n.CloseWrite(c); err != nil {
						return err
					}
					rest, err := n.ReadAll(c, 0)
					if len(rest) > 0 {
						return fmt.Errorf("%d bytes more", len(rest))
					}
					return err
				}))
			}
			for _, done := range all {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
			if s := ln.Stats(); s.Accepted != 50 || s.Failed+s.Errors != 0 {
				t.Errorf("stats %+v", s)
			}
			eventually(t, func() bool { return ln.Stats().Open == 0 })
			ln.Close()
			ln.Close()
		})
	}
}

// certificate returns what a server and a client of 127.0.0.1 need.
func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"here"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: pool}
}

func withName(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.ServerName = "here"
	return c
}

func TestHandshakesThatFail(t *testing.T) {
	rt, p := world(t)
	server, _ := certificate(t)
	_, stranger := certificate(t)
	ran := make(chan bool, 10)
	at := func(timeout time.Duration) *Listener {
		return listen(t, rt, p, Config{TLS: server, Timeout: timeout}, "127.0.0.1:0", func(*actor.Context, *Conn) { ran <- true })
	}
	ln, hasty := at(-1), at(50*time.Millisecond)
	err := in(t, rt, p, func(c *actor.Context) error {
		_, err := Config{TLS: stranger, Timeout: -1}.Dial(c, ln.Addr().String())
		return err
	})
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("dial a server with a strange certificate: %v", err)
	}
	silent, noise := dial(t, hasty), dial(t, ln)
	write(t, noise, "GET / HTTP/1.0\r\n\r\n")
	eventually(t, func() bool { return ln.Stats().Failed == 2 && hasty.Stats().Failed == 1 })
	if _, err := io.ReadAll(silent); err != nil {
		t.Error(err)
	}
	_, _ = io.Copy(io.Discard, noise)
	for _, l := range []*Listener{ln, hasty} {
		if s := l.Stats(); s.Open != 0 || s.Accepted != 0 || s.Last == nil || len(ran) > 0 {
			t.Errorf("stats %+v, %d connections were handled", s, len(ran))
		}
		l.Close()
	}
}

// TestAbortOfTLS wants a reset, and not TLS's goodbye, which would read as an end in order.
func TestAbortOfTLS(t *testing.T) {
	rt, p := world(t)
	server, client := certificate(t)
	ln := listen(t, rt, p, Config{TLS: server}, "127.0.0.1:0", func(c *actor.Context, n *Conn) {
		_, _ = n.ReadN(c, 1)
		n.Abort()
	})
	must(t, rt, p, func(c *actor.Context) error {
		n, err := Config{TLS: client}.Dial(c, ln.Addr().String())
		if err != nil {
			return err
		}
		defer n.Close()
		if err := n.Write(c, []byte("x")); err != nil {
			return err
		}
		if _, err = n.ReadAll(c, 0); !errors.Is(err, syscall.ECONNRESET) {
			return fmt.Errorf("read %w, want a reset", err)
		}
		return nil
	})
	ln.Close()
}

func TestMaxConns(t *testing.T) {
	rt, p := world(t)
	ln := listen(t, rt, p, Config{MaxConns: 2}, "127.0.0.1:0", echo)
	var peers []*net.TCPConn
	for range 4 {
		peers = append(peers, dial(t, ln))
	}
	for i := range 4 {
		write(t, peers[i], "hello\n")
	}
	expect(t, peers[0], "hello\n")
	expect(t, peers[1], "hello\n")
	if s := ln.Stats(); s.Accepted != 2 || s.Open != 2 {
		t.Errorf("stats %+v, want two", s)
	}
	peers[1].Close()
	expect(t, peers[2], "hello\n")
	peers[0].Close()
	expect(t, peers[3], "hello\n")
	if s := ln.Stats(); s.Accepted != 4 || s.Open > 2 {
		t.Errorf("stats %+v, want four, two at a time", s)
	}
	ln.Close()
	write(t, peers[3], "goes on\n") // connections stay
	expect(t, peers[3], "goes on\n")
}

// failing is a listener whose system has no descriptors now and then.
type failing struct {
	net.Listener
	calls atomic.Int32
}

func (f *failing) Accept() (net.Conn, error) {
	if f.calls.Add(1)%2 == 1 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return f.Listener.Accept()
}

func TestAcceptGoesOnAfterErrors(t *testing.T) {
	rt, p := world(t)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var ln *Listener
	must(t, rt, p, func(c *actor.Context) (err error) {
		ln, err = Serve(c, &failing{Listener: inner}, echo)
		return err
	})
	for range 3 {
		peer := dial(t, ln)
		write(t, peer, "x\n")
		expect(t, peer, "x\n")
	}
	if s := ln.Stats(); s.Errors < 3 || !errors.Is(s.Last, syscall.EMFILE) {
		t.Errorf("stats %+v", s)
	}
	ln.Close()
}

// TestWhatBecomesOfAcceptedConnections has handlers return, panic, keep and give away what they got.
func TestWhatBecomesOfAcceptedConnections(t *testing.T) {
	testutil.NoLeaks(t)
	rt := actor.New(actor.Config{}) // one that does not mind a panic
	defer rt.Close()
	p := service(t, rt)
	got := make(chan *Conn, 1)
	to, err := rt.Start(t.Context(), actor.Spec{New: taker(got)})
	if err != nil {
		t.Fatal(err)
	}
	ln := listen(t, rt, p, Config{}, "127.0.0.1:0", func(c *actor.Context, n *Conn) {
		what, err := n.ReadLine(c, "\n", 0)
		switch {
		case err != nil:
		case string(what) == "panic":
			panic(errors.New("as it was told"))
		case string(what) == "keep":
			n.Keep()
		case string(what) == "give":
			_ = n.Give(c, to)
		}
	})
	for _, what := range []string{"return", "panic"} {
		peer := dial(t, ln)
		write(t, peer, what+"\n")
		if b, err := io.ReadAll(peer); len(b) > 0 || err != nil {
			t.Errorf("%s: %q, %v", what, b, err)
		}
	}
	keep := dial(t, ln)
	write(t, keep, "keep\n")
	given := dial(t, ln)
	write(t, given, "give\n")
	n := <-got
	must(t, rt, to, func(c *actor.Context) error { return n.Write(c, []byte("given")) })
	expect(t, given, "given")
	eventually(t, func() bool { return len(rt.Tasks(p, false)) == 2 }) // no handler waits but the guard and the acceptor
	eventually(t, func() bool { return ln.Stats().Open == 2 })
	for _, q := range []actor.PID{p, to} {
		if err := rt.Kill(q); err != nil {
			t.Fatal(err)
		}
	}
	for _, peer := range []net.Conn{keep, given} {
		if _, err := io.ReadAll(peer); err != nil {
			t.Error(err)
		}
	}
	eventually(t, func() bool { return ln.Stats().Open == 0 })
}

func TestErrorsOfDialAndListen(t *testing.T) {
	rt, p := world(t)
	taken := listen(t, rt, p, Config{}, "127.0.0.1:0", echo)
	refused := dial(t, taken).LocalAddr().String() // a port where nobody listens, nor can
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	tests := []struct {
		name string
		do   func(c *actor.Context) error
		want string
		is   error
	}{
		{"dial nowhere", func(c *actor.Context) error { _, err := Dial(c, "nowhere"); return err }, `address "nowhere": want HOST:PORT or unix:PATH`, nil},
		{"dial no path", func(c *actor.Context) error { _, err := Dial(c, "unix:"); return err }, `want unix: and a path`, nil},
		{"dial a closed port", func(c *actor.Context) error { _, err := Dial(c, refused); return err }, "dial " + refused, syscall.ECONNREFUSED},
		{"dial no socket", func(c *actor.Context) error { _, err := Dial(c, "unix:/nowhere/s"); return err }, "dial unix:/nowhere/s", os.ErrNotExist},
		{"listen nowhere", func(c *actor.Context) error { _, err := Listen(c, "nowhere", echo); return err }, `address "nowhere": want`, nil},
		{"listen at a taken port", func(c *actor.Context) error { _, err := Listen(c, taken.Addr().String(), echo); return err }, "listen at 127.0.0.1:", syscall.EADDRINUSE},
		{"listen without a certificate", func(c *actor.Context) error {
			_, err := Config{TLS: &tls.Config{}}.Listen(c, "127.0.0.1:0", echo)
			return err
		}, "without a certificate", nil},
		{"datagrams nowhere", func(c *actor.Context) error { _, err := ListenPacket(c, "nowhere"); return err }, `listen for datagrams at "nowhere"`, nil},
		{"adopt a file", func(c *actor.Context) error {
			f, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				return err
			}
			_, err = AdoptFile(c, f)
			return err
		}, "want a stream socket", nil},
		{"adopt a socket for datagrams", func(c *actor.Context) error {
			f, err := packets.(*net.UDPConn).File()
			if err != nil {
				return err
			}
			_, err = AdoptFile(c, f)
			return err
		}, "want a stream socket", nil},
	}
	for _, test := range tests {
		err := in(t, rt, p, test.do)
		if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: %v, want %q, %v", test.name, err, test.want, test.is)
		}
	}
	taken.Close()
}

// TestDialThatIsGivenUp has callers, and the service, go while a dial hangs in the handshake.
func TestDialThatIsGivenUp(t *testing.T) {
	rt, p := world(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	hang := func(g Config) call {
		return func(c *actor.Context) error {
			g.TLS = &tls.Config{InsecureSkipVerify: true}
			_, err := g.Dial(c, silent.Addr().String())
			return err
		}
	}
	wantError(t, in(t, rt, p, hang(Config{Timeout: 20 * time.Millisecond})), context.DeadlineExceeded)
	_, err = rt.Call(within(t, 20*time.Millisecond), p, hang(Config{}))
	wantError(t, err, context.DeadlineExceeded)
	waits(t, rt, p, calls, 0)
	done := start(rt, p, hang(Config{Timeout: -1}))
	waits(t, rt, p, calls, 1)
	must(t, rt, p, func(*actor.Context) error { return nil }) // the service goes on
	if err := rt.Kill(p); err != nil {
		t.Fatal(err)
	}
	wantError(t, <-done, actor.ErrStopped)
}

func TestAdoptFile(t *testing.T) {
	rt, p := world(t)
	mine, peer := tcpPair(t)
	f, err := mine.File()
	if err != nil {
		t.Fatal(err)
	}
	mine.Close()
	must(t, rt, p, func(c *actor.Context) error {
		n, err := AdoptFile(c, f)
		if err != nil {
			return err
		}
		n.Keep()
		return n.Write(c, []byte("adopted"))
	})
	expect(t, peer, "adopted")
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file is still open: %v", err)
	}
	if err := rt.Kill(p); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(peer); err != nil {
		t.Error(err)
	}
}

// TestPauseClosesConnections is what a hot restart begins with. If it fails the service dials again.
func TestPauseClosesConnections(t *testing.T) {
	rt, p := world(t)
	n, peer := pair(t, rt, p, Config{})
	must(t, rt, p, func(*actor.Context) error { return nil })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := rt.Pause(ctx, 90*time.Second); err != nil {
		t.Fatal(err)
	}
	rt.Resume()
	if _, err := io.ReadAll(peer); err != nil {
		t.Error(err)
	}
	eventually(t, n.isClosed)
	again, peer := pair(t, rt, p, Config{})
	must(t, rt, p, func(c *actor.Context) error { return again.Write(c, []byte("again")) })
	expect(t, peer, "again")
	again.Close()
}
