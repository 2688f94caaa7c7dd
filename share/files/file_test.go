// SPDX-License-Identifier: Apache-2.0

package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

func TestReload(t *testing.T) {
	path := file(t, "m.json", `{"orc": {"hp": 30}}`)
	f := load[monsters](t, path)
	table := f.Table()
	if v := table.Load(); table.Name() != "m" || v.Number() != 1 || !strings.HasPrefix(v.Source(), path+" (sha256 ") || f.Path() != path {
		t.Errorf("table %q, version %d from %q", table.Name(), v.Number(), v.Source())
	}
	reload := func(wantChanged bool, wantHP int) {
		t.Helper()
		changed, err := f.Reload()
		if hp := table.Get()["orc"].HP; changed != wantChanged || err != nil || f.Err() != nil || hp != wantHP {
			t.Errorf("changed %v, %v, and the orc has %d; want %v, %d", changed, err, hp, wantChanged, wantHP)
		}
	}
	reload(false, 30)
	replace(t, path, `{"orc": {"hp": 35}}`)
	reload(true, 35)
	replace(t, path, `{"orc": {"hp": 35}}`) // another file of the same content
	reload(false, 35)

	replace(t, path, `{"orc": `)
	for range 2 {
		changed, err := f.Reload()
		wantError(t, err, ErrSyntax, 1, path)
		if changed || table.Load().Number() != 2 || !errors.Is(f.Err(), ErrSyntax) {
			t.Errorf("changed %v, version %d, %v", changed, table.Load().Number(), f.Err())
		}
	}
	replace(t, path, `{"orc": {"hp": 35}}`)
	reload(false, 35)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err := f.Reload()
	wantError(t, err, fs.ErrNotExist, 0, path, "no such file")
	write(t, path, `{"orc": {"hp": 36}}`)
	reload(true, 36)
}

func TestLoadFails(t *testing.T) {
	dir := t.TempDir()
	tree := filepath.Join(dir, "dir.json")
	if err := os.Mkdir(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	large := file(t, "large.json", `"`+strings.Repeat("x", 100)+`"`)
	for _, c := range []struct {
		path string
		opts []Option
		kind error
		part string
	}{
		{filepath.Join(dir, "none.yaml"), nil, fs.ErrNotExist, "stat: no such file"},
		{filepath.Join(dir, "a.toml"), nil, ErrFormat, `".toml", want .json`},
		{filepath.Join(dir, "a"), nil, ErrFormat, `extension is ""`},
		{tree, nil, fs.ErrInvalid, "no regular file (d"},
		{"/dev/null/x.json", nil, nil, "not a directory"},
		{large, []Option{MaxSize(101)}, ErrTooLarge, "has 102 bytes, 101 are allowed"},
		{large, []Option{MaxSize(0)}, ErrOption, "MaxSize(0), want at least 1"},
		{large, []Option{Validate(func(int) error { return nil })}, ErrOption, "func(int) error, want a func(string) error"},
	} {
		_, err := Load[string](c.path, c.opts...)
		if c.kind == nil {
			c.kind = err
		}
		wantError(t, err, c.kind, 0, c.path, c.part)
	}
	load[string](t, large, MaxSize(102), Validate[string](nil), nil)
	if f := load[string](t, large, Name("other")); f.Table().Name() != "other" {
		t.Errorf("the table is %q", f.Table().Name())
	}
}

func TestDefaultSizes(t *testing.T) {
	for format, want := range map[format]int64{formatJSON: DefaultMaxJSON, formatYAML: DefaultMaxYAML, formatCBOR: DefaultMaxCBOR} {
		if o, err := newOptions[any]("a", format, nil); err != nil || o.maxSize != want {
			t.Errorf("format %d: %+v, %v, want %d", format, o, err, want)
		}
	}
	path := file(t, "a.yaml", "")
	if err := os.Truncate(path, DefaultMaxYAML+1); err != nil {
		t.Fatal(err)
	}
	_, err := Load[any](path)
	wantError(t, err, ErrTooLarge, 0, "4194305 bytes")
}

var errHP = errors.New("no hp")

func TestValidate(t *testing.T) {
	path := file(t, "m.yaml", "orc: {hp: 0}")
	strict := true
	check := Validate(func(all monsters) error {
		if strict && all["orc"].HP < 1 {
			return errHP
		}
		return nil
	})
	_, err := Load[monsters](path, check)
	wantError(t, err, ErrValue, 0, "refused: no hp")
	if !errors.Is(err, errHP) {
		t.Errorf("%v does not wrap the reason", err)
	}
	write(t, path, "orc: {hp: 1}")
	f := load[monsters](t, path, check)
	write(t, path, "orc: {hp: 0}")
	if _, err = f.Reload(); !errors.Is(err, errHP) || f.Table().Get()["orc"].HP != 1 {
		t.Errorf("%v, table %v", err, f.Table().Get())
	}
	strict = false // the same content is judged again
	if changed, err := f.Reload(); !changed || err != nil {
		t.Errorf("changed %v, %v", changed, err)
	}
}

func TestValidateTree(t *testing.T) {
	path := file(t, "n.json", "null")
	var got any = "not called"
	load[any](t, path, Validate(func(v any) error { got = v; return nil }))
	if got != nil {
		t.Errorf("got %v, want null", got)
	}
}

// A touchy value panics while it is decoded.
type touchy struct{}

func (*touchy) UnmarshalText([]byte) error { panic("touched") }

func TestPanicsAreErrors(t *testing.T) {
	for _, name := range []string{"t.json", "t.yaml", "t.cbor"} {
		text := `"x"`
		if name == "t.cbor" {
			text = "\x61x"
		}
		path := file(t, name, text)
		if name != "t.cbor" { // which has TextUnmarshalers only when asked for
			_, err := Load[touchy](path)
			wantError(t, err, ErrValue, 0, "panicked: touched")
		}
		_, err := Load[string](path, Validate(func(string) error { panic("boom") }))
		wantError(t, err, ErrValue, 0, "panicked: boom")
	}
}

// A restless file changes while it is read, as often as it is told to.
type restless struct {
	*os.File
	path    string
	changes *int
	how     func(path string)
}

func (r restless) Read(p []byte) (int, error) {
	n, err := r.File.Read(p[:min(len(p), 5)])
	if *r.changes > 0 {
		*r.changes--
		r.how(r.path)
	}
	return n, err
}

func TestFileThatChangesWhileItIsRead(t *testing.T) {
	grow := func(path string) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = io.WriteString(f, " ")
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Error(err)
		}
	}
	cut := func(path string) {
		if err := os.WriteFile(path, []byte(`{"orc": {"hp": 2}}`), 0o600); err != nil {
			t.Error(err)
		}
	}
	for _, how := range []func(string){grow, cut} {
		for changes, want := range map[int]error{2: nil, 1000: ErrChanging} {
			path := file(t, "m.json", `{"orc": {"hp": 1}}`+strings.Repeat(" ", 50))
			left := changes
			f, err := Load[monsters](path, func(o *options) {
				o.open = func(path string) (handle, error) {
					f, err := os.Open(path)
					return restless{f, path, &left, how}, err
				}
			})
			if !errors.Is(err, want) || left == changes {
				t.Errorf("%d changes gave %v, want %v; %d are left", changes, err, want, left)
			}
			if err == nil && f.Table().Get()["orc"].HP == 0 {
				t.Errorf("got %v", f.Table().Get())
			}
		}
	}
}

// A short file ends before its size says so.
type short struct{ *os.File }

func (s short) Read([]byte) (int, error) { return 0, io.EOF }

func TestFileThatIsShorterThanItsSize(t *testing.T) {
	_, err := Load[int](file(t, "n.json", "12"), func(o *options) {
		o.open = func(path string) (handle, error) {
			f, err := os.Open(path)
			return short{f}, err
		}
	})
	wantError(t, err, ErrChanging, 0, "written to while it is read")
}

// Readers and reloads of all sides at once: each version is one of the files.
func TestReloadUnderLoad(t *testing.T) {
	testutil.NoLeaks(t)
	rng := testutil.Rand(t)
	states := make([]map[string]int, 20)
	for i := range states {
		states[i] = make(map[string]int)
		for range 1 + rng.IntN(50) {
			states[i][string(rune('a'+rng.IntN(26)))] = i
		}
	}
	path := filepath.Join(t.TempDir(), "s.cbor")
	write(t, path, toCBOR(t, states[0]))
	f := load[map[string]int](t, path)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for last := uint64(0); ; {
				v := f.Table().Load()
				if v.Number() < last || !oneOf(states, v.Value()) {
					t.Errorf("version %d after %d is %v", v.Number(), last, v.Value())
					return
				}
				last = v.Number()
				select {
				case <-done:
					return
				default:
				}
				if _, err := f.Reload(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 200 {
		replace(t, path, toCBOR(t, states[rng.IntN(len(states))]))
	}
	replace(t, path, toCBOR(t, states[7]))
	close(done)
	wg.Wait()
	if _, err := f.Reload(); err != nil || !reflect.DeepEqual(f.Table().Get(), states[7]) {
		t.Errorf("ended with %v, %v, want %v", f.Table().Get(), err, states[7])
	}
}

func oneOf(states []map[string]int, value map[string]int) bool {
	for _, state := range states {
		if reflect.DeepEqual(state, value) {
			return true
		}
	}
	return false
}

func TestDateOfAFileIsNotTrustedAtOnce(t *testing.T) {
	path := file(t, "n.json", "1")
	for _, c := range []struct {
		age  time.Duration
		want bool
	}{{0, false}, {time.Hour, true}, {-time.Hour, true}} {
		date(t, path, time.Now().Add(-c.age))
		f := load[int](t, path)
		if f.settled != c.want {
			t.Errorf("a file of the age %v: settled is %v, want %v", c.age, f.settled, c.want)
		}
	}
}
