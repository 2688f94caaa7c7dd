// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
)

// TestCloseDomainDuringBind: Bind tries for a while to get an address that is in
// use; meanwhile the domain goes away.
func TestCloseDomainDuringBind(t *testing.T) {
	d := dynamic(t)
	other := open(t, skybus.Options{Root: rootOf(d)})
	bind(t, other, a)
	bound := run(t, func() error { _, err := d.Bind(a); return err })
	time.Sleep(20 * time.Millisecond)
	d.Close()
	if err := bound(); err == nil {
		t.Error("bound an address that is in use")
	}
}

// TestCloseFreesAddressAtOnce: when Close has returned, and no handler runs, the
// address is free, although a Receive waited.
func TestCloseFreesAddressAtOnce(t *testing.T) {
	d := dynamic(t)
	for range 50 {
		e, err := d.Bind(b)
		if err != nil {
			t.Fatal(err)
		}
		done := run(t, func() error {
			return e.Receive(context.Background(), func(skybus.Message) error { return nil })
		})
		parked(t, d, b)
		e.Close()
		if info, _ := d.Table().Endpoint(b); info.Bound {
			t.Error("the address is still bound")
		}
		want(t, done(), skybus.ErrClosed)
	}
}

// TestCloseDuringBatch: the owner of a batch sends elsewhere while Close waits
// for the batch.
func TestCloseDuringBatch(t *testing.T) {
	d := dynamic(t)
	from, to := pair(t, d)
	batch, err := from.Batch(b)
	if err != nil {
		t.Fatal(err)
	}
	buf, err := batch.Claim(soon(t), 4)
	if err != nil {
		t.Fatal(err)
	}
	copy(buf, "last")
	closed := run(t, from.Close)
	next := c
	eventually(t, "Close has begun", func() bool { next++; return from.Send(soon(t), next, nil) != nil })
	batch.Commit()
	if err := closed(); err != nil {
		t.Error(err)
	}
	if m := recv(t, to); string(m.Data) != "last" {
		t.Errorf("received %q", m.Data)
	}
}
