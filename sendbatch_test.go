// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
)

func TestSendBatch(t *testing.T) {
	d := small(t)
	from, to := pair(t, d)
	if n, err := from.SendBatch(soon(t), b, nil); n != 0 || err != nil {
		t.Errorf("an empty batch: %d, %v", n, err)
	}
	list := make([][]byte, 1000)
	for i := range list {
		list[i] = number(uint64(i))
	}
	sent := run(t, func() error {
		n, err := from.SendBatch(soon(t), b, list)
		if err == nil && n != len(list) {
			err = fmt.Errorf("sent %d", n)
		}
		return err
	})
	for i := range list {
		if m := recv(t, to); numberOf(m) != uint64(i) {
			t.Fatalf("received %d as number %d", numberOf(m), i)
		}
	}
	if err := sent(); err != nil {
		t.Error(err)
	}
}

// TestSendBatchTellsHowMany: exactly those that were accepted arrive.
func TestSendBatchTellsHowMany(t *testing.T) {
	ends := map[string]func(from *skybus.Endpoint, cancel context.CancelFunc){
		"cancelled": func(_ *skybus.Endpoint, cancel context.CancelFunc) { cancel() },
		"closed":    func(from *skybus.Endpoint, _ context.CancelFunc) { from.Close() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			d := small(t)
			from, to := pair(t, d)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			n := 0
			sent := run(t, func() (err error) {
				n, err = from.SendBatch(ctx, b, make([][]byte, 1000))
				return err
			})
			eventually(t, "the lane is full", func() bool { return parks(d, a) > 0 })
			end(from, cancel)
			if err := sent(); err == nil {
				t.Error("no error")
			}
			if got := len(drain(t, to)); got != n || n == 0 {
				t.Errorf("SendBatch said %d, %d messages came", n, got)
			}
		})
	}
	t.Run("too big", func(t *testing.T) {
		d := open(t, skybus.Options{AllowUnknown: true, Limits: skybus.Limits{MaxMessage: 10}})
		from, to := pair(t, d)
		n, err := from.SendBatch(soon(t), b, [][]byte{{1}, {2}, make([]byte, 11), {3}})
		want(t, err, skybus.ErrTooBig)
		if got := len(drain(t, to)); got != n {
			t.Errorf("SendBatch said %d, %d messages came", n, got)
		}
	})
}

// TestSendBatchDuringClose: whenever Close comes, the number is right.
func TestSendBatchDuringClose(t *testing.T) {
	d := dynamic(t)
	to := bind(t, d, b)
	list := make([][]byte, 300)
	for i := range 100 {
		from := bind(t, d, a)
		n := 0
		sent := run(t, func() (err error) {
			for k := 0; err == nil; n += k {
				k, err = from.SendBatch(soon(t), b, list)
			}
			return err
		})
		time.Sleep(time.Duration(i) * 10 * time.Microsecond)
		from.Close()
		want(t, sent(), skybus.ErrClosed)
		if got := len(drain(t, to)); got != n {
			t.Fatalf("SendBatch said %d, %d messages came", n, got)
		}
	}
}
