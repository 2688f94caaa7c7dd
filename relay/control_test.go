// SPDX-License-Identifier: Apache-2.0

package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/skybus-io/skybus/relay"
)

// What Control knows is answered, as JSON both ways; what it does not know, and what fails, is told apart.
func TestControl(t *testing.T) {
	release := make(chan struct{})
	ms := machines(t, func(i int, c *relay.Config) {
		if i == 1 {
			return // it knows nothing more
		}
		c.Control = func(do string, args json.RawMessage) (any, error) {
			var n int
			switch err := json.Unmarshal(args, &n); {
			case do == "nothing":
				return nil, nil
			case do == "wait":
				<-release
				return "late", nil
			case do != "squares":
				return nil, fmt.Errorf("%w: %q", relay.ErrQuestion, do)
			case err != nil:
				return nil, fmt.Errorf("args %s: want a number", args)
			}
			list := make([]int, n)
			for i := range list {
				list[i] = i * i
			}
			return list, nil
		}
	})
	east, west := ms[0].dom.Table().Folder(), ms[1].dom.Table().Folder()
	var list []int
	if err := relay.AskFor(t.Context(), east, "squares", 300_000, &list); err != nil || len(list) != 300_000 || list[299_999] != 299_999*299_999 {
		t.Errorf("%d squares, %v", len(list), err)
	}
	var v any
	if err := relay.AskFor(t.Context(), east, "nothing", nil, &v); err != nil || v != nil {
		t.Errorf("nothing: %v, %v", v, err)
	}
	for _, test := range []struct {
		dir, do string
		args    any
		kind    error
		text    string
	}{
		{east, "squares", "x", nil, `the daemon refuses: args "x": want a number`},
		{east, "squares", nil, nil, "want a number"},
		{east, "cubes", 3, relay.ErrQuestion, `the daemon does not know the question: "cubes"`},
		{west, "squares", 3, relay.ErrQuestion, `the daemon does not know the question: "squares": want status, routes, reload or stop`},
		{t.TempDir(), "squares", 3, relay.ErrNoDaemon, "no relay daemon"},
		{east, "squares", strings.Repeat("x", 5000), nil, "want one line of JSON"},
	} {
		err := relay.AskFor(t.Context(), test.dir, test.do, test.args, &list)
		if err == nil || test.kind != nil && !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s %.10v: %v, want %q", test.do, test.args, err, test.text)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var late sync.WaitGroup
	late.Go(func() {
		if err := relay.AskFor(ctx, east, "wait", nil, &v); !errors.Is(err, context.Canceled) {
			t.Errorf("a question that was given up: %v", err)
		}
	})
	stop()
	late.Wait()
	late.Go(func() {
		if err := relay.AskFor(t.Context(), east, "wait", nil, &v); err != nil || v != "late" {
			t.Errorf("a question that takes a while: %v, %v", v, err)
		}
	})
	ms[0].status("others are answered meanwhile", func(s *relay.Status) bool { return s.Host == "east" })
	close(release)
	late.Wait()
}
