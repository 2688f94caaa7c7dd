// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"
	"testing"

	"github.com/skybus-io/skybus/names"
)

const testRoot = "/skybus/default/names/"

// TestClaimsAreTheseBytes pins keys and values: other programs read them.
func TestClaimsAreTheseBytes(t *testing.T) {
	c := claim{owner: names.Owner{Addr: 0x301, Handle: 0x1f}, pos: -3, flags: allFlags}
	if got := formatOwner(c.owner); got != "00000301-1f" {
		t.Errorf("owner %q", got)
	}
	if got := string(c.value()); got != `{"v":1,"pos":-3,"flags":"arn"}` {
		t.Errorf("value %s", got)
	}
	if got := presenceKey(testRoot, 0xabc); got != testRoot+":0000000000000abc" {
		t.Errorf("presence %q", got)
	}
}

func TestClaimsThatAreRead(t *testing.T) {
	for _, test := range []struct {
		key, value string
		want       string // part of the error; nothing: it is read
	}{
		{"bank/00000301-1f", `{"v":1,"pos":7}`, ""},
		{"bank/ffffffff-ffffffffffffffff", `{"v":2,"pos":-7,"flags":"za","more":[1]}`, ""},
		{"bank/00000000-1", `{"v":1}`, ""},
		{"bank/00000301-1f", `{"pos":7}`, "version 0, want 1 or more"},
		{"bank/00000301-1f", `pos`, "value of key"},
		{"bank/00000301-1f", ``, "value of key"},
		{"bank/00000301-1f", `{"v":1,"pos":9223372036854775808}`, "value of key"},
		{"bank/00000301-1F", `{"v":1}`, "want "},
		{"bank/301-1f", `{"v":1}`, "want "},
		{"bank/00000301-", `{"v":1}`, "want "},
		{"bank/00000301-01", `{"v":1}`, "want "},
		{"bank/00000000-0", `{"v":1}`, "want "},
		{"bank", `{"v":1}`, "want "},
		{"/00000301-1f", `{"v":1}`, "want "},
		{"a b/00000301-1f", `{"v":1}`, "want "},
		{":0000000000000abc", `here`, "want "},
	} {
		name, c, err := parseClaim(testRoot, &KV{Key: testRoot + test.key, Value: []byte(test.value)})
		switch {
		case test.want == "" && err != nil, test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s = %s: %+v, %v; want %q", test.key, test.value, c, err, test.want)
		case err == nil && name+"/"+formatOwner(c.owner) != test.key:
			t.Errorf("%s is of %s and %v", test.key, name, c.owner)
		}
	}
}

// FuzzClaim reads any key and value: either it is an error, or a claim that is written and read the same.
func FuzzClaim(f *testing.F) {
	f.Add("bank/00000301-1f", []byte(`{"v":1,"pos":7,"flags":"ar"}`))
	f.Add(":0000000000000abc", []byte("here"))
	f.Add("a/b/c", []byte(`{"v":1e9}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		name, c, err := parseClaim(testRoot, &KV{Key: testRoot + key, Value: value})
		if err != nil {
			return
		}
		again := KV{Key: testRoot + name + "/" + formatOwner(c.owner), Value: c.value()}
		if name2, c2, err := parseClaim(testRoot, &again); err != nil || name2 != name || c2 != c || again.Key != testRoot+key {
			t.Fatalf("%s %+v is read again as %s %+v, %v", name, c, name2, c2, err)
		}
	})
}

// TestBatchesAreChecked before they go anywhere.
func TestBatchesAreChecked(t *testing.T) {
	long := strings.Repeat("k", MaxKey+1)
	for name, b := range map[string]Batch{
		"an empty key":      {Do: []Op{Put("", nil, 0)}},
		"an empty compare":  {If: []Compare{{}}},
		"a long key":        {Do: []Op{Delete(long)}},
		"a long compare":    {If: []Compare{{Key: long}}},
		"a key twice":       {Do: []Op{Put("a", nil, 0), Delete("a")}},
		"a large value":     {Do: []Op{Put("a", make([]byte, MaxValue+1), 0)}},
		"too many compares": {If: make([]Compare, MaxOps+1)},
		"too many changes":  {Do: make([]Op, MaxOps+1)},
	} {
		if err := b.Check(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := (&Batch{If: []Compare{{Prefix: true}}, Do: []Op{Put("a", make([]byte, MaxValue), 7)}}).Check(); err != nil {
		t.Error(err)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	for _, c := range []NamesConfig{{Cluster: "a/b"}, {Cluster: strings.Repeat("a", 64)}, {TTL: 1}, {TTL: MaxTTL + 1}} {
		if n, err := NewNames(nil, c); err == nil {
			n.Close()
			t.Errorf("%+v is taken", c)
		}
	}
}
