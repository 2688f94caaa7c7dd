// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

var errBoom = errors.New("boom")

// handled writes down what a handler got: sequence, and ! where it is flagged.
type handled struct{ list []string }

func (h *handled) add(m skybus.Message) {
	text := fmt.Sprint(m.Seq)
	if m.Redelivered {
		text += "!"
	}
	h.list = append(h.list, text)
}

func (h *handled) want(t *testing.T, list string) {
	t.Helper()
	if got := strings.Join(h.list, " "); got != list {
		t.Errorf("handled %s, want %s", got, list)
	}
}

// ten returns an inbox with ten messages in it.
func ten(t *testing.T) (d *skybus.Domain, to *skybus.Endpoint) {
	d = dynamic(t)
	from, to := pair(t, d)
	for i := range 10 {
		send(t, from, b, fmt.Sprint(i+1))
	}
	return d, to
}

// loops are the ways to hand out messages until the handler fails or says stop.
var loops = map[string]func(e *skybus.Endpoint, h func(skybus.Message) error) error{
	"Receive": func(e *skybus.Endpoint, h func(skybus.Message) error) error {
		return e.Receive(context.Background(), h)
	},
	"Poll": func(e *skybus.Endpoint, h func(skybus.Message) error) error {
		_, err := e.Poll(1000, h)
		return err
	},
}

// TestHandlerFails: the message comes again, flagged; those behind it were never
// handed out and come as new.
func TestHandlerFails(t *testing.T) {
	for name, loop := range loops {
		t.Run(name, func(t *testing.T) {
			d, to := ten(t)
			var h handled
			fail := map[uint64]int{1: 1, 4: 2, 10: 1}
			for {
				err := loop(to, func(m skybus.Message) error {
					h.add(m)
					if fail[m.Seq]--; fail[m.Seq] >= 0 {
						return errBoom
					}
					if m.Seq == 10 {
						to.Close()
					}
					return nil
				})
				if !errors.Is(err, errBoom) {
					break
				}
			}
			h.want(t, "1 1! 2 3 4 4! 4! 5 6 7 8 9 10 10!")
			l, _ := d.Table().Lane(channel.Pair{Src: a, Dst: b})
			if l.Received != 10 || l.Redelivered != 3 || l.Messages != 0 {
				t.Errorf("counted %d messages, %d of them again, %d left", l.Received, l.Redelivered, l.Messages)
			}
		})
	}
}

// TestHandlerPanics: likewise, and the panic goes on.
func TestHandlerPanics(t *testing.T) {
	for name, loop := range loops {
		t.Run(name, func(t *testing.T) {
			_, to := ten(t)
			var h handled
			func() {
				defer func() {
					if r := recover(); r != errBoom { //nolint:errorlint // the value of the panic
						t.Errorf("recovered %v", r)
					}
				}()
				_ = loop(to, func(m skybus.Message) error {
					h.add(m)
					if m.Seq == 3 {
						panic(errBoom)
					}
					return nil
				})
			}()
			if _, err := to.Poll(3, func(m skybus.Message) error { h.add(m); return nil }); err != nil {
				t.Fatal(err)
			}
			h.want(t, "1 2 3 3! 4 5")
			if m := recv(t, to); m.Seq != 6 || m.Redelivered {
				t.Errorf("received %+v", m)
			}
		})
	}
}

// TestHandlerExitsGoroutine: a handler may end by runtime.Goexit, as t.Fatal does.
func TestHandlerExitsGoroutine(t *testing.T) {
	_, to := ten(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = to.Poll(5, func(m skybus.Message) error {
			if m.Seq == 3 {
				runtime.Goexit()
			}
			return nil
		})
	}()
	<-done
	if m := recv(t, to); m.Seq != 3 || !m.Redelivered {
		t.Errorf("received %+v", m)
	}
}

// TestReceiveSetsNoFlagWithoutNeed: what a batch had behind the end of the loop
// was never handed out.
func TestReceiveSetsNoFlagWithoutNeed(t *testing.T) {
	_, to := ten(t)
	ctx, cancel := context.WithCancel(context.Background())
	var h handled
	err := to.Receive(ctx, func(m skybus.Message) error {
		if h.add(m); m.Seq == 4 {
			cancel()
		}
		return nil
	})
	want(t, err, context.Canceled)
	for m, err := range to.Messages(soon(t)) {
		if err != nil {
			t.Fatal(err)
		}
		if h.add(m); m.Seq == 6 {
			break
		}
	}
	for range 2 {
		h.add(recv(t, to))
	}
	if n, err := to.Poll(100, func(m skybus.Message) error { h.add(m); return nil }); n != 2 || err != nil {
		t.Errorf("Poll returned %d, %v", n, err)
	}
	h.want(t, "1 2 3 4 5 6 7 8 9 10")
}

// TestUnhandledOfABatchAfterRebind: the batch was taken; a new owner of the
// address gets the rest of it, flagged or not, and nothing twice unflagged.
func TestUnhandledOfABatchAfterRebind(t *testing.T) {
	d, to := ten(t)
	_, err := to.Poll(10, func(m skybus.Message) error {
		if m.Seq == 4 {
			return errBoom
		}
		return nil
	})
	want(t, err, errBoom)
	to.Close()
	to = bind(t, d, b)
	for seq := uint64(4); seq <= 10; seq++ {
		if m := recv(t, to); m.Seq != seq || seq == 4 && !m.Redelivered {
			t.Errorf("received %+v as %d", m, seq)
		}
	}
}

func TestPollTakesAtMostItsLimit(t *testing.T) {
	_, to := ten(t)
	var h handled
	add := func(m skybus.Message) error { h.add(m); return nil }
	for _, step := range []struct{ limit, n int }{{0, 0}, {-1, 0}, {3, 3}, {1, 1}, {100, 6}, {5, 0}} {
		if n, err := to.Poll(step.limit, add); n != step.n || err != nil {
			t.Errorf("Poll(%d) returned %d, %v, want %d", step.limit, n, err, step.n)
		}
	}
	h.want(t, "1 2 3 4 5 6 7 8 9 10")
	if n, err := to.Poll(5, func(skybus.Message) error { return errBoom }); n != 0 || err != nil {
		t.Errorf("Poll of an empty inbox returned %d, %v", n, err)
	}
}

func TestPollCountsWhatWasReleased(t *testing.T) {
	_, to := ten(t)
	n, err := to.Poll(10, func(m skybus.Message) error {
		if m.Seq == 4 {
			return errBoom
		}
		return nil
	})
	if n != 3 || !errors.Is(err, errBoom) {
		t.Errorf("Poll returned %d, %v", n, err)
	}
}

// TestOneReceivesAtATime: inside a handler nothing else may receive.
func TestOneReceivesAtATime(t *testing.T) {
	_, to := ten(t)
	never := func(skybus.Message) error { return errors.New("handed out") }
	n, err := to.Poll(1, func(skybus.Message) error {
		_, err := to.TryRecv()
		want(t, err, skybus.ErrReceiving)
		_, err = to.Recv(soon(t))
		want(t, err, skybus.ErrReceiving)
		_, err = to.RecvFrom(soon(t), a)
		want(t, err, skybus.ErrReceiving)
		_, err = to.Poll(1, never)
		want(t, err, skybus.ErrReceiving)
		want(t, to.Receive(soon(t), never), skybus.ErrReceiving)
		for _, err := range to.Messages(soon(t)) {
			want(t, err, skybus.ErrReceiving)
		}
		return nil
	})
	if n != 1 || err != nil {
		t.Errorf("Poll returned %d, %v", n, err)
	}
	if m := recv(t, to); m.Seq != 2 || m.Redelivered {
		t.Errorf("received %+v", m)
	}
}

func TestHandlerMaySend(t *testing.T) {
	d, to := ten(t)
	from := bind(t, d, c)
	_, err := to.Poll(10, func(m skybus.Message) error { return to.Send(soon(t), c, m.Data) })
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if m := recv(t, from); string(m.Data) != fmt.Sprint(i+1) {
			t.Errorf("received %+v", m)
		}
	}
}
