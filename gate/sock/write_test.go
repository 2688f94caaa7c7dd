// SPDX-License-Identifier: Apache-2.0

package sock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// fill writes until the socket takes no more, and returns how much it took.
func fill(t *testing.T, c *Conn) int {
	t.Helper()
	piece := make([]byte, 16<<10)
	for total := 0; ; {
		n, err := c.WriteNow([][]byte{piece[:1], piece[1:100], piece[100:]})
		if err != nil {
			t.Fatal(err)
		}
		if total += n; n < len(piece) {
			return total
		}
	}
}

// fillUp is fill until the socket goes on to take no more: at first it may only wait for a busy system.
func fillUp(t *testing.T, c *Conn) (total int) {
	t.Helper()
	for full := 0; full < 10; full++ {
		n := fill(t, c)
		if total += n; n > 0 {
			full = 0
		}
		time.Sleep(time.Millisecond)
	}
	return total
}

func TestWriteNowNeverWaits(t *testing.T) {
	testutil.NoLeaks(t)
	both(t, func(t *testing.T, near *Conn, far stream) {
		if n, err := near.WriteNow(nil); n != 0 || err != nil {
			t.Errorf("nothing: %d, %v", n, err)
		}
		total := fillUp(t, near)
		if n, err := near.WriteNow([][]byte{make([]byte, 1<<20)}); n != 0 || err != nil {
			t.Errorf("to a full socket: %d, %v", n, err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := near.WaitWritable(); err != nil {
				t.Error(err)
			}
			_, _ = near.WriteNow([][]byte{[]byte("end")})
			_ = near.CloseWrite()
		})
		got, err := io.ReadAll(far)
		if len(got) != total+3 || !bytes.HasSuffix(got, []byte("end")) || err != nil {
			t.Errorf("the peer got %d bytes, %v, want %d", len(got), err, total+3)
		}
		wg.Wait()
	})
}

func TestTheKernelHoldsLittle(t *testing.T) {
	near, far := tcp(t)
	_ = far.SetReadBuffer(4096)
	if total := fill(t, near); total > 2*NotSent+(64<<10) {
		t.Errorf("the kernel has taken %d bytes for a client that does not read", total)
	}
}

func TestCloseEndsWaitWritable(t *testing.T) {
	testutil.NoLeaks(t)
	for _, looping := range []bool{false, true} {
		both(t, func(t *testing.T, near *Conn, far stream) {
			var wg sync.WaitGroup
			if looping {
				begun := make(chan struct{})
				near.SetRest([]byte("x"))
				wg.Go(func() {
					_ = near.Loop(nil, taker(func(b []byte) (int, error) {
						close(begun)
						return len(b), nil
					}))
				})
				<-begun
			}
			fillUp(t, near)
			waited := make(chan error)
			go func() { waited <- near.WaitWritable() }()
			time.Sleep(time.Millisecond) // it may wait by now, or begin to later
			_ = near.Reset()
			if err := <-waited; !errors.Is(err, net.ErrClosed) {
				t.Errorf("looping %v: %v, want net.ErrClosed", looping, err)
			}
			wg.Wait()
		})
	}
}

func TestAWriteThatFails(t *testing.T) {
	both(t, func(t *testing.T, near *Conn, far stream) {
		if tc, ok := far.(*net.TCPConn); ok {
			_ = tc.SetLinger(0)
		}
		_ = far.Close()
		eventually(t, "a write fails", func() bool {
			_, err := near.WriteNow([][]byte{[]byte("x")})
			return err != nil && !errors.Is(err, net.ErrClosed)
		})
		if err := near.WaitWritable(); err != nil {
			t.Errorf("a failed socket: %v, want the write to tell", err)
		}
	})
}

func TestPeek(t *testing.T) {
	testutil.NoLeaks(t)
	both(t, func(t *testing.T, near *Conn, far stream) {
		b := make([]byte, 4)
		_ = near.SetReadDeadline(time.Now())
		if _, err := near.Peek(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("nothing there: %v", err)
		}
		_ = near.SetReadDeadline(time.Time{})
		var wg sync.WaitGroup
		wg.Go(func() { write(t, far, "hello") })
		n, err := near.Peek(b)
		if string(b[:n]) != "hell"[:n] || n == 0 || err != nil {
			t.Errorf("%q, %v", b[:n], err)
		}
		wg.Wait()
		_ = far.CloseWrite()
		if got, err := collect(near); string(got) != "hello" || !errors.Is(err, io.EOF) {
			t.Errorf("then %q, %v", got, err)
		}
		if _, err := near.Peek(b); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
	})
}

func TestNewWantsADescriptor(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, err := New(a); !errors.Is(err, ErrNoDescriptor) {
		t.Error(err)
	}
	near, _ := tcp(t)
	if again, err := New(near); again != near || err != nil {
		t.Errorf("%v, %v, want the same Conn", again, err)
	}
	if err := near.SetUserTimeout(time.Second); err != nil {
		t.Error(err)
	}
	other, _ := unix(t)
	if err := other.SetUserTimeout(time.Second); err != nil {
		t.Error(err)
	}
}
