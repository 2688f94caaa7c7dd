// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
)

// wantErrText checks the kind of an error and that it says what it has to.
func wantErrText(t testing.TB, err, kind error, parts ...string) {
	t.Helper()
	wantErr(t, err, kind)
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
}

func TestRulesForLanesOnDemand(t *testing.T) {
	small := addr.MustTemplate("4.4")
	tests := []struct {
		name  string
		cfg   Config
		known []addr.Addr // bound and closed before
		dst   addr.Addr
		want  string // part of the error, empty: the lane is made
	}{
		{"bound once", Config{}, []addr.Addr{addrB}, addrB, ""},
		{"never bound", Config{}, nil, addrB, "no process has ever bound it"},
		{"never bound, allowed", Config{AllowUnknown: true}, nil, addrB, ""},
		{"strict", Config{Strict: true}, nil, addrB, "is strict"},
		{"strict comes before allowed", Config{Strict: true, AllowUnknown: true}, nil, addrB, "is strict"},
		{"itself", Config{AllowUnknown: true}, nil, addrA, "no lane to itself"},
		{"none", Config{AllowUnknown: true}, nil, addr.None, "no address that template"},
		{"outside the template", Config{Template: small, AllowUnknown: true}, nil, 0x100, "no address that template 4.4"},
		{"the template's last", Config{Template: small, AllowUnknown: true}, nil, 0xff, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := newDomain(t, tt.cfg)
			for _, a := range tt.known {
				must(table.Bind(a))(t).Close()
			}
			lanes := len(table.Lanes())
			s, err := table.NewSender(Pair{addrA, tt.dst})
			if tt.want == "" {
				check(t, err)
				check(t, s.Send(payload(0, 20)))
				s.Close()
				lanes++
			} else {
				wantErrText(t, err, ErrNoRoute, tt.want)
				if _, known := table.Endpoint(tt.dst); known {
					t.Error("the refused address got an entry")
				}
			}
			if n := len(table.Lanes()); n != lanes {
				t.Errorf("%d lanes, want %d", n, lanes)
			}
			wantClean(t, table)
		})
	}
}

func TestMessagesWaitForAnAddressThatIsBoundLater(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	s := newSender(t, table, addrA, addrB)
	for k := range 5 {
		check(t, s.Send(payload(k, 20)))
	}
	wantNumbers(t, bindReader(t, table, addrB).all(), 0, 5)
}

func TestRulesForBinding(t *testing.T) {
	table := newDomain(t, Config{Template: addr.MustTemplate("4.4"), Strict: true})
	for _, a := range []addr.Addr{addr.None, 0x100} {
		if _, err := table.Bind(a); err == nil || !strings.Contains(err.Error(), "no address that template") {
			t.Errorf("bind %d: %v", a, err)
		}
	}
	_, err := table.Bind(addrA)
	wantErrText(t, err, ErrNoRoute, "is strict")
	must(table.Configure([]Channel{{A: addrA, B: addrB}}, false, false))(t)
	bind(t, table, addrA)
	bind(t, table, addrB)
	_, err = table.Bind(addrC)
	wantErr(t, err, ErrNoRoute)
}

func TestStrictIsSetAndTakenBack(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	other := reopenDomain(t, rootOf(table), Config{})
	check(t, table.SetStrict(true))
	_, err := other.NewSender(Pair{addrA, addrB})
	wantErrText(t, err, ErrNoRoute, "is strict")
	must(other.Configure([]Channel{{A: addrA, B: addrC}}, false, false))(t)
	newSender(t, other, addrA, addrC)
	newSender(t, other, addrC, addrA)
	check(t, table.SetStrict(false))
	if other.Strict() {
		t.Error("the other process still finds the domain strict")
	}
	bind(t, table, addrB)
	newSender(t, other, addrA, addrB)
}
