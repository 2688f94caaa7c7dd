// SPDX-License-Identifier: Apache-2.0

package sock

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
)

// tcp returns the two ends of a loopback connection.
func tcp(t testing.TB) (near *Conn, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	near, err = New(accepted)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = dialed.Close()
		_ = near.Close()
	})
	return near, dialed.(*net.TCPConn)
}

// unix returns the two ends of a pair of Unix sockets.
func unix(t testing.TB) (near *Conn, far *net.UnixConn) {
	t.Helper()
	a, b, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	near, err = New(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.Close()
		_ = near.Close()
	})
	return near, b
}

// stream is a connection as a test's far end needs it.
type stream interface {
	net.Conn
	CloseWrite() error
}

// both runs a test for TCP, which tells what is left to read, and for Unix sockets,
// which do not.
func both(t *testing.T, test func(t *testing.T, near *Conn, far stream)) {
	t.Run("tcp", func(t *testing.T) {
		near, far := tcp(t)
		test(t, near, far)
	})
	t.Run("unix", func(t *testing.T) {
		near, far := unix(t)
		test(t, near, far)
	})
}

// collect reads until the end and returns everything.
func collect(c *Conn) ([]byte, error) {
	var got []byte
	err := c.Loop(nil, taker(func(b []byte) (int, error) {
		got = append(got, b...)
		return len(b), nil
	}))
	return got, err
}

// eventually waits for what takes some time to be so.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 90 s", what)
		}
	}
}

// descriptors returns how many the process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(list)
}

// noDescriptors fails the test if at its end more descriptors are open than now. It
// is called first.
func noDescriptors(t *testing.T) {
	t.Helper()
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil { // the runtime's own poller has some
		_ = l.Close()
	}
	before := descriptors(t)
	t.Cleanup(func() {
		for deadline := time.Now().Add(90 * time.Second); descriptors(t) > before; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d descriptors are open, before %d: %v", descriptors(t), before, openFiles())
			}
		}
	})
}

func write(t testing.TB, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !errors.Is(err, net.ErrClosed) && !op.Timeout()
}

// rightsOf returns what gives a descriptor away.
func rightsOf(fd uintptr) []byte { return sys.Rights(int(fd)) }

// openFiles lists what the descriptors of the process are.
func openFiles() (list []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		target, _ := os.Readlink("/proc/self/fd/" + e.Name())
		list = append(list, e.Name()+" "+target)
	}
	return list
}

// taker is a function as a Taker.
type taker func(b []byte) (int, error)

func (f taker) Take(b []byte) (int, error) { return f(b) }
