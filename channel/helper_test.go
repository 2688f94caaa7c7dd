// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/ring"
)

const testKey = 1000

// The addresses of the tests.
const (
	addrA addr.Addr = 1 + iota
	addrB
	addrC
	addrD
)

// A domain opens a new domain for a test.
func newDomain(t testing.TB, cfg Config) *Table {
	t.Helper()
	return reopenDomain(t, testutil.Dir(t), cfg)
}

// reopenDomain opens the domain under root once more: another process would see
// it as this second Table does.
func reopenDomain(t testing.TB, root string, cfg Config) *Table {
	t.Helper()
	table := must(Open(root, testKey, cfg, true))(t)
	t.Cleanup(table.Close)
	return table
}

// root returns the folder that a table's domain was opened under.
func rootOf(table *Table) string { return table.dir[:len(table.dir)-len("/skybus-1000")] }

// must takes what a call returned and stops the test if that is an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got the error %v, want %v", err, kind)
	}
}

func bind(t testing.TB, table *Table, a addr.Addr) *Binding {
	t.Helper()
	b := must(table.Bind(a))(t)
	t.Cleanup(b.Close)
	return b
}

// An end is an address with its reader.
type end struct {
	*Binding
	drain *Drain
}

func bindReader(t testing.TB, table *Table, a addr.Addr) end {
	t.Helper()
	b := bind(t, table, a)
	d := must(b.Drain())(t)
	t.Cleanup(d.Close)
	return end{b, d}
}

func newSender(t testing.TB, table *Table, src, dst addr.Addr) *Sender {
	t.Helper()
	s := must(table.NewSender(Pair{src, dst}))(t)
	t.Cleanup(s.Close)
	return s
}

// pair binds two addresses of a new domain and opens the lane between them.
func newPair(t testing.TB, cfg Config) (*Table, *Sender, end) {
	t.Helper()
	table := newDomain(t, cfg)
	to := bindReader(t, table, addrB)
	bind(t, table, addrA)
	return table, newSender(t, table, addrA, addrB), to
}

// next takes the next message as Recv does; nil when there is none.
func (e end) next() []byte {
	var recs [1]ring.Record
	r, n := e.drain.Next(recs[:], true)
	if n == 0 {
		return nil
	}
	data := slices.Clone(recs[0].Data)
	r.Accept(&recs)
	return data
}

// all takes everything that is ready.
func (e end) all() (list [][]byte) {
	for b := e.next(); b != nil; b = e.next() {
		list = append(list, b)
	}
	return list
}

// payload makes the k-th message, of n bytes and at least 12: its number, a
// checksum, and a filling that depends on both.
func payload(k, n int) []byte {
	b := make([]byte, max(n, 12))
	for i := range b {
		b[i] = byte(k + i*7)
	}
	binary.LittleEndian.PutUint64(b[4:], uint64(k))
	binary.LittleEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return b
}

// number returns which message b is, and false if it is torn.
func number(b []byte) (int, bool) {
	if len(b) < 12 || binary.LittleEndian.Uint32(b) != crc32.ChecksumIEEE(b[4:]) {
		return 0, false
	}
	return int(binary.LittleEndian.Uint64(b[4:])), true
}

// wantNumbers checks that list holds the messages from first up to below end, in order.
func wantNumbers(t testing.TB, list [][]byte, first, end int) {
	t.Helper()
	for i, b := range list {
		if k, ok := number(b); !ok || k != first+i {
			t.Fatalf("message %d is number %d (whole: %v), want %d", i, k, ok, first+i)
		}
	}
	if len(list) != end-first {
		t.Fatalf("%d messages, want %d", len(list), end-first)
	}
}

// clean fails the test if Check finds anything.
func wantClean(t testing.TB, table *Table) {
	t.Helper()
	for _, v := range table.Check() {
		t.Errorf("check: %v", v)
	}
}

// giveBack makes the sender give its empty lane back as if it had idled.
func giveBack(t testing.TB, s *Sender) {
	t.Helper()
	now := time.Now()
	s.GiveBack(now)
	if !s.GiveBack(now.Add(time.Hour)) {
		t.Fatal("the lane was not given back")
	}
}

// child returns a command that runs what children has under name.
func child(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}
