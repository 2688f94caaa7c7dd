// SPDX-License-Identifier: Apache-2.0

package skybus

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
	"github.com/skybus-io/skybus/names/host"
)

func TestNamesOfADomain(t *testing.T) {
	testutil.NoLeaks(t)
	root := testutil.Dir(t)
	open := func() *Domain {
		t.Helper()
		d, err := Open(1000, Options{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	d, other := open(), open()
	a := addr.MustParse("0.0.3.1")
	e, err := d.Bind(a)
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.Names()
	if err != nil {
		t.Fatal(err)
	}
	o := names.Owner{Addr: a, Handle: 7}
	if s, err := r.Request(t.Context(), "bank", o, 0); err != nil || s != names.Owns {
		t.Fatal(s, err)
	}
	far, err := other.Names()
	if err != nil {
		t.Fatal(err)
	}
	if list, err := far.Owners(t.Context(), "bank"); err != nil || len(list) != 1 || list[0] != o {
		t.Errorf("the other process sees %v, %v", list, err)
	}
	over := make(chan error)
	begun := make(chan names.Change, 2)
	go func() {
		over <- far.Watch(context.Background(), "", func(c names.Change) error { begun <- c; return nil })
	}()
	<-begun
	if list := d.Table().Check(); len(list) > 0 {
		t.Errorf("a check of the domain finds %v", list)
	}
	e.Close() // as good as dead, and somebody else may have the address at once
	if e, err = other.Bind(a); err != nil {
		t.Fatal(err)
	}
	if c := <-begun; c != (names.Change{Name: "bank", Old: o}) {
		t.Errorf("the change is %v", c)
	}
	if list, err := r.Owners(t.Context(), "bank"); err != nil || len(list) > 0 {
		t.Errorf("a closed endpoint's names: %v, %v", list, err)
	}
	if list, err := d.CheckNames(); err != nil || len(list) > 0 {
		t.Errorf("a check of the names finds %v, %v", list, err)
	}
	e.Close()
	other.Close()
	wantClosed(t, <-over)
	_, err = other.Names()
	wantClosed(t, err)
	_, err = far.Owners(t.Context(), "bank")
	wantClosed(t, err)
	_, err = other.CheckNames()
	wantClosed(t, err)

	if err := d.Table().Destroy(false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "skybus-1000")); !os.IsNotExist(err) {
		t.Errorf("the domain's folder is there: %v", err)
	}
}

func wantClosed(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrClosed) {
		t.Errorf("got the error %v, want ErrClosed", err)
	}
}

// A domain's check passes over the table of names, whatever it is called.
func TestNameOfTheTableOfNames(t *testing.T) {
	if channel.NamesFile != host.FileName {
		t.Errorf("the domain calls it %q, the registry %q", channel.NamesFile, host.FileName)
	}
}
