// SPDX-License-Identifier: Apache-2.0

package names

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func claim(handle uint64, f Flags) Claim {
	return Claim{Owner: Owner{Addr: 1, Handle: handle}, Flags: f}
}

// The rules of RequestName, one by one.
func TestAsk(t *testing.T) {
	for _, c := range []struct {
		what   string
		list   []Claim
		ask    Claim
		want   []Claim
		stands Standing
		err    error
	}{
		{"a free name", nil, claim(1, 0), []Claim{claim(1, 0)}, Owns, nil},
		{"a free name, not to wait", nil, claim(1, NoQueue), []Claim{claim(1, NoQueue)}, Owns, nil},
		{"by its owner", []Claim{claim(1, 0), claim(2, 0)}, claim(1, AllowReplacement), []Claim{claim(1, AllowReplacement), claim(2, 0)}, Owns, nil},
		{"by its owner, to replace", []Claim{claim(1, AllowReplacement)}, claim(1, Replace), []Claim{claim(1, Replace)}, Owns, nil},
		{"taken", []Claim{claim(1, 0), claim(2, 0)}, claim(3, 0), []Claim{claim(1, 0), claim(2, 0), claim(3, 0)}, Waits, nil},
		{"taken, not to wait", []Claim{claim(1, 0)}, claim(2, NoQueue), []Claim{claim(1, 0)}, 0, ErrTaken},
		{"taken, to replace who does not allow it", []Claim{claim(1, 0), claim(2, 0)}, claim(3, Replace),
			[]Claim{claim(1, 0), claim(2, 0), claim(3, Replace)}, Waits, nil},
		{"the same, not to wait", []Claim{claim(1, 0)}, claim(2, Replace|NoQueue), []Claim{claim(1, 0)}, 0, ErrTaken},
		{"replaced", []Claim{claim(1, AllowReplacement), claim(2, 0)}, claim(3, Replace),
			[]Claim{claim(3, Replace), claim(1, AllowReplacement), claim(2, 0)}, Owns, nil},
		{"replaced, who does not wait", []Claim{claim(1, AllowReplacement|NoQueue), claim(2, 0)}, claim(3, Replace|NoQueue),
			[]Claim{claim(3, Replace|NoQueue), claim(2, 0)}, Owns, nil},
		{"replaced by one of the queue", []Claim{claim(1, AllowReplacement), claim(2, 0), claim(3, 0)}, claim(3, Replace),
			[]Claim{claim(3, Replace), claim(1, AllowReplacement), claim(2, 0)}, Owns, nil},
		{"again from the queue", []Claim{claim(1, 0), claim(2, 0), claim(3, 0)}, claim(2, AllowReplacement),
			[]Claim{claim(1, 0), claim(2, AllowReplacement), claim(3, 0)}, Waits, nil},
		{"again from the queue, not to wait", []Claim{claim(1, 0), claim(2, 0), claim(3, 0)}, claim(2, NoQueue),
			[]Claim{claim(1, 0), claim(3, 0)}, 0, ErrTaken},
	} {
		before := slices.Clone(c.list)
		got, stands, err := Ask(c.list, c.ask)
		if !slices.Equal(got, c.want) || stands != c.stands || !errors.Is(err, c.err) {
			t.Errorf("%s: got %v, %v, %v; want %v, %v, %v", c.what, got, stands, err, c.want, c.stands, c.err)
		}
		if !slices.Equal(c.list, before) {
			t.Errorf("%s: the list was changed", c.what)
		}
	}
}

// What holds for any queue, after any request.
func TestQueueInvariants(t *testing.T) {
	rng := testutil.Rand(t)
	for range 2000 {
		var list []Claim
		for range rng.IntN(40) {
			list = anyStep(t, rng, list)
		}
	}
}

func anyStep(t *testing.T, rng *rand.Rand, list []Claim) []Claim {
	t.Helper()
	o := Owner{Addr: 1, Handle: rng.Uint64N(8)}
	if rng.IntN(3) == 0 {
		got, err := GiveUp(list, o)
		if had := find(list, o) >= 0; had != (err == nil) || find(got, o) >= 0 || had && len(got) != len(list)-1 {
			t.Fatalf("%v gives up: %v to %v, %v", o, list, got, err)
		}
		return got
	}
	c := Claim{Owner: o, Flags: Flags(rng.UintN(8)), Life: rng.Uint64N(3)}
	got, stands, err := Ask(list, c)
	at := find(got, o)
	switch {
	case err != nil && (c.Flags&NoQueue == 0 || at >= 0 || len(list) == 0):
		t.Fatalf("%+v is refused: %v to %v", c, list, got)
	case err == nil && (at < 0 || got[at] != c || (stands == Owns) != (at == 0) || stands == Waits && c.Flags&NoQueue != 0):
		t.Fatalf("%+v stands %v: %v to %v", c, stands, list, got)
	case at == 0 && len(list) > 0 && list[0].Owner != o && (c.Flags&Replace == 0 || list[0].Flags&AllowReplacement == 0):
		t.Fatalf("%+v has taken it from %+v", c, list[0])
	case at != 0 && len(list) > 0 && (len(got) == 0 || got[0] != list[0]):
		t.Fatalf("the owner has changed from %v to %v", list, got)
	}
	for i := range got {
		if find(got, got[i].Owner) != i {
			t.Fatalf("%v has two claims: %v", got[i].Owner, got)
		}
	}
	return got
}

func TestCheck(t *testing.T) {
	for _, name := range []string{"a", strings.Repeat("x", MaxName), "名", ".a", "a.b-c_d"} {
		if err := Check(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", MaxName+1), " ", "a\tb", "a\n", "a\r", "/", "a:b"} {
		if Check(name) == nil {
			t.Errorf("%q passes for a name", name)
		}
	}
}
