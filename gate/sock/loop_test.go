// SPDX-License-Identifier: Apache-2.0

package sock

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

func TestLoopReadsEverything(t *testing.T) {
	testutil.NoLeaks(t)
	noDescriptors(t)
	both(t, func(t *testing.T, near *Conn, far stream) {
		rng := testutil.Rand(t)
		want := make([]byte, 1<<20)
		for i := range want {
			want[i] = byte(rng.Uint32())
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for b := want; len(b) > 0; {
				n := min(1+rng.IntN(100_000), len(b))
				if _, err := far.Write(b[:n]); err != nil {
					t.Error(err)
					return
				}
				b = b[n:]
			}
			_ = far.CloseWrite()
		})
		got, err := collect(near)
		if !errors.Is(err, io.EOF) || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v, want %d and EOF", len(got), err, len(want))
		}
		wg.Wait()
	})
}

// TestWhatIsNotTakenComesAgain has packets of all sizes up to more than a buffer: a
// length of 3 bytes each, taken only when whole.
func TestWhatIsNotTakenComesAgain(t *testing.T) {
	testutil.NoLeaks(t)
	both(t, func(t *testing.T, near *Conn, far stream) {
		rng := testutil.Rand(t)
		var sizes []int
		var sent []byte
		for range 200 {
			n := rng.IntN(2000)
			if rng.IntN(10) == 0 {
				n = rng.IntN(200_000)
			}
			sizes = append(sizes, n)
			sent = append(sent, byte(n>>16), byte(n>>8), byte(n))
			sent = append(sent, bytes.Repeat([]byte{byte(n)}, n)...)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for len(sent) > 0 {
				n := min(1+rng.IntN(20_000), len(sent))
				if _, err := far.Write(sent[:n]); err != nil {
					t.Error(err)
					return
				}
				sent = sent[n:]
			}
			_ = far.CloseWrite()
		})
		next := 0
		err := near.Loop(nil, taker(func(b []byte) (taken int, err error) {
			for {
				rest := b[taken:]
				if len(rest) < 3 {
					return taken, nil
				}
				n := int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2])
				if len(rest) < 3+n {
					return taken, nil
				}
				if n != sizes[next] || bytes.Count(rest[3:3+n], []byte{byte(n)}) != n {
					return taken, fmt.Errorf("packet %d has %d bytes, want %d, or others in it", next, n, sizes[next])
				}
				next++
				taken += 3 + n
			}
		}))
		if !errors.Is(err, io.EOF) || next != len(sizes) {
			t.Errorf("%d packets of %d, %v", next, len(sizes), err)
		}
		if near.rest != nil {
			t.Errorf("%d bytes are kept when all is taken", cap(near.rest))
		}
		wg.Wait()
	})
}

func TestEachByteByItself(t *testing.T) {
	both(t, func(t *testing.T, near *Conn, far stream) {
		const want = "a line\nand one more\n\nthe last\n"
		go func() {
			for i := range len(want) {
				_, _ = far.Write([]byte{want[i]})
			}
			_ = far.CloseWrite()
		}()
		var lines []string
		err := near.Loop(nil, taker(func(b []byte) (int, error) {
			n := bytes.LastIndexByte(b, '\n') + 1
			lines = append(lines, string(b[:n]))
			return n, nil
		}))
		if !errors.Is(err, io.EOF) || strings.Join(lines, "") != want {
			t.Errorf("%q, %v", lines, err)
		}
	})
}

func TestSetRest(t *testing.T) {
	near, far := tcp(t)
	near.SetRest([]byte("early "))
	write(t, far, "late")
	_ = far.CloseWrite()
	got, err := collect(near)
	if string(got) != "early late" || !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTheErrorOfTakeEndsTheLoop(t *testing.T) {
	testutil.NoLeaks(t)
	near, far := tcp(t)
	write(t, far, "take this, not that")
	enough := errors.New("enough")
	err := near.Loop(nil, taker(func(b []byte) (int, error) { return 9, enough }))
	if !errors.Is(err, enough) {
		t.Errorf("%v, want %v", err, enough)
	}
	if rest := near.Rest(); string(rest) != ", not that" {
		t.Errorf("rest %q", rest)
	}
	write(t, far, "more")
	_ = far.CloseWrite()
	if got, err := collect(near); string(got) != "more" || !errors.Is(err, io.EOF) {
		t.Errorf("a second loop: %q, %v", got, err)
	}
}

// TestAnAnswerCostsOneRead counts the reads of requests that are answered at once.
func TestAnAnswerCostsOneRead(t *testing.T) {
	testutil.NoLeaks(t)
	near, far := tcp(t)
	if !near.hint {
		t.Skip("the system has no TCP_INQ")
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = near.Loop(nil, taker(func(b []byte) (int, error) {
			_, err := near.WriteNow([][]byte{b})
			return len(b), err
		}))
	})
	const requests = 50
	buf := make([]byte, 64)
	for range requests {
		write(t, far, strings.Repeat("x", len(buf)))
		if _, err := io.ReadFull(far, buf); err != nil {
			t.Fatal(err)
		}
	}
	if reads := near.received.Load(); reads > requests+5 {
		t.Errorf("%d reads for %d requests, want one each", reads, requests)
	}
	_ = far.Close()
	wg.Wait()
}

// TestWithoutAnAnswerAReadFindsNothing: before it waits, the loop has looked.
func TestWithoutAnAnswerAReadFindsNothing(t *testing.T) {
	testutil.NoLeaks(t)
	both(t, func(t *testing.T, near *Conn, far stream) {
		var taken atomic.Uint32
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = near.Loop(nil, taker(func(b []byte) (int, error) {
				taken.Add(1)
				return len(b), nil
			}))
		})
		for n := range uint32(50) {
			write(t, far, "x")
			eventually(t, "a read that finds nothing", func() bool {
				return taken.Load() == n+1 && near.received.Load() >= 2*(n+1)
			})
		}
		_ = far.Close()
		wg.Wait()
	})
}

// TestEndsBehindBytesAreSeen has ends and resets come at any moment around bytes: a
// wait that had missed one would never end.
func TestEndsBehindBytesAreSeen(t *testing.T) {
	testutil.NoLeaks(t)
	noDescriptors(t)
	for _, end := range []string{"close", "half", "reset"} {
		for _, answer := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, answer %v", end, answer), func(t *testing.T) {
				for i := range 300 {
					near, far := tcp(t)
					var wg sync.WaitGroup
					wg.Go(func() {
						write(t, far, "request")
						for range i % 7 * 300 { // some time
							_ = far.RemoteAddr()
						}
						switch end {
						case "half":
							_ = far.CloseWrite()
						case "reset":
							_ = far.SetLinger(0)
							_ = far.Close()
						default:
							_ = far.Close()
						}
					})
					_ = near.Loop(nil, taker(func(b []byte) (int, error) {
						if answer {
							_, _ = near.WriteNow([][]byte{b})
						}
						return len(b), nil
					}))
					wg.Wait()
					_ = near.Close()
					_ = far.Close()
				}
			})
		}
	}
}

func TestCloseEndsTheLoop(t *testing.T) {
	testutil.NoLeaks(t)
	noDescriptors(t)
	ends := map[string]func(*Conn) error{"close": (*Conn).Close, "reset": (*Conn).Reset, "release": (*Conn).Release}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, near *Conn, far stream) {
				taken, done := make(chan struct{}), make(chan error)
				go func() {
					done <- near.Loop(nil, taker(func(b []byte) (int, error) {
						close(taken)
						return len(b), nil
					}))
				}()
				write(t, far, "x")
				<-taken
				if err := end(near); err != nil {
					t.Error(err)
				}
				if err := <-done; !errors.Is(err, net.ErrClosed) {
					t.Errorf("the loop: %v, want net.ErrClosed", err)
				}
				if err := end(near); !errors.Is(err, net.ErrClosed) {
					t.Errorf("a second time: %v", err)
				}
				_, err := far.Read(make([]byte, 1))
				if _, isTCP := far.(*net.TCPConn); isTCP && (name == "reset") != isReset(err) {
					t.Errorf("the peer: %v", err)
				} else if err == nil {
					t.Error("the peer reads on")
				}
			})
		})
	}
}

// TestCloseInTake has the function that Loop calls end the connection: it must not wait
// for itself.
func TestCloseInTake(t *testing.T) {
	testutil.NoLeaks(t)
	noDescriptors(t)
	both(t, func(t *testing.T, near *Conn, far stream) {
		write(t, far, "x")
		err := near.Loop(nil, taker(func(b []byte) (int, error) {
			_, _ = near.WriteNow([][]byte{[]byte("bye")})
			_ = near.Close()
			if _, err := near.WriteNow([][]byte{[]byte("late")}); err == nil {
				t.Error("a write after Close works")
			}
			return len(b), nil
		}))
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if got, err := io.ReadAll(far); string(got) != "bye" || err != nil {
			t.Errorf("the peer got %q, %v", got, err)
		}
	})
}

// TestResetWhileTakeWaits resets at once, and not when the function that waits returns.
func TestResetWhileTakeWaits(t *testing.T) {
	testutil.NoLeaks(t)
	near, far := tcp(t)
	write(t, far, "x")
	begun, goOn := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		done <- near.Loop(nil, taker(func(b []byte) (int, error) {
			close(begun)
			<-goOn
			return len(b), nil
		}))
	}()
	<-begun
	_ = near.Reset()
	if _, err := far.Read(make([]byte, 1)); !isReset(err) {
		t.Errorf("the peer: %v, want a reset", err)
	}
	close(goOn)
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the loop: %v", err)
	}
}

func TestOneLoopAtATime(t *testing.T) {
	near, far := tcp(t)
	write(t, far, "x")
	err := near.Loop(nil, taker(func(b []byte) (int, error) {
		if err := near.Loop(nil, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a loop in a loop: %v", err)
		}
		return len(b), io.EOF
	}))
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func TestReadAndWriteDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("pools forget at random here")
	}
	testutil.NoLeaks(t)
	near, far := tcp(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		var one [2][]byte
		_ = near.Loop(nil, taker(func(b []byte) (int, error) {
			one[0], one[1] = b[:1], b[1:]
			_, err := near.WriteNow(one[:])
			return len(b), err
		}))
	})
	buf := make([]byte, 64)
	n := testing.AllocsPerRun(500, func() {
		_, _ = far.Write(buf)
		_, _ = io.ReadFull(far, buf)
	})
	if n > 0.1 {
		t.Errorf("%v allocations a request, want none", n)
	}
	_ = far.Close()
	wg.Wait()
}

// What a Loop after Renew goes on with is all that comes, in order; half packets stay half packets.
func TestRenewLosesNothing(t *testing.T) {
	both(t, func(t *testing.T, near *Conn, far stream) {
		const packets, size = 3000, 10
		rng := testutil.Rand(t)
		var renewed atomic.Int32
		go func() {
			all := bytes.Repeat([]byte("0123456789"), packets)
			for seen, at := int32(0), 0; len(all) > 0; {
				n := min(1+rng.IntN(25), len(all))
				_, _ = far.Write(all[:n])
				all = all[n:]
				if at += n; at > size*packets/5 { // whoever renews has its turn now and then
					for renewed.Load() == seen && len(all) > 0 {
						time.Sleep(time.Millisecond)
					}
					seen, at = renewed.Load(), 0
				}
				time.Sleep(time.Duration(rng.IntN(40)) * time.Microsecond)
			}
			_ = far.CloseWrite()
		}()
		stop := make(chan struct{})
		var renewer sync.WaitGroup
		renewer.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					near.Renew()
					time.Sleep(20 * time.Microsecond)
				}
			}
		})
		got := 0
		err := ErrRenew
		for ; errors.Is(err, ErrRenew); renewed.Add(1) {
			err = near.Loop(nil, taker(func(b []byte) (int, error) {
				n := 0
				for ; len(b)-n >= size; n += size {
					if string(b[n:n+size]) != "0123456789" {
						t.Errorf("packet %d is %q", got, b[n:n+size])
					}
					got++
				}
				return n, nil
			}))
		}
		close(stop)
		renewer.Wait()
		if !errors.Is(err, io.EOF) || got != packets {
			t.Errorf("%d packets and %v, want %d and the end", got, err, packets)
		}
		if n := renewed.Load(); n < 3 {
			t.Errorf("renewed %d times only", n)
		}
	})
}

// A Loop that Renew ends is closed as well as one that waits.
func TestRenewAndClose(t *testing.T) {
	for range 300 {
		near, far := unix(t)
		write(t, far, "x")
		done := make(chan error, 1)
		go func() {
			err := ErrRenew
			for errors.Is(err, ErrRenew) {
				err = near.Loop(nil, taker(func(b []byte) (int, error) { return len(b), nil }))
			}
			done <- err
		}()
		eventually(t, "something is read", near.fed.Load)
		go near.Renew()
		_ = near.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Fatalf("%v, want net.ErrClosed", err)
		}
		if _, err := far.Read(make([]byte, 1)); err == nil {
			t.Fatal("the other side sees no end")
		}
	}
}

// What is not idle, and what has taken nothing since, is not renewed.
func TestRenewWhatNeedsIt(t *testing.T) {
	near, far := tcp(t)
	near.Renew() // no Loop
	taken := make(chan int, 9)
	done := make(chan error, 1)
	var loops atomic.Int32
	go func() {
		err := ErrRenew
		for errors.Is(err, ErrRenew) {
			loops.Add(1)
			err = near.Loop(nil, taker(func(b []byte) (int, error) {
				taken <- len(b)
				return len(b), nil
			}))
		}
		done <- err
	}()
	eventually(t, "it reads", func() bool { return near.Received() > 0 })
	near.Renew()
	write(t, far, "one")
	<-taken
	if n := loops.Load(); n != 1 {
		t.Errorf("%d loops for one that has taken nothing", n)
	}
	near.Renew()
	near.Renew()
	eventually(t, "another one runs", func() bool { return loops.Load() == 2 })
	near.Renew()
	write(t, far, "more")
	<-taken
	if n := loops.Load(); n != 2 {
		t.Errorf("%d loops, want 2", n)
	}
	_ = far.Close()
	if err := <-done; !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
