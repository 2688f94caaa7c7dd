// SPDX-License-Identifier: Apache-2.0

package sock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// channel returns a Unix stream between two processes.
func channel(t *testing.T) (from, to *net.UnixConn) {
	t.Helper()
	a, b, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.Close()
		_ = b.Close()
	})
	return a, b
}

func TestHandOver(t *testing.T) {
	testutil.NoLeaks(t)
	noDescriptors(t)
	both(t, func(t *testing.T, near *Conn, far stream) {
		for _, size := range []int{0, 1, 1 << 20} {
			from, to := channel(t)
			payload := bytes.Repeat([]byte("p"), size)
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := near.SendFD(to, payload); err != nil {
					t.Error(err)
				}
			})
			other, got, err := RecvFD(from, 1<<20)
			wg.Wait()
			if err != nil || !bytes.Equal(got, payload) {
				t.Fatalf("%d bytes, %v, want %d", len(got), err, size)
			}
			if err := near.Release(); err != nil {
				t.Fatal(err)
			}
			write(t, far, "to the other")
			buf := make([]byte, 12)
			if _, err := io.ReadFull(other, buf); string(buf) != "to the other" || err != nil {
				t.Errorf("%q, %v", buf, err)
			}
			if _, err := other.WriteNow([][]byte{[]byte("back")}); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(far, buf[:4]); string(buf[:4]) != "back" || err != nil {
				t.Errorf("%q, %v", buf[:4], err)
			}
			near = other
		}
		_ = near.Close()
	})
}

func TestHandOverRefuses(t *testing.T) {
	testutil.NoLeaks(t)
	noDescriptors(t)
	cases := []struct {
		name string
		send func(near *Conn, to *net.UnixConn)
		want string
	}{
		{"too large", func(near *Conn, to *net.UnixConn) { _ = near.SendFD(to, make([]byte, 101)) }, "101 bytes, want at most 100"},
		{"no descriptor", func(_ *Conn, to *net.UnixConn) { _, _ = to.Write(make([]byte, 10)) }, "0 descriptors, want 1"},
		{"the end", func(_ *Conn, to *net.UnixConn) {}, "EOF"},
		{"in the middle", func(near *Conn, to *net.UnixConn) {
			rights := make(chan struct{})
			_ = near.raw.Control(func(fd uintptr) {
				defer close(rights)
				_, _, _ = to.WriteMsgUnix([]byte{0, 0, 0, 9, 1}, rightsOf(fd), nil)
			})
		}, "unexpected EOF"},
		{"not connected", func(_ *Conn, to *net.UnixConn) {
			f, err := net.Listen("tcp", "127.0.0.1:0") // a listener is no stream
			if err != nil {
				return
			}
			defer f.Close()
			raw, _ := f.(*net.TCPListener).SyscallConn()
			_ = raw.Control(func(fd uintptr) { _, _, _ = to.WriteMsgUnix([]byte{0, 0, 0, 0}, rightsOf(fd), nil) })
		}, "not connected"},
		{"not a socket", func(_ *Conn, to *net.UnixConn) {
			r, w, err := os.Pipe()
			if err != nil {
				return
			}
			defer r.Close()
			defer w.Close()
			_, _, _ = to.WriteMsgUnix([]byte{0, 0, 0, 0}, rightsOf(r.Fd()), nil)
		}, "descriptor"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			near, _ := tcp(t)
			from, to := channel(t)
			c.send(near, to)
			_ = to.CloseWrite()
			got, _, err := RecvFD(from, 100)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v, want an error with %q", got, err, c.want)
			}
		})
	}
	if _, err := FromFD(-1); err == nil {
		t.Error("descriptor -1 is one")
	}
}

// TestPump joins one end of a net.Pipe.
func TestPump(t *testing.T) {
	testutil.NoLeaks(t)
	noDescriptors(t)
	outer, far := net.Pipe()
	c, err := Of(outer)
	if err != nil {
		t.Fatal(err)
	}
	if c.RemoteAddr().Network() != "pipe" || c.LocalAddr().Network() != "pipe" {
		t.Errorf("addresses %v, %v", c.RemoteAddr(), c.LocalAddr())
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = c.Loop(nil, taker(func(b []byte) (int, error) {
			for rest := b; len(rest) > 0; {
				n, err := c.WriteNow([][]byte{rest})
				if err != nil {
					return len(b), err
				}
				if rest = rest[n:]; n == 0 {
					if err := c.WaitWritable(); err != nil {
						return len(b), err
					}
				}
			}
			return len(b), nil
		}))
		_ = c.Close()
	})
	want := bytes.Repeat([]byte("0123456789"), 50_000)
	wg.Go(func() { _, _ = far.Write(want) })
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
		t.Error("not what was sent came back", err)
	}
	_ = far.Close()
	wg.Wait()
}

func TestAPumpEndsWithEitherSide(t *testing.T) {
	testutil.NoLeaks(t)
	noDescriptors(t)
	ends := map[string]func(c *Conn, far net.Conn){
		"close": func(c *Conn, far net.Conn) { _ = c.Close() },
		"reset": func(c *Conn, far net.Conn) {
			fill(t, c) // and nobody reads
			_ = c.Reset()
		},
		"far": func(c *Conn, far net.Conn) {
			_ = far.Close()
			if _, err := collect(c); !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			_ = c.Close()
		},
	}
	for name, end := range ends {
		outer, far := net.Pipe()
		c, err := Pump(outer)
		if err != nil {
			t.Fatal(err)
		}
		end(c, far)
		_ = far.SetReadDeadline(time.Now().Add(90 * time.Second))
		if _, err := io.Copy(io.Discard, far); name != "far" && err != nil {
			t.Errorf("%s: the peer: %v", name, err)
		}
		_ = far.Close()
	}
}

// deadlines counts those that were set.
type deadlines struct {
	net.Conn
	n atomic.Int32
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.n.Add(1)
	return d.Conn.SetWriteDeadline(at)
}

// TestAPumpThatIsHandedOver goes on without a limit in time when this process has let go of its
// end of the pair.
func TestAPumpThatIsHandedOver(t *testing.T) {
	testutil.NoLeaks(t)
	noDescriptors(t)
	outer, far := net.Pipe()
	counted := &deadlines{Conn: outer}
	near, err := Pump(counted)
	if err != nil {
		t.Fatal(err)
	}
	from, to := channel(t)
	if err := near.SendFD(to, nil); err != nil {
		t.Fatal(err)
	}
	other, _, err := RecvFD(from, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = near.Release()
	go func() { _, _ = far.Write([]byte("over there")) }()
	buf := make([]byte, 10)
	if _, err := io.ReadFull(other, buf); string(buf) != "over there" || err != nil || counted.n.Load() != 0 {
		t.Errorf("%q, %v, %d deadlines", buf, err, counted.n.Load())
	}
	_ = other.Close()
	_, _ = far.Read(buf) // it ends
	_ = far.Close()
}
