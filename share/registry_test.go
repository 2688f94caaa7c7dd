// SPDX-License-Identifier: Apache-2.0

package share_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/share"
)

func TestRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r share.Registry
		drops, orcs := share.New("drops", []int{1}), share.NewFrom("orcs", "orcs.yaml", map[string]int{})
		for _, table := range []share.Named{orcs, drops} {
			if err := r.Add(table); err != nil {
				t.Fatal(err)
			}
		}
		drops.Replace([]int{2})
		time.Sleep(time.Minute)
		list := r.List()
		want := []share.Info{
			{Name: "drops", Type: "[]int", Version: 2, Time: drops.Load().Time()},
			{Name: "orcs", Type: "map[string]int", Version: 1, Time: orcs.Load().Time(), Source: "orcs.yaml"},
		}
		if len(list) != 2 || list[0] != want[0] || list[1] != want[1] || list[0].Age() != time.Minute {
			t.Errorf("listed %+v, want %+v", list, want)
		}
		if found, err := share.Lookup[[]int](&r, "drops"); found != drops || err != nil {
			t.Errorf("looked up %p, %v, want %p", found, err, drops)
		}
		if !r.Remove("drops") || r.Remove("drops") || len(r.List()) != 1 {
			t.Errorf("removed twice, or not: %+v", r.List())
		}
	})
}

func TestLookupFails(t *testing.T) {
	var r share.Registry
	if err := r.Add(share.New("drops", []int{1})); err != nil {
		t.Fatal(err)
	}
	_, err := share.Lookup[[]string](&r, "drops")
	wantError(t, err, share.ErrType, `"drops"`, "[]int", "[]string")
	_, err = share.Lookup[[]int](&r, "drop")
	wantError(t, err, share.ErrNotFound, `"drop"`)
	_, err = share.Lookup[[]int](new(share.Registry), "drops")
	wantError(t, err, share.ErrNotFound, `"drops"`)
}

func TestAddFails(t *testing.T) {
	var r share.Registry
	if err := r.Add(share.New("taken", 1)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		kind  error
		parts []string
	}{
		{"taken", share.ErrExists, []string{`"taken"`, "int"}},
		{"", share.ErrName, []string{"empty"}},
		{strings.Repeat("x", share.MaxName+1), share.ErrName, []string{"129 bytes", "1 to 128"}},
		{"a\nb", share.ErrName, []string{`"a\nb"`}},
		{"a\xff", share.ErrName, []string{`"a\xff"`}},
	} {
		wantError(t, r.Add(share.New(c.name, "x")), c.kind, c.parts...)
	}
	if err := r.Add(share.New(strings.Repeat("x", share.MaxName), 1)); err != nil {
		t.Errorf("the longest name is refused: %v", err)
	}
	if n := len(r.List()); n != 2 {
		t.Errorf("%d tables, want the 2 that were added", n)
	}
}

func TestOneOfManyGetsAName(t *testing.T) {
	testutil.NoLeaks(t)
	var r share.Registry
	var wg sync.WaitGroup
	added := make(chan *share.Table[int], 8)
	for i := range cap(added) {
		wg.Go(func() {
			table := share.New("t", i)
			if err := r.Add(table); err == nil {
				added <- table
			} else if !errors.Is(err, share.ErrExists) {
				t.Error(err)
			}
			r.List()
		})
	}
	wg.Wait()
	if found, err := share.Lookup[int](&r, "t"); len(added) != 1 || found != <-added || err != nil {
		t.Errorf("found %v, %v, of %d that were added", found, err, 1+len(added))
	}
}

// wantError wants an error of a kind, whose text has all parts.
func wantError(t *testing.T, err, kind error, parts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error %v, want %v", err, kind)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q says nothing of %q", err, part)
		}
	}
	if len(err.Error()) > 1000 {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}
