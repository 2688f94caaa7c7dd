// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// lengthForm has one byte of length before the payload.
var lengthForm = &Form{Head: func(dst, b []byte) ([]byte, error) { return append(dst, byte(len(b))), nil }}

// quotedForm stands around the payload.
var quotedForm = &Form{Make: func(dst, b []byte) ([]byte, error) { return fmt.Appendf(dst, "<%s>", b), nil }}

var errForm = errors.New("cannot be carried")

var badForm = &Form{Make: func([]byte, []byte) ([]byte, error) { return nil, errForm }}

func TestAPacketHasACopy(t *testing.T) {
	b := []byte("hello")
	p := New(nil, b)
	b[0] = 'j'
	if got := string(p.Payload()); got != "hello" || p.Len() != 5 {
		t.Errorf("payload %q of %d bytes, want hello", got, p.Len())
	}
}

func TestForms(t *testing.T) {
	long := &Form{Head: func(dst, _ []byte) ([]byte, error) {
		return append(dst, "a head that is longer than the room there is"...), nil
	}}
	bad := &Form{Head: func(dst, _ []byte) ([]byte, error) { return dst, errForm }}
	all := []struct {
		name string
		form *Form
		want string
		err  error
	}{
		{"none", nil, "abc", nil},
		{"head", lengthForm, "\x03abc", nil},
		{"whole", quotedForm, "<abc>", nil},
		{"long head", long, "a head that is longer than the room there isabc", nil},
		{"error of a head", bad, "", errForm},
		{"error of a whole", badForm, "", errForm},
	}
	for i := range all { // each is the first once
		p := New(nil, []byte("abc"))
		for round := range 2 {
			for j := range all {
				c := all[(i+j)%len(all)]
				got, err := p.wire(c.form)
				if string(got) != c.want && c.err == nil || !errors.Is(err, c.err) {
					t.Errorf("first %d, round %d, %s: %q, %v, want %q, %v", i, round, c.name, got, err, c.want, c.err)
				}
			}
		}
		if string(p.Payload()) != "abc" {
			t.Errorf("the payload has become %q", p.Payload())
		}
	}
}

func TestAFormIsMadeOnce(t *testing.T) {
	testutil.NoLeaks(t)
	var calls atomic.Int32
	f := &Form{Make: func(dst, b []byte) ([]byte, error) {
		calls.Add(1)
		return append(dst, b...), nil
	}}
	p := New(nil, []byte("x"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for _, form := range []*Form{lengthForm, f, quotedForm}[i%3:] {
				if b, err := p.wire(form); err != nil || !bytes.Contains(b, []byte("x")) {
					t.Errorf("%q, %v", b, err)
				}
			}
			if b, _ := p.wire(f); string(b) != "x" {
				t.Errorf("%q, want x", b)
			}
		})
	}
	wg.Wait()
	if calls.Load() != 1 {
		t.Errorf("the form was made %d times, want once", calls.Load())
	}
}

func TestTheBudgetCountsAPacketOnce(t *testing.T) {
	var b Budget
	b.Limit = 1000
	p := New(&b, make([]byte, 500))
	if b.Used() != 0 {
		t.Errorf("%d bytes before somebody holds the packet, want 0", b.Used())
	}
	p.Retain()
	p.Retain()
	one := b.Used()
	if one < 500 || one > 700 {
		t.Errorf("%d bytes, want about 500", one)
	}
	if _, err := p.wire(quotedForm); err != nil {
		t.Fatal(err)
	}
	if both := b.Used(); both < one+502 {
		t.Errorf("%d bytes with a form of 502, before %d", both, one)
	}
	if !b.Over() {
		t.Errorf("%d of %d is not over", b.Used(), b.Limit)
	}
	most := b.Used()
	p.Release()
	p.Release()
	if b.Used() != 0 || b.Most() != most || b.Over() {
		t.Errorf("%d bytes, most %d, when nobody holds it, want 0 and %d", b.Used(), b.Most(), most)
	}
	p.Retain() // again: with the form it has
	if b.Used() != most {
		t.Errorf("%d bytes, want %d", b.Used(), most)
	}
	p.Release()
}

func TestANilBudget(t *testing.T) {
	var b *Budget
	b.add(5)
	if b.Used() != 0 || b.Most() != 0 || b.Over() {
		t.Error("nil counts")
	}
}

func TestConcurrentReferences(t *testing.T) {
	testutil.NoLeaks(t)
	var b Budget
	p := New(&b, []byte("shared"))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 2000 {
				p.Retain()
				if b.Used() <= 0 {
					t.Error("a packet that is held is not counted")
				}
				_, _ = p.wire([]*Form{lengthForm, quotedForm}[i%2])
				p.Release()
			}
		})
	}
	wg.Wait()
	if b.Used() != 0 {
		t.Errorf("%d bytes are counted and nobody holds them", b.Used())
	}
}

func TestBorrow(t *testing.T) {
	var b Budget
	p := Borrow(&b, []byte("first"))
	if b.Used() == 0 {
		t.Error("a borrowed packet is not counted")
	}
	var q Queue
	marks := Marks{}.mustDefaults(t)
	q.Init(lengthForm, &marks)
	push(t, &q, p, Must, 0, Queued)
	p.Release()
	if got := all(&q); got != "\x05first" {
		t.Errorf("%q", got)
	}
	if q.Done(6); b.Used() != 0 {
		t.Errorf("%d bytes counted, want 0", b.Used())
	}
	raw := BorrowRaw(&b, []byte("raw"))
	push(t, &q, raw, Control, 0, Queued)
	raw.Release()
	if got := all(&q); got != "raw" {
		t.Errorf("%q, want the bytes as they are", got)
	}
	q.Clear()
}

func TestBorrowDoesNotAllocate(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("pools forget at random here")
	}
	payload := make([]byte, 64)
	n := testing.AllocsPerRun(1000, func() {
		p := Borrow(nil, payload)
		_, _ = p.wire(lengthForm)
		p.Release()
	})
	if n > 0.1 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestOneReleaseTooMany(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("nothing was said")
		}
	}()
	p := New(nil, nil)
	p.Retain()
	p.Release()
	p.Release()
}
