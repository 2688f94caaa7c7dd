// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/testutil"
)

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name string
		key  int
		o    skybus.Options
		want string
	}{
		{"key 0", 0, skybus.Options{}, "domain key 0: want 1 to 2147483647"},
		{"a negative key", -1, skybus.Options{}, "domain key -1"},
		{"a key of 32 bits", 1 << 31, skybus.Options{}, "domain key 2147483648"},
		{"an unknown user", key, skybus.Options{User: "nobody-of-that-name"}, `user "nobody-of-that-name"`},
		{"an unknown group", key, skybus.Options{Group: "-5"}, `group "-5"`},
		{"too many lanes", key, skybus.Options{Limits: skybus.Limits{MaxLanes: 1 << 20}}, "MaxLanes 1048576"},
		{"a message limit below 0", key, skybus.Options{Limits: skybus.Limits{MaxMessage: -1}}, "MaxMessage -1"},
		{"too much growth", key, skybus.Options{Limits: skybus.Limits{GrowBytes: 1 << 40}}, "GrowBytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.o.Root = testutil.Dir(t)
			d, err := skybus.Open(test.key, test.o)
			if err == nil {
				d.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got the error %q, want one with %q", err, test.want)
			}
			if entries, _ := os.ReadDir(test.o.Root); len(entries) > 0 {
				t.Errorf("left %v behind", entries)
			}
		})
	}
}

func TestOpenMustExist(t *testing.T) {
	root := testutil.Dir(t)
	_, err := skybus.Open(key, skybus.Options{Root: root, MustExist: true})
	want(t, err, skybus.ErrNoDomain)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(key)) {
		t.Errorf("%v does not name the key", err)
	}
	if entries, _ := os.ReadDir(root); len(entries) > 0 {
		t.Errorf("left %v behind", entries)
	}
	open(t, skybus.Options{Root: root})
	d, err := skybus.Open(key, skybus.Options{Root: root, MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

func TestOpenTakesRootFromEnvironment(t *testing.T) {
	root := testutil.Dir(t)
	t.Setenv("SKYBUS_ROOT", root)
	d, err := skybus.Open(key, skybus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if rootOf(d) != root {
		t.Errorf("the domain is in %s, want %s", rootOf(d), root)
	}
}

// TestOpenOtherLayout: a build with another layout version refuses the domain
// and changes nothing.
func TestOpenOtherLayout(t *testing.T) {
	err := openSpoiled(t, func(table []byte) []byte { table[8]++; return table })
	want(t, err, skybus.ErrLayout)
}

func TestOpenDamagedTable(t *testing.T) {
	tests := map[string]func(table []byte) []byte{
		"magic":            func(b []byte) []byte { b[0] ^= 0xff; return b },
		"checksum":         func(b []byte) []byte { b[12] ^= 0xff; return b },
		"size":             func(b []byte) []byte { b[16] ^= 0xff; return b },
		"another key":      func(b []byte) []byte { b[32]++; return b },
		"cut short":        func(b []byte) []byte { return b[:4096] },
		"less than header": func(b []byte) []byte { return b[:100] },
		"empty":            func([]byte) []byte { return nil },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) { want(t, openSpoiled(t, spoil), skybus.ErrDamaged) })
	}
}

// openSpoiled changes a domain's table file and returns the error of opening it.
// The file must stay as it is.
func openSpoiled(t *testing.T, spoil func(table []byte) []byte) error {
	t.Helper()
	root := testutil.Dir(t)
	d, err := skybus.Open(key, skybus.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(d.Table().Folder(), "table")
	d.Close()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = spoil(text)
	if err := os.WriteFile(path, text, 0o660); err != nil {
		t.Fatal(err)
	}
	d, openErr := skybus.Open(key, skybus.Options{Root: root})
	if openErr == nil {
		d.Close()
	}
	now, err := os.ReadFile(path)
	if err != nil || string(now) != string(text) {
		t.Errorf("the table was changed (%v)", err)
	}
	return openErr
}

func TestDomainWritesAddressesItsWay(t *testing.T) {
	d := open(t, skybus.Options{Template: addr.MustTemplate("4.12")})
	at, err := d.ParseAddr("3.100")
	if err != nil {
		t.Fatal(err)
	}
	if text := d.FormatAddr(at); text != "3.100" {
		t.Errorf("wrote %s", text)
	}
	e := bind(t, d, at)
	if e.Addr() != at || e.Domain() != d || d.Key() != key {
		t.Errorf("endpoint %v of domain %d", e.Addr(), d.Key())
	}
	again := open(t, skybus.Options{Root: rootOf(d), Template: addr.MustTemplate("8.8")})
	if text := again.FormatAddr(at); text != "3.100" {
		t.Errorf("another process writes %s: the template is the domain's", text)
	}
	_, err = d.Bind(1 << 16)
	if err == nil || !strings.Contains(err.Error(), "4.12") {
		t.Errorf("got the error %v for an address that the template cannot write", err)
	}
}

func TestLimitsAreTheDomains(t *testing.T) {
	d := open(t, skybus.Options{AllowUnknown: true, Limits: skybus.Limits{MaxLanes: 1, MaxMessage: 100}})
	again := open(t, skybus.Options{Root: rootOf(d), Limits: skybus.Limits{MaxLanes: 50, MaxMessage: 5000}})
	from := bind(t, again, a)
	want(t, from.TrySend(b, make([]byte, 101)), skybus.ErrTooBig)
	send(t, from, b, "the first lane")
	want(t, from.TrySend(c, nil), skybus.ErrBudget)
	if n := len(d.Table().Lanes()); n != 1 {
		t.Errorf("%d lanes", n)
	}
	if v := d.Table().Check(); len(v) > 0 {
		t.Errorf("violations: %v", v)
	}
}

func TestByteBudget(t *testing.T) {
	d := open(t, skybus.Options{AllowUnknown: true, Limits: skybus.Limits{MaxBytes: 64 << 10}})
	from, to := pair(t, d)
	n := fill(t, from, b, 1000) // a lane that may not grow is full, not an error
	want(t, from.TrySend(b, make([]byte, 100<<10)), skybus.ErrBudget)
	if got := len(drain(t, to)); got != n {
		t.Errorf("received %d messages of %d", got, n)
	}
	if used := d.Table().Info().Bytes; used > 64<<10 {
		t.Errorf("the lanes take %d bytes", used)
	}
	send(t, from, b, "and it goes on")
	if _, ok := d.Table().Lane(channel.Pair{Src: a, Dst: b}); !ok {
		t.Error("the lane is gone")
	}
}
