// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/internal/testutil"
)

// echoer sends back what comes, and keeps how it ended.
type echoer struct {
	c   *client.Conn
	end chan error
}

func (e *echoer) Handle(packets [][]byte) error {
	for _, b := range packets {
		p := queue.Borrow(nil, b)
		e.c.Send(p, queue.Must, 0)
		p.Release()
	}
	e.c.Flush()
	return nil
}

func (e *echoer) Ended(err error) { e.end <- err }

// A connection that is tidied all the time answers everything, in order, with TLS and without, and ends once.
func TestTidyLosesNothing(t *testing.T) {
	for _, inTLS := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "TLS"}[inTLS]
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			rng := testutil.Rand(t)
			l := listen(t)
			far, near := connect(t, l)
			if inTLS {
				near, far = secureBoth(t, near, far)
			}
			c := newConn(t, near, prepare(t, client.Options{}), client.Link{})
			c.Authenticated()
			e := &echoer{c, make(chan error, 2)}
			c.Start(e)
			stop := make(chan struct{})
			var tidier sync.WaitGroup
			tidier.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						c.Tidy()
						c.Tidy()
						time.Sleep(10 * time.Microsecond)
					}
				}
			})
			for i := range 2000 {
				request := framed([]byte{byte(i), byte(i >> 8), 2})
				cut := rng.IntN(len(request))
				_, _ = far.Write(request[:cut])
				if i%8 == 0 {
					time.Sleep(100 * time.Microsecond)
				}
				_, _ = far.Write(request[cut:])
				answer := make([]byte, len(request))
				if _, err := io.ReadFull(far, answer); err != nil || string(answer) != string(request) {
					t.Fatalf("answer %d: %v, %v", i, answer, err)
				}
			}
			_ = far.Close()
			if err := <-e.end; !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				t.Errorf("it ended with %v", err)
			}
			close(stop)
			tidier.Wait()
			select {
			case err := <-e.end:
				t.Errorf("it ended again, with %v", err)
			default:
			}
		})
	}
}

// Whatever comes before Start ends it with the reason.
func TestStartOfWhatHasEnded(t *testing.T) {
	noLeaks(t)
	far, near := connect(t, listen(t))
	defer far.Close()
	c := newConn(t, near, prepare(t, client.Options{}), client.Link{})
	reason := errors.New("no room")
	c.Kick(reason)
	e := &echoer{c, make(chan error, 2)}
	c.Start(e)
	if err := <-e.end; !errors.Is(err, reason) || !errors.Is(err, client.ErrKicked) {
		t.Errorf("%v", err)
	}
}
