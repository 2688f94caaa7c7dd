// SPDX-License-Identifier: Apache-2.0

package member

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster/internal/store"
	"github.com/skybus-io/skybus/internal/testutil"
)

func fmtAddr(i int) string { return addr.Addr(0x10000 + i).String() }

// TestHostileValues: whatever the engine has, what makes sense is believed and nothing else, and those
// who keep to the rules are not disturbed.
func TestHostileValues(t *testing.T) {
	const host = `{"v":1,"links":["h:1"],"incarnation":1,"template":"8.8.8.8","state":"here"}`
	const bound = `{"v":1,"host":"evil","kind":"bound"}`
	hostile := map[string]string{
		"hosts/evil":           host,
		"hosts/":               host,
		"hosts/a b":            host,
		"hosts/nolink":         `{"v":1,"links":[],"incarnation":1,"template":"8.8.8.8","state":"here"}`,
		"hosts/badlink":        `{"v":1,"links":["\u0000"],"incarnation":1,"template":"8.8.8.8","state":"here"}`,
		"hosts/long":           `{"v":1,"links":["` + strings.Repeat("x", 60000) + `:1"],"incarnation":1,"template":"8.8.8.8","state":"here"}`,
		"hosts/wide":           `{"v":1,"links":["h:1"],"incarnation":1,"template":"99","state":"here"}`,
		"hosts/minus":          `{"v":1,"links":["h:1"],"incarnation":-1,"template":"8.8.8.8","state":"here"}`,
		"hosts/future":         `{"v":7,"links":["h:1"],"incarnation":1,"template":"8.8.8.8","state":"here","more":{"a":[1]}}`,
		"routes/00000001-32":   bound,
		"routes/00000002-32":   `{"v":1,"host":"west","kind":"bound"}`, // west has it not
		"routes/00000003-32":   `{"v":1,"host":"nobody","kind":"bound"}`,
		"routes/00000004-32":   `garbage`,
		"routes/00000000-32":   bound,
		"routes/00000100-24":   bound, // bound, and no address
		"routes/00000200-24":   `{"v":1,"host":"evil","kind":"configured","desc":"` + strings.Repeat("x", 96) + `"}`,
		"routes/00000300-24":   `{"v":1,"host":"evil","kind":"configured","priority":8}`,
		"routes/00000400-24":   `{"v":1,"host":"evil","kind":"configured","release":"never"}`,
		"routes/00000500-24":   `{"v":1,"host":"evil","kind":"configured","priority":3}`,
		"routes/00000501-24":   bound,
		"routes/00000600-33":   bound,
		"routes/600-24":        bound,
		"routes/0000ABCD-32":   bound,
		"routes/x":             bound,
		"groups/g/evil":        `{"v":1,"members":-3}`,
		"groups/g/west":        `{"v":1,"members":3}`, // west has none
		"groups/g/h/evil":      `{"v":1,"members":3}`,
		"groups//evil":         `{"v":1,"members":3}`,
		"groups/good/evil":     `{"v":1,"members":3}`,
		"what/else":            `?`,
		"":                     `?`,
		"hosts/\xff\xfe":       host,
		"routes/\x00\x00\x00":  bound,
		"groups/\xff/evil\x00": `{"v":1,"members":3}`,
	}
	inWorld(t, store.Limits{}, func(w *world) {
		west, east := w.join("west"), w.join("east")
		west.bind("0.0.9.9")
		w.same(soon, "0.0.9.9=west+")
		for key, text := range hostile {
			w.e.put(t, key, []byte(text))
		}
		w.quiet(2 * time.Second)
		want := "0.0.0.1=evil+ 0.0.5.*=evil+ 0.0.9.9=west+"
		equal(t, "east", east.text(), want)
		equal(t, "west", west.text(), want)
		equal(t, "hosts", east.routes.Hosts, "[{evil h:1} {future h:1} {west west.example:7100}]")
		equal(t, "groups", fmt.Sprint(east.m.Group("good"), east.m.Group("g")), "[{evil 3}] []")
		west.bind("0.0.9.9", "0.0.0.4", "0.0.0.3")
		w.until(soon, "what cannot be read is no conflict", func() bool { return strings.Contains(east.text(), "0.0.0.4=west+") })
		equal(t, "somebody who is not known is one", west.stateOf("0.0.0.3", "west").Conflict, "nobody")
		if n := len(east.status().Problems); n < 10 || n > maxShown+1 {
			t.Errorf("%d problems are told of", n)
		}
		late := w.join("late") // from a snapshot
		w.quiet(soon)
		equal(t, "late", late.text(), west.text())
		for key := range hostile {
			w.e.put(t, key, nil)
		}
		w.until(3*time.Second, "all is well", func() bool { return late.text() == "0.0.0.3=west+ 0.0.0.4=west+ 0.0.9.9=west+" })
	})
}

// TestMoreProblemsThanAreTold: the list of them is bounded, as is the log.
func TestMoreProblemsThanAreTold(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west := w.join("west")
		for i := range maxNotices + 500 {
			w.e.put(t, fmt.Sprint("nothing/", i), []byte("x"))
		}
		w.quiet(soon)
		equal(t, "told", west.logged("what the cluster's engine has is passed over"), maxNotices)
		equal(t, "told of the rest", west.logged("more is wrong with the cluster"), 1)
		equal(t, "in a report", len(west.status().Problems), maxShown+1)
	})
}

// TestValuesReadWhatTheyWrite is for random values of all kinds.
func TestValuesReadWhatTheyWrite(t *testing.T) {
	rng := testutil.Rand(t)
	for range 2000 {
		id, v := randomValue(rng)
		got, err := parseKey(id.key())
		if err != nil || got != id {
			t.Fatalf("key %q: got %+v, %v", id.key(), got, err)
		}
		back, err := parseValue(id, v.encode())
		if err != nil || !reflect.DeepEqual(back, v) {
			t.Fatalf("key %q, value %s: %+v, %v", id.key(), v.encode(), back, err)
		}
	}
}

func randomValue(rng *rand.Rand) (id ident, v value) {
	name := fmt.Sprint("h", rng.IntN(100))
	switch rng.IntN(3) {
	case 0:
		id.kind, id.host = kindHost, name
		v.host = &hostValue{
			V: 1 + rng.IntN(3), Links: []string{name + ":1", "[::1]:65535"}[:1+rng.IntN(2)], Fingerprint: strings.Repeat("0f", 32*rng.IntN(2)),
			Incarnation: 1 + rng.Uint64N(1<<63), Template: "16.16", State: []string{stateHere, stateLeft}[rng.IntN(2)],
		}
	case 1:
		id.kind = kindRoute
		id.prefix.Bits = uint8(rng.IntN(33))
		id.prefix.Addr = addr.Addr(rng.Uint32()|1<<31) &^ addr.Addr(uint64(1)<<(32-id.prefix.Bits)-1)
		v.route = &routeValue{V: 1, Host: name, Kind: kindConfigured, Priority: uint8(rng.IntN(8)), Desc: "<&>\"", To: []string{"", "x"}[rng.IntN(2)]}
		v.route.Release = 1
	default:
		id.kind, id.host, id.group = kindGroup, name, "g.☃"
		v.group = &groupValue{V: 1, Members: 1 + rng.IntN(1000)}
	}
	return id, v
}

// FuzzValues: whatever a key and its value are, they are refused, or within the bounds and read again as
// they are written.
func FuzzValues(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		id, v := randomValue(rng)
		f.Add(id.key(), v.encode())
	}
	f.Add("hosts/x", []byte(`{"v":1e400}`))
	f.Add("routes/00000000-00", []byte(`{"V":1,"host":"x","Kind":"configured","v":2}`))
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		id, err := parseKey(key)
		if err != nil {
			return
		}
		if id.key() != key {
			t.Fatalf("key %q is read as %+v, which is written %q", key, id, id.key())
		}
		v, err := parseValue(id, data)
		if err != nil {
			if v != (value{}) {
				t.Fatalf("%v, and %+v", err, v)
			}
			return
		}
		again, err := parseValue(id, v.encode())
		if err != nil || !bytes.Equal(again.encode(), v.encode()) {
			t.Fatalf("%s is read as %s, and that: %v", data, v.encode(), err)
		}
	})
}

// FuzzSaved: a last good copy is refused, or has keys and values that can be read, whatever its bytes are. The sum is
// made right: it stops nobody who means it.
func FuzzSaved(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	st := &savedState{Cluster: "c", Life: "00c0ffee00c0ffee", Revision: 7}
	for range 5 {
		id, v := randomValue(rng)
		st.Keys = append(st.Keys, savedKey{id.key(), v.encode(), 5, 6})
	}
	f.Add(encode(st))
	f.Add([]byte(`{"cluster":"c","life":"0000000000000000","keys":[{"key":"hosts/x"}]}`))
	f.Fuzz(func(t *testing.T, state []byte) {
		if !json.Valid(state) {
			return
		}
		file := encode(&saved{V: 1, State: state})
		var compact saved
		if err := json.Unmarshal(file, &compact); err != nil {
			t.Fatal(err)
		}
		compact.Sum = sumOf(compact.State)
		got, list, err := parseSaved(encode(&compact), "c")
		if err != nil {
			return
		}
		m := newMirror("/", time.Second, func(key string, err error) { t.Errorf("%s: %v", key, err) })
		m.load(got, list, time.Unix(1, 0), time.Unix(2, 0))
		for key, e := range m.entries {
			if v, err := parseValue(e.ident, e.value.encode()); err != nil || e.key() != key {
				t.Fatalf("%s: %+v, %v", key, v, err)
			}
		}
	})
}
