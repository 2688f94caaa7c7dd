// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
)

// claimIn claims a message of a batch and writes it.
func claimIn(t *testing.T, batch *skybus.Batch, text string) {
	t.Helper()
	buf, err := batch.Claim(soon(t), len(text))
	if err != nil {
		t.Fatal(err)
	}
	copy(buf, text)
}

func newBatch(t *testing.T, e *skybus.Endpoint) skybus.Batch {
	t.Helper()
	batch, err := e.Batch(b)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// wantTexts receives what is there and compares it.
func wantTexts(t *testing.T, e *skybus.Endpoint, texts string) {
	t.Helper()
	if got := fmt.Sprint(drain(t, e)); got != "["+texts+"]" {
		t.Errorf("received %s, want [%s]", got, texts)
	}
}

func TestBatchIsSeenAtCommit(t *testing.T) {
	d := dynamic(t)
	from, to := pair(t, d)
	batch := newBatch(t, from)
	claimIn(t, &batch, "1")
	claimIn(t, &batch, "2")
	wantTexts(t, to, "")
	if n := batch.Pending(); n != 2 {
		t.Errorf("%d pending", n)
	}
	_ = batch.Commit()
	wantTexts(t, to, "1 2")
	_ = batch.Commit() // nothing to do
	batch.Abort()
	if n := batch.Pending(); n != 0 {
		t.Errorf("%d pending after Commit", n)
	}
	claimIn(t, &batch, "3") // it can be used again
	batch.Abort()
	_ = batch.Commit()
	wantTexts(t, to, "")
	claimIn(t, &batch, "4")
	_ = batch.Commit()
	if m := recv(t, to); string(m.Data) != "4" || m.Seq != 3 {
		t.Errorf("received %+v", m)
	}
}

// TestBatchHoldsTheLane: others that send to the address wait for its end.
func TestBatchHoldsTheLane(t *testing.T) {
	d := dynamic(t)
	from, to := pair(t, d)
	batch := newBatch(t, from)
	send(t, from, b, "0") // it holds nothing before its first claim
	claimIn(t, &batch, "1")
	other := run(t, func() error { return from.Send(soon(t), b, []byte("3")) })
	send(t, from, c, "another lane is free")
	time.Sleep(5 * time.Millisecond)
	claimIn(t, &batch, "2")
	_ = batch.Commit()
	if err := other(); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, to, "0 1 2 3")
}

// TestBatchLargerThanRoom: what was claimed is committed early, and Claim waits
// for room.
func TestBatchLargerThanRoom(t *testing.T) {
	for name, d := range map[string]*skybus.Domain{"lane that grows": dynamic(t), "full lane": small(t)} {
		t.Run(name, func(t *testing.T) {
			from, to := pair(t, d)
			sent := run(t, func() error {
				batch, err := from.Batch(b)
				if err != nil {
					return err
				}
				defer func() { _ = batch.Commit() }()
				for i := range 3000 {
					buf, err := batch.Claim(soon(t), 8)
					if err != nil {
						return err
					}
					copy(buf, number(uint64(i)))
				}
				return nil
			})
			for i := range 3000 {
				if m := recv(t, to); numberOf(m) != uint64(i) {
					t.Fatalf("received %d as number %d", numberOf(m), i)
				}
			}
			if err := sent(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTryClaimDoesNotCommit(t *testing.T) {
	d := small(t)
	from, to := pair(t, d)
	batch := newBatch(t, from)
	n := 0
	for ; ; n++ {
		if _, err := batch.TryClaim(100); errors.Is(err, skybus.ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	wantTexts(t, to, "")
	if p := batch.Pending(); p != n || n == 0 {
		t.Errorf("%d pending of %d", p, n)
	}
	_ = batch.Commit()
	if got := len(drain(t, to)); got != n {
		t.Errorf("received %d messages of %d", got, n)
	}
}

// TestBatchWithRefusedClaim: the claims before it stand.
func TestBatchWithRefusedClaim(t *testing.T) {
	d := open(t, skybus.Options{AllowUnknown: true, Limits: skybus.Limits{MaxMessage: 1000}})
	from, to := pair(t, d)
	batch := newBatch(t, from)
	_, err := batch.Claim(soon(t), 1001)
	want(t, err, skybus.ErrTooBig)
	send(t, from, b, "a batch without a claim holds nothing")
	recv(t, to)
	claimIn(t, &batch, "1")
	_, err = batch.Claim(soon(t), 1001)
	want(t, err, skybus.ErrTooBig)
	claimIn(t, &batch, "2")
	_ = batch.Commit()
	wantTexts(t, to, "1 2")
}

func TestClaim(t *testing.T) {
	d := dynamic(t)
	from, to := pair(t, d)
	claim, err := from.Claim(soon(t), b, 3)
	if err != nil {
		t.Fatal(err)
	}
	copy(claim.Data, "one")
	if !claim.Commit() {
		t.Error("Commit did nothing")
	}
	if claim.Commit() {
		t.Error("committed twice")
	}
	claim.Abort() // nothing to do
	next, err := from.TryClaim(b, 3)
	if err != nil {
		t.Fatal(err)
	}
	copy(next.Data, "two")
	if claim.Commit() { // it must not commit the next one
		t.Error("committed a third time")
	}
	claim.Abort()
	wantTexts(t, to, "one")
	next.Abort()
	if next.Commit() {
		t.Error("committed after Abort")
	}
	wantTexts(t, to, "")
	if (skybus.Claim{}).Commit() {
		t.Error("the zero Claim was committed")
	}
	send(t, from, b, "three")
	if m := recv(t, to); m.Seq != 2 {
		t.Errorf("received %+v", m)
	}
}

// TestClaimInAnotherGoroutine: whoever has the Claim may commit it.
func TestClaimInAnotherGoroutine(t *testing.T) {
	d := dynamic(t)
	from, to := pair(t, d)
	for i := range 100 {
		claim, err := from.Claim(soon(t), b, 8)
		if err != nil {
			t.Fatal(err)
		}
		committed := run(t, func() error {
			copy(claim.Data, number(uint64(i)))
			if !claim.Commit() {
				return errors.New("Commit did nothing")
			}
			return nil
		})
		if m := recv(t, to); numberOf(m) != uint64(i) {
			t.Fatalf("received %d as number %d", numberOf(m), i)
		}
		if err := committed(); err != nil {
			t.Fatal(err)
		}
	}
}
