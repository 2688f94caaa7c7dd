// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/skybus-io/skybus/actor"
)

// A request of one node that a service of another passes on to a third is answered, and fails, as if it had gone
// there.
func TestRedirectToAThirdNode(t *testing.T) {
	d := domain(t)
	a, b, c := begin(t, d, here, Config{}), begin(t, d, there, Config{}), begin(t, d, here+7, Config{})
	errOdd := errors.New("odd")
	var mu sync.Mutex
	var senders []actor.PID
	alone := make(chan struct{}, 1)
	last := serve(t, c, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		mu.Lock()
		senders = append(senders, m.From)
		mu.Unlock()
		if !m.IsCall() {
			alone <- struct{}{}
		}
		if n, is := m.Value.(int64); is && n%2 == 1 {
			return errOdd
		}
		return c.Reply(m.Value)
	})
	passes := serve(t, b, actor.Spec{}, func(c *actor.Context, m *actor.Message) error { return c.Redirect(last, m.Value) })
	asker := serve(t, a, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		v, err := c.Call(passes, m.Value)
		if err != nil {
			return err
		}
		return c.Reply(v)
	})
	for i := range int64(10) {
		v, err := a.Runtime().Call(soon(t), asker, i)
		if i%2 == 0 && (err != nil || v != i) || i%2 == 1 && (err == nil || !strings.Contains(err.Error(), "odd")) {
			t.Errorf("request %d: %v, %v", i, v, err)
		}
	}
	if err := a.Runtime().Send(soon(t), passes, int64(2)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-alone:
	case <-soon(t).Done():
		t.Fatal("the message without an answer does not come")
	}
	if n, err := c.Runtime().Call(soon(t), last, int64(0)); err != nil || n != int64(0) {
		t.Errorf("a request after the message without an answer: %v, %v", n, err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, p := range senders[:10] {
		if p != passes {
			t.Errorf("a request came from %v, want %v", p, passes)
		}
	}
	c.Close()
	if _, err := a.Runtime().Call(soon(t), asker, int64(2)); !errors.Is(err, ErrPeerDied) {
		t.Errorf("after the third node's end: %v", err)
	}
}
