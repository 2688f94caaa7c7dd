// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/skybus-io/skybus/examples/chat/internal/wire"
	"github.com/skybus-io/skybus/internal/testutil"
)

func open(t *testing.T, path string) *DB {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func row(n uint64, text string) Row {
	return Row{Packet: n + 100, Message: wire.Message{N: n, At: int64(1000 + n), From: "0.0.1.1#1", Name: "Ann", C: fmt.Sprint("c", n), Text: text}}
}

func write(t *testing.T, d *DB, batch ...*Append) {
	t.Helper()
	if err := d.Write(batch); err != nil {
		t.Fatal(err)
	}
}

func page(t *testing.T, d *DB, p Page) (numbers []uint64) {
	t.Helper()
	rows, err := d.Page(&p)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if want := row(r.N, fmt.Sprint("text ", r.N)); !reflect.DeepEqual(r, want) {
			t.Errorf("row %+v, want %+v", r, want)
		}
		numbers = append(numbers, r.N)
	}
	return numbers
}

func TestPagesAfterReopening(t *testing.T) {
	testutil.NoLeaks(t)
	path := filepath.Join(t.TempDir(), "a folder with ? and %", "chat.db")
	if _, err := Open(path); err == nil {
		t.Fatal("opened a file in a folder that does not exist")
	}
	path = filepath.Join(t.TempDir(), "a ? and %20.db")
	d := open(t, path)
	for n := uint64(1); n <= 120; n += 2 {
		write(t, d, &Append{Room: "大厅", Rows: []Row{row(n, fmt.Sprint("text ", n)), row(n+1, fmt.Sprint("text ", n+1))}})
	}
	write(t, d, &Append{Room: "other", Rows: []Row{row(1, "text 1")}})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, path)
	run := func(from, to uint64) (list []uint64) {
		for n := from; n <= to; n++ {
			list = append(list, n)
		}
		return list
	}
	for _, c := range []struct {
		page Page
		want []uint64
	}{
		{Page{Room: "大厅", Limit: 50}, run(71, 120)},
		{Page{Room: "大厅", Before: 71, Limit: 50}, run(21, 70)},
		{Page{Room: "大厅", Before: 21, Limit: 50}, run(1, 20)},
		{Page{Room: "大厅", Before: 1, Limit: 50}, nil},
		{Page{Room: "大厅", Before: 1 << 63, Limit: 1}, run(120, 120)},
		{Page{Room: "大厅", Before: 118, Limit: 50, Forward: true}, run(118, 120)},
		{Page{Room: "大厅", Before: 121, Limit: 50, Forward: true}, nil},
		{Page{Room: "大厅", Limit: 1000}, run(21, 120)}, // wire.MaxPage
		{Page{Room: "other", Limit: 50}, run(1, 1)},
		{Page{Room: "nowhere", Limit: 50}, nil},
	} {
		if got := page(t, d, c.page); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.page, got, c.want)
		}
	}
	heads, err := d.Heads("", 10)
	if want := []Head{{"other", 1}, {"大厅", 120}}; err != nil || !reflect.DeepEqual(heads, want) {
		t.Errorf("heads %v, %v, want %v", heads, err, want)
	}
	if heads, err = d.Heads("other", 10); err != nil || len(heads) != 1 {
		t.Errorf("heads behind other: %v, %v", heads, err)
	}
}

func TestWritingTwiceChangesNothing(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "chat.db"))
	a := &Append{Room: "r", Rows: []Row{row(1, "text 1"), row(2, "text 2")}, Changes: []Change{{ID: "a", Name: "Ann", Packet: 7}}}
	write(t, d, a, a)
	write(t, d, a)
	other := row(2, "text 2")
	other.C = "another message with the same number"
	if err := d.Write([]*Append{{Room: "r", Rows: []Row{other}}}); !errors.Is(err, ErrTaken) {
		t.Errorf("two messages with one number: %v, want ErrTaken", err)
	}
	write(t, d, &Append{Room: "r", Changes: []Change{{ID: "a", Name: "Anna", Packet: 3}, {ID: "b", Name: "Bob"}}})
	if got := page(t, d, Page{Room: "r", Limit: 50}); len(got) != 2 {
		t.Errorf("messages %v, want 1 and 2", got)
	}
	members, err := d.Members("r", "", 10)
	if want := []Change{{ID: "a", Name: "Anna", Packet: 7}, {ID: "b", Name: "Bob"}}; err != nil || !reflect.DeepEqual(members, want) {
		t.Errorf("members %+v, %v, want %+v", members, err, want)
	}
	if s := d.Stats(); s != (Stats{Transactions: 3, Rows: 2, Known: 4}) {
		t.Errorf("counted %+v", s)
	}
	write(t, d, &Append{Room: "r", Changes: []Change{{ID: "a", Gone: true}, {ID: "nobody", Gone: true}}})
	if members, err = d.Members("r", "", 10); err != nil || len(members) != 1 {
		t.Errorf("after one has gone: %+v, %v", members, err)
	}
	if err := d.Forget(); err != nil {
		t.Fatal(err)
	}
	if members, err = d.Members("r", "", 10); err != nil || len(members) != 0 {
		t.Errorf("after all are forgotten: %+v, %v", members, err)
	}
}

// A transaction that fails leaves nothing behind, neither in the file nor in what is remembered of it.
func TestFailedTransaction(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "chat.db"))
	bad := row(1, "text 1")
	bad.N = 1 << 63 // as a signed number it is negative, and allowed: the trigger refuses it
	if _, err := d.sql.Exec(`CREATE TRIGGER no BEFORE INSERT ON messages WHEN new.n < 0 BEGIN SELECT RAISE(ABORT, 'no'); END`); err != nil {
		t.Fatal(err)
	}
	if err := d.Write([]*Append{{Room: "new", Rows: []Row{row(1, "text 1"), bad}}}); err == nil {
		t.Fatal("the transaction did not fail")
	}
	if heads, err := d.Heads("", 10); err != nil || len(heads) != 0 {
		t.Fatalf("rooms %v, %v, want none", heads, err)
	}
	write(t, d, &Append{Room: "new", Rows: []Row{row(1, "text 1")}})
	if got := page(t, d, Page{Room: "new", Limit: 5}); len(got) != 1 {
		t.Errorf("messages %v, want 1", got)
	}
}
