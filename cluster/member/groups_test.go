// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/internal/store"
)

func TestGroups(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west, east := w.join("west"), w.join("east")
		var mu sync.Mutex
		var told []string
		ctx, stop := context.WithCancel(context.Background())
		var watch sync.WaitGroup
		watch.Go(func() {
			err := west.m.WatchGroups(ctx, "arena.", func(ch GroupChange) error {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, fmt.Sprint(ch.Group, ch.Hosts))
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the watch ended with %v", err)
			}
		})
		set := func(h *host, groups map[string]int) {
			t.Helper()
			if err := h.m.SetGroups(groups); err != nil {
				t.Fatal(err)
			}
			w.quiet(soon)
		}
		set(east, map[string]int{"arena.1": 2, "other": 1, "none": 0})
		set(west, map[string]int{"arena.1": 1})
		equal(t, "at home", west.m.Group("arena.1"), "[{east 2} {west 1}]")
		equal(t, "elsewhere", east.m.Group("arena.1"), "[{east 2} {west 1}]")
		set(east, map[string]int{"arena.1": 2, "other": 1})
		set(east, map[string]int{"arena.1": 3})
		equal(t, "left", west.m.Group("other"), "[]")
		east.end()
		w.quiet(soon)
		stop()
		watch.Wait()
		equal(t, "told", strings.Join(told, ", "),
			"arena.1[{east 2}], arena.1[{east 2} {west 1}], arena.1[{east 3} {west 1}], arena.1[{west 1}]")
		if err := west.m.SetGroups(map[string]int{"a/b": 1, "c": 1}); err == nil || len(west.m.Group("c")) != 0 {
			t.Errorf("a name with a slash: %v", err)
		}
	})
}

func TestWatchingGroupsEnds(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west := w.join("west")
		var watch sync.WaitGroup
		watch.Go(func() {
			err := west.m.WatchGroups(context.Background(), "", func(GroupChange) error { return nil })
			if !errors.Is(err, cluster.ErrClosed) {
				t.Errorf("the watch ended with %v, want ErrClosed", err)
			}
		})
		w.quiet(time.Second)
		west.end()
		watch.Wait()
		enough := errors.New("enough")
		east := w.join("east")
		if err := east.m.SetGroups(map[string]int{"g": 1}); err != nil {
			t.Fatal(err)
		}
		if err := east.m.WatchGroups(context.Background(), "", func(GroupChange) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("the watch ended with %v", err)
		}
	})
}
