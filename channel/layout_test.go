// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/shm"
)

func init() { children["layout"] = layoutChild }

// layoutChild opens the domain under args[0] and prints what came of it.
func layoutChild(args []string) {
	_, err := Open(args[0], testKey, Config{Access: shm.Keep}, args[1] == "create")
	fmt.Printf("layout %v, damaged %v: %v\n", errors.Is(err, shm.ErrLayout), errors.Is(err, ErrDamaged), err)
}

// patch changes the bytes of a file.
func patch(t *testing.T, path string, off int64, b ...byte) {
	t.Helper()
	f := must(os.OpenFile(path, os.O_WRONLY, 0))(t)
	defer f.Close()
	must(f.WriteAt(b, off))(t)
}

// setLayout gives a segment another layout version, with a checksum that is right.
func setLayout(t *testing.T, path string, layout uint32) {
	t.Helper()
	f := must(os.Open(path))(t)
	defer f.Close()
	h := make([]byte, shm.HeaderSize)
	must(io.ReadFull(f, h))(t)
	binary.LittleEndian.PutUint32(h[8:], layout)
	binary.LittleEndian.PutUint32(h[12:], 0)
	binary.LittleEndian.PutUint32(h[12:], crc32.Checksum(h, crc32.MakeTable(crc32.Castagnoli)))
	patch(t, path, 0, h...)
}

// picture describes every file in a folder: its name, mode, size, time and bytes.
func picture(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, d := range must(os.ReadDir(dir))(t) {
		f := must(os.Open(dir + "/" + d.Name()))(t)
		st := must(f.Stat())(t)
		sum := crc32.NewIEEE()
		must(io.Copy(sum, f))(t)
		f.Close()
		files[d.Name()] = fmt.Sprint(st.Mode(), st.Size(), st.ModTime(), sum.Sum32())
	}
	return files
}

func wantPicture(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	if got := picture(t, dir); !maps.Equal(got, want) {
		t.Errorf("the domain was changed:\n%v\n%v", want, got)
	}
}

// The lanes of a domain whose files are going to be damaged; each holds the
// messages 0 to 4.
var usedPairs = []Pair{{addrA, addrB}, {addrC, addrB}, {addrA, addrD}}

// usedDomain makes a domain, uses it and closes it.
func usedDomain(t *testing.T) (root, dir string) {
	t.Helper()
	root = testutil.Dir(t)
	table := must(Open(root, testKey, Config{Access: shm.Keep}, true))(t)
	defer table.Close()
	for _, a := range []addr.Addr{addrA, addrB, addrC, addrD} {
		must(table.Bind(a))(t).Close()
	}
	for _, p := range usedPairs {
		s := must(table.NewSender(p))(t)
		for k := range 5 {
			check(t, s.Send(payload(k, 100)))
		}
		s.Close()
	}
	return root, table.dir
}

func TestOtherLayoutChangesNothing(t *testing.T) {
	for _, layout := range []uint32{0, shm.Layout + 1, 1 << 31} {
		root, dir := usedDomain(t)
		// What this build would put right in a domain of its own:
		check(t, os.WriteFile(dir+"/.tmp-i-00000009", []byte("half"), 0o600))
		check(t, os.WriteFile(dir+"/unknown", []byte("of a later build"), 0o600))
		patch(t, dir+"/table", tableStateAt+8, 1) // a change that was cut off
		setLayout(t, dir+"/table", layout)
		before := picture(t, dir)
		for _, create := range []bool{false, true} {
			_, err := Open(root, testKey, Config{Strict: true, Access: shm.Keep}, create)
			wantErr(t, err, shm.ErrLayout)
			if errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), fmt.Sprint(layout)) {
				t.Errorf("the error is %q", err)
			}
		}
		wantPicture(t, dir, before)
	}
}

func TestOtherLayoutInAnotherProcess(t *testing.T) {
	table := newDomain(t, Config{Access: shm.Keep})
	to := bindReader(t, table, addrB)
	bind(t, table, addrA)
	s := newSender(t, table, addrA, addrB)
	check(t, s.Send(payload(0, 100)))
	setLayout(t, table.path("table"), shm.Layout+1)
	before := picture(t, table.dir)
	for _, how := range []string{"open", "create"} {
		cmd := child("layout", rootOf(table), how)
		cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0") // or it lingers for a second
		out := must(cmd.Output())(t)
		if !strings.HasPrefix(string(out), "layout true, damaged false") {
			t.Errorf("%s: %s", how, out)
		}
	}
	wantPicture(t, table.dir, before)
	check(t, s.Send(payload(1, 100))) // whoever is in goes on
	wantNumbers(t, to.all(), 0, 2)
}

// A fault is something that can be wrong with a file, and the error for it.
type fault struct {
	name string
	make func(t *testing.T, path string)
	want error
}

// faults are those of any segment.
func faults() []fault {
	list := []fault{
		{"magic", func(t *testing.T, path string) { patch(t, path, 3, '?') }, shm.ErrMagic},
		{"checksum", func(t *testing.T, path string) { patch(t, path, 127, 0xff) }, shm.ErrChecksum},
		{"zeros", func(t *testing.T, path string) { patch(t, path, 0, make([]byte, shm.HeaderSize)...) }, shm.ErrMagic},
		{"longer", func(t *testing.T, path string) { resize(t, path, func(n int64) int64 { return n + 1 }) }, shm.ErrTruncated},
		{"one byte less", func(t *testing.T, path string) { resize(t, path, func(n int64) int64 { return n - 1 }) }, shm.ErrTruncated},
	}
	for _, n := range []int64{0, 1, shm.HeaderSize - 1, shm.HeaderSize, pageSize - 1} {
		cut := func(t *testing.T, path string) { resize(t, path, func(int64) int64 { return n }) }
		list = append(list, fault{fmt.Sprintf("%d bytes", n), cut, shm.ErrTruncated})
	}
	return list
}

func resize(t *testing.T, path string, size func(int64) int64) {
	t.Helper()
	check(t, os.Truncate(path, size(must(os.Stat(path))(t).Size())))
}

func TestTableWithFaults(t *testing.T) {
	list := append(faults(), fault{"of another domain", func(t *testing.T, path string) {
		other := must(Open(testutil.Dir(t), testKey+1, Config{Access: shm.Keep}, true))(t)
		defer other.Close()
		check(t, os.Rename(other.path("table"), path))
	}, ErrDamaged})
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) {
			root, dir := usedDomain(t)
			f.make(t, dir+"/table")
			before, mapped := picture(t, dir), shm.Mapped()
			for _, create := range []bool{false, true} {
				_, err := Open(root, testKey, Config{Access: shm.Keep}, create)
				wantErr(t, err, ErrDamaged)
				wantErr(t, err, f.want)
				if !strings.Contains(err.Error(), dir+"/table") {
					t.Errorf("the error does not name the file: %v", err)
				}
			}
			wantPicture(t, dir, before)
			if shm.Mapped() != mapped {
				t.Error("the table that was refused stays mapped")
			}
		})
	}
}

// laneFaults are those of a lane's segment, of the generation that alone exists.
func laneFaults() []fault {
	return append(faults(),
		fault{"of another lane", func(t *testing.T, path string) {
			other := strings.Replace(path, laneName(usedPairs[0], 1), laneName(usedPairs[1], 1), 1)
			check(t, os.WriteFile(path, must(os.ReadFile(other))(t), 0o660))
		}, ErrDamaged},
		fault{"gone", func(t *testing.T, path string) { check(t, os.Remove(path)) }, os.ErrNotExist},
	)
}

func TestLaneWithFaults(t *testing.T) {
	bad := usedPairs[0]
	for _, f := range laneFaults() {
		for _, first := range []string{"sender", "reader"} {
			t.Run(f.name+", "+first+" first", func(t *testing.T) {
				root, dir := usedDomain(t)
				f.make(t, dir+"/"+laneName(bad, 1))
				table := reopenDomain(t, root, Config{Access: shm.Keep})
				if first == "sender" {
					wantDamagedSender(t, table, bad, f.want)
				}
				to := bindReader(t, table, addrB)
				var told []error
				to.drain.OnDamage = func(src addr.Addr, err error) {
					if src != bad.Src {
						t.Errorf("the lane from %s is said to be damaged: %v", table.Format(src), err)
					}
					told = append(told, err)
				}
				wantNumbers(t, to.all(), 0, 5) // from addrC
				if first == "reader" {
					if len(told) != 1 {
						t.Fatalf("told of %d damages: %v", len(told), told)
					}
					wantErr(t, told[0], ErrDamaged)
					wantErr(t, told[0], f.want)
					wantDamagedSender(t, table, bad, ErrDamaged)
				}
				wantErr(t, to.drain.Damaged(), ErrDamaged)
				othersGoOn(t, table, to)
				wantQuarantined(t, reopenDomain(t, root, Config{Access: shm.Keep}), bad)
				to.drain.Close()
				to.Binding.Close()
				remakes(t, table, bad)
			})
		}
	}
}

func wantDamagedSender(t *testing.T, table *Table, p Pair, kind error) {
	t.Helper()
	_, err := table.NewSender(p)
	wantErr(t, err, ErrDamaged)
	wantErr(t, err, kind)
	if !strings.Contains(err.Error(), table.FormatPair(p)) {
		t.Errorf("the error does not name the lane: %v", err)
	}
}

// othersGoOn sends and receives on the lanes that are whole.
func othersGoOn(t *testing.T, table *Table, toB end) {
	t.Helper()
	toD := bindReader(t, table, addrD)
	wantNumbers(t, toD.all(), 0, 5)
	for i, to := range []end{toB, toD} {
		s := newSender(t, table, usedPairs[1+i].Src, usedPairs[1+i].Dst)
		for k := range 3 {
			check(t, s.Send(payload(k, 100)))
		}
		wantNumbers(t, to.all(), 0, 3)
		s.Close()
	}
	toD.drain.Close()
	toD.Binding.Close()
}

// wantQuarantined wants every process to see that lane, and no other, out of use.
func wantQuarantined(t *testing.T, table *Table, want ...Pair) {
	t.Helper()
	var got []Pair
	for _, l := range table.Lanes() {
		if l.Damage != "" {
			got = append(got, Pair{l.Src, l.Dst})
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("in quarantine are %v, want %v", got, want)
	}
}

// remakes has an operator put the lane right.
func remakes(t *testing.T, table *Table, p Pair) {
	t.Helper()
	_, done, err := table.Clean(p)
	if err != nil || !done {
		t.Fatalf("clean: %v, %v", done, err)
	}
	to := bindReader(t, table, p.Dst)
	check(t, newSender(t, table, p.Src, p.Dst).Send(payload(0, 100)))
	wantNumbers(t, to.all(), 0, 1)
	wantQuarantined(t, table)
	wantClean(t, table)
}

// A lane of another layout is not damaged: it is left as it is.
func TestLaneOfOtherLayout(t *testing.T) {
	root, dir := usedDomain(t)
	p := usedPairs[0]
	setLayout(t, dir+"/"+laneName(p, 1), shm.Layout+1)
	table := reopenDomain(t, root, Config{Access: shm.Keep})
	_, err := table.NewSender(p)
	wantErr(t, err, shm.ErrLayout)
	to := bindReader(t, table, addrB)
	to.drain.OnDamage = func(_ addr.Addr, err error) { wantErr(t, err, shm.ErrLayout) }
	wantNumbers(t, to.all(), 0, 5) // from addrC
	othersGoOn(t, table, to)
	wantQuarantined(t, table)
}

func TestInboxWithFaults(t *testing.T) {
	list := append(faults(), fault{"of another address", func(t *testing.T, path string) {
		other := strings.Replace(path, inboxName(addrB), inboxName(addrD), 1)
		check(t, os.WriteFile(path, must(os.ReadFile(other))(t), 0o660))
	}, ErrDamaged})
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) {
			root, dir := usedDomain(t)
			path := dir + "/" + inboxName(addrB)
			f.make(t, path)
			table := reopenDomain(t, root, Config{Access: shm.Keep})
			_, errBind := table.Bind(addrB)
			_, errSender := table.NewSender(usedPairs[0])
			for _, err := range []error{errBind, errSender} {
				wantErr(t, err, ErrDamaged)
				wantErr(t, err, f.want)
				if !strings.Contains(err.Error(), path) {
					t.Errorf("the error does not name the file: %v", err)
				}
			}
			if must(table.locks.Bound(uint32(addrB)))(t) {
				t.Error("the address of a Bind that failed stays bound")
			}
			to := bindReader(t, table, addrD)
			wantNumbers(t, to.all(), 0, 5)
			check(t, newSender(t, table, addrA, addrD).Send(payload(0, 100)))
			wantNumbers(t, to.all(), 0, 1)
			wantQuarantined(t, table)
			if len(table.Check()) == 0 {
				t.Error("check finds nothing")
			}
		})
	}
}
