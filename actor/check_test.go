// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/invariant"
)

// Builds with invariants find a Context that another goroutine uses; all builds find one that is
// used after its handler.
func TestMisuseOfAContext(t *testing.T) {
	rt := New(Config{})
	defer rt.Close()
	misuse := func(c *Context) (text string) {
		defer func() { text = fmt.Sprint(recover()) }()
		_ = c.Self()
		return "nothing"
	}
	var kept *Context
	p, err := rt.Spawn(Spec{New: Func(func(c *Context, _ *Message) error {
		kept = c
		said := make(chan string)
		go func() { said <- misuse(c) }()
		return c.Reply(<-said)
	})})
	if err != nil {
		t.Fatal(err)
	}
	text, err := AskRuntime[string](context.Background(), rt, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if found := strings.Contains(text, "another goroutine"); found != invariant.Enabled {
		t.Errorf("in another goroutine: %q, with invariants: %v", text, invariant.Enabled)
	}
	if err := rt.Stop(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	rt.Close()
	if text := misuse(kept); !strings.Contains(text, "outside its handler") {
		t.Errorf("after the handler: %q", text)
	}
}
