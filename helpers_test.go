// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

const (
	key = 1000 // of the domains of the tests: each has a folder of its own

	// patience is how long something may take that should come at once: far more
	// than it takes on a busy machine, and far less than a test may run.
	patience = 90 * time.Second

	// atOnce is what a wake-up takes at most, by a testutil.Clock, on a machine that is
	// very busy; one that was lost takes a second.
	atOnce = 700 * time.Millisecond
)

// The addresses of most tests: a sends to b.
const (
	a addr.Addr = 0x0101
	b addr.Addr = 0x0201
	c addr.Addr = 0x0301
)

// open opens the test's domain in a folder of its own. The options' zero Root is
// that folder.
func open(t testing.TB, o skybus.Options) *skybus.Domain {
	t.Helper()
	if o.Root == "" {
		o.Root = testutil.Dir(t)
	}
	d, err := skybus.Open(key, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// dynamic opens a domain in which all addresses may be sent to.
func dynamic(t testing.TB) *skybus.Domain {
	t.Helper()
	return open(t, skybus.Options{AllowUnknown: true})
}

// small opens a domain whose lanes do not grow: they take few messages.
func small(t testing.TB) *skybus.Domain {
	t.Helper()
	return open(t, skybus.Options{AllowUnknown: true, Limits: skybus.Limits{GrowBytes: 1}})
}

func bind(t testing.TB, d *skybus.Domain, at addr.Addr, opts ...skybus.BindOption) *skybus.Endpoint {
	t.Helper()
	e, err := d.Bind(at, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// pair returns two endpoints: what from sends to b, to receives.
func pair(t testing.TB, d *skybus.Domain) (from, to *skybus.Endpoint) {
	t.Helper()
	return bind(t, d, a), bind(t, d, b)
}

// soon returns a context that ends long after everything should be done.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// going is soon for something long: the context ends when no step was made for so long.
func going(t testing.TB) (ctx context.Context, step func()) {
	ctx, cancel := context.WithCancel(context.Background())
	late := time.AfterFunc(patience, cancel)
	t.Cleanup(func() { late.Stop(); cancel() })
	return ctx, func() { late.Reset(patience) }
}

func send(t testing.TB, e *skybus.Endpoint, dst addr.Addr, text string) {
	t.Helper()
	if err := e.Send(soon(t), dst, []byte(text)); err != nil {
		t.Fatalf("send %q: %v", text, err)
	}
}

func recv(t testing.TB, e *skybus.Endpoint) skybus.Message {
	t.Helper()
	m, err := e.Recv(soon(t))
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return m
}

// want fails the test unless err is, or wraps, kind.
func want(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got the error %v, want one that is %v", err, kind)
	}
}

// fill sends until the lane is full, and returns how many messages that took.
func fill(t testing.TB, e *skybus.Endpoint, dst addr.Addr, size int) (n int) {
	t.Helper()
	for ; ; n++ {
		err := e.TrySend(dst, make([]byte, size))
		if errors.Is(err, skybus.ErrFull) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// drain receives all that is there and returns the texts.
func drain(t testing.TB, e *skybus.Endpoint) (texts []string) {
	t.Helper()
	for {
		m, err := e.TryRecv()
		if errors.Is(err, skybus.ErrEmpty) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(m.Data))
	}
}

// run calls f in a goroutine and returns how to get its result; the test fails
// if that takes long.
func run(t testing.TB, f func() error) (result func() error) {
	t.Helper()
	c := make(chan error, 1)
	go func() { c <- f() }()
	return func() error {
		t.Helper()
		select {
		case err := <-c:
			return err
		case <-time.After(patience):
			t.Fatal("it does not return")
			return nil
		}
	}
}

// eventually waits until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so after %v: %s", patience, what)
		}
	}
}

// parked waits until somebody waits in the kernel for messages to at.
func parked(t testing.TB, d *skybus.Domain, at addr.Addr) {
	t.Helper()
	eventually(t, "the receiver is parked", func() bool {
		info, ok := d.Table().Endpoint(at)
		return ok && info.Sleeping
	})
	time.Sleep(2 * time.Millisecond) // from the announcement into the kernel
}

// parks returns how often the endpoint of at has waited in the kernel.
func parks(d *skybus.Domain, at addr.Addr) uint64 {
	info, _ := d.Table().Endpoint(at)
	return info.Parks
}

// number makes a payload of a number; numberOf reads it.
func number(n uint64) []byte           { return binary.LittleEndian.AppendUint64(nil, n) }
func numberOf(m skybus.Message) uint64 { return binary.LittleEndian.Uint64(m.Data) }

// rootOf returns the folder in which the domain's folder is.
func rootOf(d *skybus.Domain) string { return filepath.Dir(d.Table().Folder()) }

// mappings counts the files that this process has mapped, whose names contain
// part.
func mappings(t testing.TB, part string) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}
