// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/relay/link"
)

// tcpPair returns both ends of a connection on loopback.
func tcpPair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// ownCertificate returns a certificate that nobody else has signed.
func ownCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// sockPair returns a sock, and the end that the other side reads from.
func sockPair(t *testing.T, secure bool) (*sock, net.Conn) {
	t.Helper()
	a, b := tcpPair(t)
	s, err := newSock(a)
	if err != nil {
		t.Fatal(err)
	}
	if !secure {
		return s, b
	}
	server := tls.Server(b, &tls.Config{
		Certificates: []tls.Certificate{ownCertificate(t)}, MinVersion: tls.VersionTLS13,
		SessionTicketsDisabled: true, // bytes that nobody reads make of the end of a connection a reset
	})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	sec, client := s.secure(func(c net.Conn) *tls.Conn {
		return tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}) //nolint:gosec // it is about bytes
	})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	sec.gather.keep()
	return sec, server
}

// eachSock runs f without TLS, and with it.
func eachSock(t *testing.T, f func(t *testing.T, s *sock, far net.Conn)) {
	for _, c := range []struct {
		name   string
		secure bool
	}{{"plain", false}, {"TLS", true}} {
		t.Run(c.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			s, far := sockPair(t, c.secure)
			f(t, s, far)
		})
	}
}

// Small batches and large ones, those that the socket takes at once and those that it
// does not, arrive whole and in order.
func TestBatchesArriveInOrder(t *testing.T) {
	eachSock(t, func(t *testing.T, s *sock, far net.Conn) {
		rnd := testutil.Rand(t)
		var sent []byte
		var batches [][][]byte
		for range 300 {
			var batch [][]byte
			for range 1 + rnd.IntN(3) {
				p := make([]byte, 1+rnd.IntN(1<<(4+rnd.IntN(13))))
				for i := range p {
					p[i] = byte(rnd.Uint32())
				}
				batch = append(batch, p)
				sent = append(sent, p...)
			}
			batches = append(batches, batch)
		}
		done := make(chan error, 1)
		go func() {
			var err error
			for _, b := range batches {
				rest, more, terr := s.try(b)
				if err = terr; err == nil && more {
					err = s.writeAll(rest)
				}
				if err != nil {
					break
				}
			}
			s.Close()
			done <- err
		}()
		got, err := io.ReadAll(far)
		if err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes arrived, and not the %d that were sent", len(got), len(sent))
		}
	})
}

// A far side that does not read holds nobody up: try says that there is more.
func TestTryDoesNotWaitForTheSocket(t *testing.T) {
	eachSock(t, func(t *testing.T, s *sock, far net.Conn) {
		var sent []byte
		var rest [][]byte
		for more := false; !more; {
			p := bytes.Repeat([]byte{byte(len(sent) >> 10)}, 1<<10)
			sent = append(sent, p...)
			if len(sent) > 64<<20 {
				t.Fatal("the socket takes everything, though nobody reads")
			}
			var err error
			if rest, more, err = s.try([][]byte{p}); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error, 1)
		go func() {
			err := s.writeAll(rest)
			s.Close()
			done <- err
		}()
		got, err := io.ReadAll(far)
		if err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes arrived, and not the %d that were sent", len(got), len(sent))
		}
	})
}

// What takes long to encrypt is left to writeAll.
func TestTryLeavesLargeBatches(t *testing.T) {
	testutil.NoLeaks(t)
	s, _ := sockPair(t, true)
	large := [][]byte{make([]byte, encryptAtOnce), {1}}
	if rest, more, err := s.try(large); len(rest) != 2 || !more || err != nil {
		t.Errorf("try of %d bytes: %d pieces are left, more %v, %v; want both, true", size(large), len(rest), more, err)
	}
	if _, more, err := s.try(large[:1]); more || err != nil {
		t.Errorf("try of %d bytes: more %v, %v; want them written", encryptAtOnce, more, err)
	}
}

// TLS writes by itself while it reads. That must not wait for a batch that the
// socket does not take, and comes behind it.
func TestGathererWritesBesidesABatch(t *testing.T) {
	testutil.NoLeaks(t)
	s, far := sockPair(t, true)
	g := s.gather
	left := func() int {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.buf)
	}
	write := func(p []byte) {
		if n, err := g.Write(p); n != len(p) || err != nil {
			t.Fatalf("Write of %d bytes: %d, %v", len(p), n, err)
		}
	}
	alert := []byte("alert")
	if write(alert); left() != 0 {
		t.Error("kept, though the socket would take it")
	}
	g.begin()
	batch := make([]byte, 64<<20)
	write(batch)
	g.end()
	if more, err := g.push(); !more || err != nil {
		t.Fatalf("push of %d bytes: more %v, %v; want more, for nobody reads", len(batch), more, err)
	}
	done := make(chan error, 1)
	go func() { done <- g.drain() }()
	for draining := false; !draining; runtime.Gosched() {
		g.mu.Lock()
		draining = g.draining
		g.mu.Unlock()
	}
	if write(alert); left() != len(alert) {
		t.Errorf("%d bytes are kept for whoever drains, want %d", left(), len(alert))
	}
	want := slices.Concat(alert, batch)
	if got := readBytes(t, far, len(want)); !bytes.Equal(got, want) {
		t.Error("what arrived is not what was written")
	}
	if err := <-done; err != nil || left() != 0 {
		t.Fatalf("drain: %v, %d bytes are left", err, left())
	}
	if got := readBytes(t, far, len(alert)); !bytes.Equal(got, alert) {
		t.Errorf("behind the batch came %q", got)
	}
	if write(alert); left() != 0 {
		t.Error("kept, though nobody drains any more")
	}
}

// readBytes reads below TLS.
func readBytes(t *testing.T, far net.Conn, n int) []byte {
	t.Helper()
	got := make([]byte, n)
	if _, err := io.ReadFull(far.(*tls.Conn).NetConn(), got); err != nil {
		t.Fatal(err)
	}
	return got
}

// Whoever is hung up on sees an end in good order.
func TestHangUpEndsInGoodOrder(t *testing.T) {
	eachSock(t, func(t *testing.T, s *sock, far net.Conn) {
		if _, _, err := s.try([][]byte{[]byte("bye")}); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.hangUp()
			s.Close()
		}()
		got, err := io.ReadAll(far)
		if string(got) != "bye" || err != nil {
			t.Errorf("read %q, %v; want the last words, and an end without error", got, err)
		}
		far.Close()
		<-done
	})
}

// A peer that is silent is given up also while a write waits for it.
func TestASilentPeerIsGivenUpDuringAWrite(t *testing.T) {
	eachSock(t, func(t *testing.T, s *sock, far net.Conn) {
		d := &Daemon{began: time.Now()}
		c := &conn{d: d, sock: s, busy: true}
		c.sess = link.New(&link.Config{Handshake: int64(time.Hour)}, nil, d.now())
		c.timer = time.AfterFunc(time.Hour, func() {})
		defer c.timer.Stop()
		written := make(chan error, 1)
		go func() { written <- s.writeAll([][]byte{make([]byte, 64<<20)}) }()
		c.flush()
		if c.sess.Err() != nil {
			t.Fatal("given up at once")
		}
		if len(c.out.Segments) > 0 {
			t.Fatal("written beside whoever writes")
		}
		d.epoch += int64(time.Hour) // the sessions' clock goes on
		c.flush()
		if c.sess.Err() == nil {
			t.Error("not given up while somebody writes")
			s.Close()
		}
		if err := <-written; err == nil {
			t.Error("64 MiB were written, though nobody reads")
		}
	})
}
