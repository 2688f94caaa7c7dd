// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/internal/testutil"
)

// patience is how long a test waits for what has to come.
const patience = 90 * time.Second

// eventually waits until ok says so.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// A gateway is a Server in a test: clients are authenticated by their first packet, and
// every packet is sent back to them.
type gateway struct {
	*Server
	t      testing.TB
	addr   string
	served chan error
	once   sync.Once
	log    *bytes.Buffer // read it after stop

	mu    sync.Mutex
	infos []Info

	tooSlow uint64 // clients of the test that were refused, for the machine was slow
}

// unhurried returns options without the limits that a test does not name: on a machine that stands still anybody exceeds them.
func unhurried(o Options) Options {
	for _, limit := range []*time.Duration{&o.FirstByte, &o.TLS, &o.Upgrade, &o.Auth, &o.HalfPacket} {
		defaults(limit, -1)
	}
	return o
}

// start serves a listener, without limits that are not named; nil: one of TCP.
func start(t testing.TB, l net.Listener, opt Options, cfg Config) *gateway {
	t.Helper()
	return startWith(t, l, unhurried(opt), cfg)
}

// startWith is start with the default limits.
func startWith(t testing.TB, l net.Listener, opt Options, cfg Config) *gateway {
	t.Helper()
	if l == nil {
		l = listen(t)
	}
	g := &gateway{t: t, addr: l.Addr().String(), served: make(chan error, 1), log: new(bytes.Buffer)}
	if opt.Accept == nil {
		opt.Accept = g.echo
	}
	opt.Log = slog.New(slog.NewTextHandler(g.log, nil))
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	g.Server = s
	go func() { g.served <- s.Serve(l, cfg) }()
	t.Cleanup(g.stop)
	return g
}

// stop closes the server, and checks that nothing of it is left. The test's end does it, too.
func (g *gateway) stop() { g.once.Do(g.stopOnce) }

func (g *gateway) stopOnce() {
	g.Close()
	if err := <-g.served; err != nil {
		g.t.Errorf("Serve: %v", err)
	}
	if st := g.Stats(); st.Connections != 0 || st.Early != 0 || st.Addresses != 0 {
		g.t.Errorf("after Close: %+v", st)
	}
}

func (g *gateway) echo(c *client.Conn, in *Info) {
	g.mu.Lock()
	g.infos = append(g.infos, *in)
	g.mu.Unlock()
	_ = c.Serve(func(packets [][]byte) error {
		in.Authenticated()
		for _, p := range packets {
			send(c, p)
		}
		return nil
	})
}

// last returns what is known of the connection that was served last.
func (g *gateway) last() (in Info) {
	g.t.Helper()
	eventually(g.t, "a connection to be served", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.infos) == 0 {
			return false
		}
		in = g.infos[len(g.infos)-1]
		return true
	})
	return in
}

// quick returns a client that was served within the limits: on a slow machine not at once.
func (g *gateway) quick(open func() (*peer, error)) (p *peer) {
	g.t.Helper()
	eventually(g.t, "a client to be quick enough", func() bool {
		var err error
		if p, err = open(); err != nil {
			g.tooSlow++
		}
		return err == nil
	})
	return p
}

// silent checks that a server has let go of its listener. (A connect could reach somebody else, who has the port by now.)
func silent(t testing.TB, l net.Listener) bool {
	t.Helper()
	return errors.Is(l.(*net.TCPListener).SetDeadline(time.Time{}), net.ErrClosed)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// refusedFor waits until a reason has been counted n times, and nothing else at all.
func (g *gateway) refusedFor(why Reason, n uint64) {
	g.t.Helper()
	eventually(g.t, fmt.Sprintf("%d refused for %v", n, why), func() bool { return g.Stats().Refused[why] >= n })
	for _, r := range Reasons() {
		want := uint64(0)
		if r == why {
			want = n
		}
		if got := g.Stats().Refused[r]; got != want {
			g.t.Errorf("%d refused for %v, want %d", got, r, want)
		}
	}
}

// empty waits until no connection is left.
func (g *gateway) empty() {
	g.t.Helper()
	eventually(g.t, "all connections gone", func() bool { return g.Stats().Connections == 0 })
}

func (g *gateway) dial() net.Conn { return dial(g.t, g.addr) }

// turned reports how a connection was ended that is not to be served: while it is being
// made, perhaps.
func (g *gateway) turned() error {
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		return nil //nolint:nilerr // reset before it was made
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	return ends(c)
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// A peer is a test's client: it writes and reads packets in its way.
type peer struct {
	net.Conn
	r  *bufio.Reader
	ws bool
}

func newPeer(c net.Conn) *peer { return &peer{Conn: c, r: bufio.NewReader(c)} }

// open makes a peer that speaks one of the four protocols.
func open(addr string, kind Protocols, config *tls.Config) (*peer, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	p, err := speak(c, kind, config)
	if err != nil {
		c.Close()
	}
	return p, err
}

// speak does what comes before the first packet.
func speak(c net.Conn, kind Protocols, config *tls.Config) (*peer, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if kind&secure != 0 {
		tc := tls.Client(c, config)
		if err := tc.Handshake(); err != nil {
			return nil, err
		}
		c = tc
	}
	p := newPeer(c)
	if kind&web != 0 {
		if err := p.upgrade(requestWith("GET /play?room=7 HTTP/1.1")); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request and reads the response; with "" it is sent by somebody else. One that
// upgrades to WebSocket has the peer speak that.
func (p *peer) ask(head string) (a answer, err error) {
	if head != "" { // to a pipe, a write of nothing waits too
		if _, err := io.WriteString(p, head); err != nil {
			return a, err
		}
	}
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a = answer{status: resp.StatusCode, header: resp.Header}
	if a.status != http.StatusSwitchingProtocols {
		b, err := io.ReadAll(resp.Body)
		a.body = string(b)
		return a, err
	}
	p.ws = true
	if got := resp.Header.Get("Sec-WebSocket-Accept"); got != sampleAccept {
		err = fmt.Errorf("Sec-WebSocket-Accept %q, want %q", got, sampleAccept)
	}
	return a, err
}

// upgrade is ask, and demands that WebSocket is spoken from then on.
func (p *peer) upgrade(head string) error {
	a, err := p.ask(head)
	if err == nil && !p.ws {
		err = fmt.Errorf("status %d, %q, want an upgrade", a.status, a.body)
	}
	return err
}

// bytes returns a packet as it goes over the wire.
func (p *peer) bytes(packet string) []byte {
	if p.ws {
		h := frame.WSHeader{Fin: true, Opcode: frame.OpBinary, Masked: true, Key: [4]byte{1, 2, 3, 4}}
		return frame.AppendWSFrame(nil, h, []byte(packet))
	}
	b, _ := frame.Length2.Append(nil, []byte(packet))
	return b
}

// talk sends a packet, and demands it back.
func (p *peer) talk(packet string) error {
	if _, err := p.Write(p.bytes(packet)); err != nil {
		return err
	}
	got, err := p.read()
	if err == nil && got != packet {
		err = fmt.Errorf("got %q back, want %q", got, packet)
	}
	return err
}

// read reads one packet.
func (p *peer) read() (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return "", err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if p.ws { // a frame of less than 126 bytes, without a mask
		if head[0] != 0x82 && head[0] != 0x81 || head[1] > 125 {
			return "", fmt.Errorf("a frame begins with %x", head)
		}
		n = int(head[1])
	}
	b := make([]byte, n)
	_, err := io.ReadFull(p.r, b)
	return string(b), err
}

// ends reports how a connection was ended by the server.
func ends(c net.Conn) error {
	_, err := io.Copy(io.Discard, c)
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		return fmt.Errorf("it is still there: %w", err)
	}
	return nil
}

// pipes is a listener of a user's: its connections have no descriptor, and each
// Write of the client is one Read of the server.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (*pipes) Addr() net.Addr { return pipeAddr{} }

// dial returns the client's end of a connection. from is the address that it seems to come from;
// "": none.
func (l *pipes) dial(from string) net.Conn {
	a, b := net.Pipe()
	if from == "" {
		l.conns <- b
		return a
	}
	l.conns <- addressed{b, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}
	return a
}

// addressed is a connection from another address.
type addressed struct {
	net.Conn
	remote net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.remote }

type noHandler struct{}

func (noHandler) ServeHTTP(http.ResponseWriter, *http.Request) {}

// serverTLS makes a config with a certificate for localhost, which is good for
// clients, too, and the pool that trusts it.
func serverTLS(t testing.TB) (*tls.Config, *x509.CertPool) {
	t.Helper()
	config, err := newTLS()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(config.Certificates[0].Leaf)
	return config, pool
}

func newTLS() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "entry"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}},
	}, nil
}

// clean is what every test with connections begins with: nothing may be left behind.
func clean(t *testing.T) {
	t.Helper()
	testutil.NoLeaks(t)
	before := descriptors()
	t.Cleanup(func() {
		eventually(t, fmt.Sprintf("%d descriptors as before", before), func() bool { return descriptors() <= before })
	})
}

// descriptors returns how many descriptors this process has open; 0 where that cannot be seen.
func descriptors() int {
	names, _ := filepath.Glob("/proc/self/fd/*")
	n := 0
	for _, name := range names {
		if _, err := os.Readlink(name); err == nil {
			n++
		}
	}
	return n
}
