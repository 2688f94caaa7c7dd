// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/internal/testutil"
)

// connect makes a peer that speaks one of the four.
func connect(t testing.TB, g *gateway, kind Protocols, pool *x509.CertPool) (*peer, error) {
	t.Helper()
	return speak(g.dial(), kind, &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12})
}

var kinds = map[Protocols]string{TCP: "tcp", TLS: "tls", WS: "ws", WSS: "wss"}

func TestAllOnOneListener(t *testing.T) {
	clean(t)
	config, pool := serverTLS(t)
	g := start(t, nil, Options{}, Config{TLS: config})
	for kind, name := range kinds {
		p, err := connect(t, g, kind, pool)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, packet := range []string{"hello", "", "once more"} {
			if err := p.talk(packet); err != nil {
				t.Errorf("%s: %q: %v", name, packet, err)
			}
		}
		in := g.last()
		if in.Transport != name || in.Remote.String() != p.LocalAddr().String() || in.Local.String() != g.addr || in.Proxy.IsValid() {
			t.Errorf("%s: %+v", name, in)
		}
		if (in.TLS != nil) != (kind&secure != 0) || in.TLS != nil && (in.TLS.ServerName != "localhost" || in.TLS.Peer != nil) {
			t.Errorf("%s: TLS %+v", name, in.TLS)
		}
		if (in.Web != nil) != (kind&web != 0) || in.Web != nil && (in.Web.Path != "/play" || in.Web.Query != "room=7") {
			t.Errorf("%s: Web %+v", name, in.Web)
		}
		p.Close()
	}
	g.empty()
	if st := g.Stats(); st.Accepted != 4 || st.Ready != 4 {
		t.Errorf("%+v", st)
	}
}

// TestOneKindEach has a listener for each protocol alone, and clients of all of them.
func TestOneKindEach(t *testing.T) {
	clean(t)
	config, pool := serverTLS(t)
	for own, name := range kinds {
		hasty := start(t, nil, Options{FirstByte: time.Second, TLS: time.Second, Upgrade: time.Second, Auth: time.Second}, Config{TLS: config, Protocols: own})
		patient := start(t, nil, Options{}, Config{TLS: config, Protocols: own})
		for kind, other := range kinds {
			g := hasty // where the others come to an end
			if kind == own {
				g = patient
			}
			p, err := connect(t, g, kind, pool)
			if err == nil {
				err = p.talk("hello")
				p.Close()
			}
			if (err == nil) != (kind == own) {
				t.Errorf("%s at a listener for %s: %v", other, name, err)
			}
		}
		hasty.empty()
		patient.empty()
	}
}

func TestProtocolsSwitchedOff(t *testing.T) {
	clean(t)
	g := start(t, nil, Options{}, Config{Protocols: WS})
	c := g.dial()
	if _, err := c.Write([]byte("\x00\x05hello\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(c)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
		t.Errorf("packets got %q", answer)
	}
	g.refusedFor(BadRequest, 1)
	config, _ := serverTLS(t)
	g = start(t, nil, Options{}, Config{Protocols: WS | TLS, TLS: config})
	c = g.dial()
	if _, err := c.Write([]byte("\x00\x05hello")); err != nil {
		t.Fatal(err)
	}
	if err := ends(c); err != nil {
		t.Error(err)
	}
	g.refusedFor(BadProtocol, 1)
}

func TestClientCertificate(t *testing.T) {
	clean(t)
	config, pool := serverTLS(t)
	config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, pool
	g := start(t, nil, Options{}, Config{TLS: config})
	c := tls.Client(g.dial(), &tls.Config{
		RootCAs: pool, ServerName: "localhost", Certificates: config.Certificates, MinVersion: tls.VersionTLS12,
	})
	defer c.Close()
	if err := newPeer(c).talk("hello"); err != nil {
		t.Fatal(err)
	}
	if in := g.last(); in.TLS.Peer == nil || in.TLS.Peer.Subject.CommonName != "entry" {
		t.Errorf("%+v", in.TLS)
	}
}

// TestCaps fills a server, in all and for one address, and makes room again.
func TestCaps(t *testing.T) {
	for _, c := range []struct {
		opt Options
		why Reason
	}{
		{Options{Connections: 3}, Full},
		{Options{PerAddress: 3}, FullAddress},
	} {
		clean(t)
		g := start(t, nil, c.opt, Config{})
		var peers []*peer
		for range 3 {
			p := newPeer(g.dial())
			if err := p.talk("hello"); err != nil {
				t.Fatal(err)
			}
			peers = append(peers, p)
		}
		if err := g.turned(); err != nil {
			t.Errorf("%v: a fourth one: %v", c.why, err)
		}
		g.refusedFor(c.why, 1)
		peers[0].Close()
		eventually(t, "room for one", func() bool { return g.Stats().Connections == 2 })
		if err := newPeer(g.dial()).talk("hello"); err != nil {
			t.Errorf("%v: after one has gone: %v", c.why, err)
		}
		if st := g.Stats(); st.Connections != 3 || st.Addresses != 1 || st.Accepted != 4 {
			t.Errorf("%+v", st)
		}
		g.stop()
		if log := g.log.String(); !strings.Contains(log, c.why.String()) || !strings.Contains(log, "remote=127.0.0.1:") {
			t.Errorf("log %q", log)
		}
	}
}

func TestLogIsBounded(t *testing.T) {
	clean(t)
	g := start(t, nil, Options{Connections: -1, PerAddress: 1}, Config{})
	if err := newPeer(g.dial()).talk("hello"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	const n = 300
	for range n {
		if err := g.turned(); err != nil {
			t.Fatal(err)
		}
	}
	g.refusedFor(FullAddress, n)
	most := int(time.Since(began)/logEvery) + 1
	g.stop()
	if lines := strings.Count(g.log.String(), FullAddress.String()); lines == 0 || lines > most {
		t.Errorf("%d lines for %d refusals, want 1 to %d", lines, n, most)
	}
}

// TestGarbage throws any bytes at a server: it neither panics nor holds on to anything.
func TestGarbage(t *testing.T) {
	clean(t)
	rng := testutil.Rand(t)
	config, _ := serverTLS(t)
	g := start(t, nil, Options{}, Config{TLS: config, Handler: http.NotFoundHandler()})
	starts := []string{"", "\x16\x03\x01", "\x16\x03", "GET ", "GET / HTTP/1.1\r\n", "POST /", "\xff\xff", "\r\n\r\nQUIT"}
	for range 300 {
		b := []byte(starts[rng.IntN(len(starts))])
		for range rng.IntN(300) {
			b = append(b, byte(rng.Uint32()))
		}
		c := g.dial()
		_, _ = c.Write(b) // it may be ended already
		_ = c.(*net.TCPConn).CloseWrite()
		if err := ends(c); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		c.Close()
	}
	g.empty()
	if err := newPeer(g.dial()).talk("hello"); err != nil {
		t.Error(err)
	}
}

// TestLengthBomb declares packets that are larger than allowed.
func TestLengthBomb(t *testing.T) {
	clean(t)
	g := start(t, nil, Options{}, Config{})
	for _, bomb := range []string{"\xff\xff", "\x10\x01"} { // 65,535 bytes; 1 more than before auth
		c := g.dial()
		if _, err := c.Write([]byte(bomb)); err != nil {
			t.Fatal(err)
		}
		if err := ends(c); err != nil {
			t.Errorf("%x: %v", bomb, err)
		}
	}
	p, err := connect(t, g, WS, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("\x82\xff\x00\x00\x00\x7f\xff\xff\xff\xff\x01\x02\x03\x04")); err != nil {
		t.Fatal(err)
	}
	if err := ends(p.Conn); err != nil {
		t.Error(err)
	}
	g.empty()
}

func TestServeErrors(t *testing.T) {
	clean(t)
	if _, err := New(Options{}); err == nil {
		t.Error("without Accept: no error")
	}
	s, err := New(Options{Accept: func(*client.Conn, *Info) {}})
	if err != nil {
		t.Fatal(err)
	}
	closed := func(l net.Listener) {
		t.Helper()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the listener is not closed: %v", err)
		}
	}
	l := newPipes()
	if err := s.Serve(l, Config{Protocols: TLS}); err == nil {
		t.Error("TLS without a config: no error")
	}
	closed(l)
	l = newPipes()
	l.Close()
	if err := s.Serve(l, Config{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("with a listener that does not work: %v", err)
	}
	s.Close()
	l = newPipes()
	if err := s.Serve(l, Config{}); !errors.Is(err, ErrStopped) {
		t.Errorf("after Close: %v", err)
	}
	closed(l)
	s.Close()
}

// faulty is a listener whose first accepts fail.
type faulty struct {
	*pipes
	mu    sync.Mutex
	fails []error
}

func (l *faulty) Accept() (net.Conn, error) {
	l.mu.Lock()
	if len(l.fails) > 0 {
		err := l.fails[0]
		l.fails = l.fails[1:]
		l.mu.Unlock()
		return nil, err
	}
	l.mu.Unlock()
	return l.pipes.Accept()
}

// passing is a fault that says it will pass.
type passing struct{}

func (passing) Error() string   { return "passing" }
func (passing) Temporary() bool { return true }

func TestUsersListener(t *testing.T) {
	clean(t)
	l := &faulty{pipes: newPipes(), fails: []error{passing{}, fmt.Errorf("wrapped: %w", passing{}), passing{}}}
	g := start(t, l, Options{}, Config{})
	p := newPeer(l.dial(""))
	defer p.Close()
	if err := p.talk("hello"); err != nil {
		t.Fatal(err)
	}
	if in := g.last(); in.Transport != "pipe" || in.Remote.IsValid() {
		t.Errorf("%+v", in)
	}
	q := newPeer(l.dial("192.0.2.1:99"))
	defer q.Close()
	if err := q.upgrade(requestWith(getRoot)); err != nil {
		t.Fatal(err)
	}
	if err := q.talk("hello"); err != nil {
		t.Fatal(err)
	}
	if in := g.last(); in.Transport != "pipe+ws" || in.Remote != netip.MustParseAddrPort("192.0.2.1:99") {
		t.Errorf("%+v", in)
	}
}

// TestShutdown lets those in finish who are authenticated.
func TestShutdown(t *testing.T) {
	clean(t)
	l := listen(t)
	g := start(t, l, Options{}, Config{})
	in, early := newPeer(g.dial()), g.dial()
	if err := in.talk("hello"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are there", func() bool { return g.Stats().Connections == 2 })
	result := make(chan error, 1)
	go func() { result <- g.Shutdown(context.Background()) }()
	if err := ends(early); err != nil {
		t.Errorf("the one that is not authenticated: %v", err)
	}
	if !silent(t, l) {
		t.Error("it still listens")
	}
	if err := in.talk("still here"); err != nil {
		t.Errorf("the one that is authenticated: %v", err)
	}
	in.Close()
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestShutdownHasAnEnd(t *testing.T) {
	clean(t)
	g := start(t, nil, Options{}, Config{})
	p := newPeer(g.dial())
	if err := p.talk("hello"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Shutdown(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 connection") {
		t.Errorf("%v", err)
	}
	if err := ends(p.Conn); err != nil {
		t.Error(err)
	}
	g.refusedFor(Stopped, 1)
}

// TestAcceptReturns: what the owner leaves behind is closed.
func TestAcceptReturns(t *testing.T) {
	clean(t)
	g := start(t, nil, Options{Accept: func(*client.Conn, *Info) {}}, Config{})
	c := g.dial()
	if _, err := c.Write([]byte("\x00\x01x")); err != nil {
		t.Fatal(err)
	}
	if err := ends(c); err != nil {
		t.Error(err)
	}
	g.empty()
}

// TestRun serves a connection that did not come from a listener.
func TestRun(t *testing.T) {
	clean(t)
	g := start(t, nil, Options{Connections: 1, Auth: time.Second}, Config{})
	setup, err := client.Prepare(client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	run := func() (net.Conn, chan error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		near := dial(t, l.Addr().String())
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.New(far, setup, client.Link{})
		if err != nil {
			t.Fatal(err)
		}
		result := make(chan error, 1)
		go func() { result <- g.Run(c, Info{Transport: "handed", Remote: netip.MustParseAddrPort("192.0.2.1:5")}) }()
		return near, result
	}
	var done chan error
	first := g.quick(func() (*peer, error) {
		var near net.Conn
		near, done = run()
		p := newPeer(near)
		return p, p.talk("hello")
	})
	if in := g.last(); in.Transport != "handed" {
		t.Errorf("%+v", in)
	}
	second, done2 := run() // above the cap; and it stays silent
	if err := ends(second); err != nil {
		t.Error(err)
	}
	if err := <-done2; err != nil {
		t.Error(err)
	}
	g.refusedFor(LateAuth, 1+g.tooSlow)
	first.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	g.Stop()
	third, done3 := run()
	if err := <-done3; !errors.Is(err, ErrStopped) {
		t.Errorf("after Stop: %v", err)
	}
	if err := ends(third); err != nil {
		t.Error(err)
	}
}
