// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/internal/testutil"
)

// A stranger speaks to the socket with bare hands.
type stranger struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (h *host) stranger() *stranger {
	h.t.Helper()
	c, err := net.Dial("unix", filepath.Join(h.folder, Socket))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return &stranger{h.t, c, bufio.NewReader(c)}
}

func (s *stranger) send(f frame) {
	s.t.Helper()
	if err := s.try(&f); err != nil {
		s.t.Fatal(err)
	}
}

// try is send for one that may be hung up on.
func (s *stranger) try(f *frame) error {
	buf, err := appendFrame(nil, f)
	if err == nil {
		_, err = s.Write(buf)
	}
	return err
}

func (s *stranger) answer() *frame {
	s.t.Helper()
	n, err := readLength(s.r)
	if err != nil {
		s.t.Fatal(err)
	}
	f, err := readBody(s.r, n)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// hungUp wants the other side to end the connection.
func (s *stranger) hungUp(why string) {
	s.t.Helper()
	if _, err := io.Copy(io.Discard, s.r); errors.Is(err, os.ErrDeadlineExceeded) {
		s.t.Errorf("%s: the connection stays", why)
	}
}

func (s *stranger) hello() {
	s.t.Helper()
	s.send(frame{ID: 1, Op: opHello, Version: version, Client: "stranger"})
	if a := s.answer(); a.Code != codeOK || a.Life == 0 {
		s.t.Fatalf("hello: %+v", a)
	}
}

// What makes no sense ends the connection it came on, and nothing else.
func TestStrangersAreHungUpOn(t *testing.T) {
	testutil.NoLeaks(t)
	h := newHost(t, Limits{})
	p := h.dial()
	hello, err := appendFrame(nil, &frame{ID: 1, Op: opHello, Version: 1, Client: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for why, bytes := range map[string]string{
		"text":                 "GET / HTTP/1.1\r\n\r\n",
		"a length of nothing":  "\x00\x00\x00\x00",
		"a length of 4 GiB":    "\xff\xff\xff\xff",
		"no CBOR":              "\x02\x00\x00\x00\xff\xff",
		"no hello":             "\x05\x00\x00\x00\xa2\x01\x01\x02\x08",
		"a hello of nobody":    "\x07\x00\x00\x00\xa3\x01\x01\x02\x01\x05\x01",
		"nonsense after hello": string(hello) + "\x03\x00\x00\x00abc",
	} {
		s := h.stranger()
		if _, err := s.Write([]byte(bytes)); err != nil {
			t.Fatal(err)
		}
		s.hungUp(why)
	}
	if _, err := p.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("/a", nil, 0)}}); err != nil {
		t.Error(err)
	}
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	testutil.NoLeaks(t)
	h := newHost(t, Limits{})
	s := h.stranger()
	s.hello()
	for i, test := range []struct {
		f    frame
		code uint8
	}{
		{frame{Op: 77}, codeRequest},
		{frame{Op: opHello, Version: 1, Client: "again"}, codeRequest},
		{frame{Op: opGrant, TTL: 1}, codeLimit},
		{frame{Op: opRenew, Lease: 1}, codeLease},
		{frame{Op: opCommit, Do: []wireOp{{Key: ""}}}, codeRequest},
		{frame{Op: opCommit, Do: make([]wireOp, 10_000)}, codeLimit},
		{frame{Op: opCommit, Do: []wireOp{{Key: "a", Lease: 99}}}, codeLease},
		{frame{Op: opGet, Key: "a", Revision: 1}, codeCompacted},
		{frame{Op: opPoll, Key: "a", Revision: 1 << 63}, codeCompacted},
		{frame{Op: opRevoke, Lease: 99}, codeOK},
		{frame{Op: opGet, Prefix: true}, codeOK},
	} {
		test.f.ID = uint64(i + 10)
		s.send(test.f)
		if a := s.answer(); a.Code != test.code || a.ID != test.f.ID || (a.Text == "") != (a.Code == codeOK) {
			t.Errorf("%+v: %+v, want code %d", test.f, a, test.code)
		}
	}
}

func TestConnectionsAndPollsAreCounted(t *testing.T) {
	testutil.NoLeaks(t)
	h := newHost(t, Limits{Connections: 3, Polls: 2})
	p := h.dial()
	if _, err := p.Get(t.Context(), cluster.Query{Key: "/"}); err != nil {
		t.Fatal(err)
	}
	a, b := h.stranger(), h.stranger()
	a.hello()
	b.hello()
	h.stranger().hungUp("a fourth connection")
	rev := h.e.store.Stats().Revision
	for i := range 3 {
		a.send(frame{ID: uint64(i + 2), Op: opPoll, Key: "/", Revision: rev})
	}
	if first := a.answer(); first.ID != 4 || first.Code != codeLimit {
		t.Errorf("a third poll: %+v", first)
	}
	a.Close()
	for { // its place is free soon
		s := h.stranger()
		if s.try(&frame{ID: 1, Op: opHello, Version: version, Client: "next"}) != nil {
			continue
		}
		if _, err := readLength(s.r); err == nil {
			return
		}
	}
}

// One that writes requests and does not read answers is hung up on; others go on meanwhile.
func TestOneThatDoesNotRead(t *testing.T) {
	testutil.NoLeaks(t)
	h := newHost(t, Limits{})
	p := h.dial()
	for i := range 8 {
		if _, err := p.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put(fmt.Sprint("/", i), make([]byte, 60_000), 0)}}); err != nil {
			t.Fatal(err)
		}
	}
	s := h.stranger()
	s.hello()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		buf, _ := appendFrame(nil, &frame{ID: 2, Op: opGet, Key: "/", Prefix: true})
		for {
			if _, err := s.Write(buf); err != nil {
				return
			}
		}
	}()
	for over := false; !over; {
		if _, err := p.Get(t.Context(), cluster.Query{Key: "/", Prefix: true}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-gone:
			over = true
		default:
		}
	}
}

// The socket lets in whom the domain lets in.
func TestTheSocketsAccess(t *testing.T) {
	h := newHost(t, Limits{})
	info, err := os.Stat(filepath.Join(h.folder, Socket))
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := h.e.Serve(filepath.Join(h.folder, "none"), ServerConfig{}); err == nil {
		t.Error("a folder that is not there can be served")
	}
}
