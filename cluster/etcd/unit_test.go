// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/internal/testutil"
)

func TestLifeValues(t *testing.T) {
	for value, want := range map[string]life{
		`{"v":1,"life":"00c0ffee00c0ffee","base":7}`:                         {id: 0xc0ffee00c0ffee, base: 7},
		`{"v":2,"life":"ffffffffffffffff","base":9223372036854775807,"x":1}`: {id: 1<<64 - 1, base: maxBase},
		`{"v":1,"life":"0000000000000001"}`:                                  {id: 1},
		`{"v":1,"life":"0000000000000000"}`:                                  {},
		`{"v":1,"life":"1"}`:                                                 {},
		`{"v":0,"life":"0000000000000001"}`:                                  {},
		`{"life":"0000000000000001"}`:                                        {},
		`{"v":1,"life":"000000000000000g"}`:                                  {},
		`{"v":1,"life":"0000000000000001","base":9223372036854775808}`:       {},
		`{"v":1,"life":"0000000000000001","base":-1}`:                        {},
		`17`: {}, ``: {}, `{`: {}, "\x00\xff": {},
	} {
		id, base, err := parseLife([]byte(value))
		if id != want.id || base != want.base || (err == nil) != (want.id != 0) {
			t.Errorf("%s: life %x of base %d, %v; want %x of %d", value, id, base, err, want.id, want.base)
		}
	}
}

func FuzzLifeValue(f *testing.F) {
	for _, s := range []string{`{"v":1,"life":"00c0ffee00c0ffee","base":7}`, `{"v":1,"life":"1"}`, `[]`, `{"v":1,"life":"-000000000000001"}`, `{"v":1,"life":"+0x0000000000001"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		id, base, err := parseLife(b)
		if err == nil && (id == 0 || base > maxBase) || err != nil && (id != 0 || base != 0) {
			t.Errorf("%q: life %x of base %d, %v", b, id, base, err)
		}
	})
}

// The base is above all that was before, also if the clock goes back, and leaves room above it.
func TestBaseOfTheNextLife(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	at := uint64(1_700_000_000_000) << 20
	for _, test := range []struct{ base, revision, want uint64 }{
		{0, 0, at}, {0, 5, at}, {at - 10, 5, at}, {at, 5, at + 5}, {at * 2, 7, at*2 + 7}, {maxBase, 0, maxBase}, {maxBase, 100, maxBase}, {maxBase, maxBase, maxBase},
	} {
		if got := nextBase(test.base, test.revision, now); got != test.want {
			t.Errorf("after base %d with revision %d: %d, want %d", test.base, test.revision, got, test.want)
		}
	}
	if got := nextBase(0, 3, time.UnixMilli(-5)); got != 3 {
		t.Errorf("before 1970: %d, want 3", got)
	}
}

func TestVersionsThatTellProgress(t *testing.T) {
	for version, want := range map[string]bool{
		"3.4.23": false, "3.4.24": false, "3.4.25": true, "3.4.40": true, "3.5.7": false, "3.5.8": true, "3.5.16-rc.1": true, "3.6.0": true, "3.7.3": true, "4.0.0": true,
		"3.3.99": false, "2.9.9": false, "": false, "3": false, "x.y.z": false, "not_decided": false,
	} {
		if got := tellsProgress(version); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		err, want error
		again     bool
	}{
		{rpctypes.ErrGRPCCompacted, cluster.ErrCompacted, false},
		{rpctypes.ErrFutureRev, cluster.ErrCompacted, false},
		{rpctypes.ErrGRPCLeaseNotFound, cluster.ErrLeaseLost, false},
		{rpctypes.ErrLeaseNotFound, cluster.ErrLeaseLost, false},
		{rpctypes.ErrRequestTooLarge, cluster.ErrLimit, false},
		{rpctypes.ErrGRPCTooManyOps, cluster.ErrLimit, false},
		{rpctypes.ErrGRPCNoSpace, cluster.ErrUnavailable, true},
		{rpctypes.ErrGRPCCorrupt, cluster.ErrUnavailable, false},
		{rpctypes.ErrGRPCPermissionDenied, cluster.ErrUnavailable, false},
		{rpctypes.ErrGRPCNoLeader, cluster.ErrUnavailable, true},
		{rpctypes.ErrTimeout, cluster.ErrUnavailable, true},
		{status.Error(codes.Unavailable, "connection refused"), cluster.ErrUnavailable, true},
		{fmt.Errorf("%w: why", errSilent), cluster.ErrUnavailable, true},
	} {
		if got := explain(test.err); !errors.Is(got, test.want) {
			t.Errorf("%v: %v, want %v", test.err, got, test.want)
		}
		if got := transient(test.err); got != test.again {
			t.Errorf("%v: another attempt %v", test.err, got)
		}
	}
}

// A connection that waits for an answer is given up, one that has had its answer is not.
func TestConnectionsThatWait(t *testing.T) {
	testutil.NoLeaks(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := newLines()
	pair := func() (line, far net.Conn) {
		t.Helper()
		l, err := s.dial(t.Context(), ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		far, err = ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			l.Close()
			far.Close()
		})
		return l, far
	}
	write := func(c net.Conn) {
		t.Helper()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	idle, _ := pair()
	waiting, _ := pair()
	write(waiting)
	answered, far := pair()
	write(answered)
	write(far)
	if _, err := io.ReadFull(answered, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	s.cull(time.Hour)
	if len(s.all) != 3 {
		t.Fatalf("%d connections are left, want 3", len(s.all))
	}
	s.cull(0)
	if len(s.all) != 2 {
		t.Fatalf("%d connections are left, want 2", len(s.all))
	}
	if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the one that waits: %v", err)
	}
	write(idle)
	write(answered)
}
