// SPDX-License-Identifier: Apache-2.0

// Package notify tells the service manager how a daemon is: that it is ready,
// reloading or stopping, a line about what it does, and that it is alive. It is
// the protocol of sd_notify(3): one datagram a message, of lines NAME=VALUE, to
// the socket that NOTIFY_SOCKET names. A daemon that was not started by such a
// manager has no socket, and every call does nothing.
//
//	n := notify.FromEnv()
//	go n.Watch(ctx, alive)
//	... // open what there is to open
//	log(n.Ready())
package notify

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// sendTime is how long a message may take: the manager's queue may be full, and a
// daemon does not stop working for that.
const sendTime = time.Second

// Notifier sends messages to one service manager. Its methods may be called from
// any goroutine. A nil Notifier does nothing.
type Notifier struct {
	socket string        // a path, or the name of an abstract socket behind '@'; empty: nobody listens
	every  time.Duration // between signs of life; 0: none are wanted
}

// FromEnv returns a notifier for the manager that the environment names, by
// NOTIFY_SOCKET, and for the signs of life it wants: WATCHDOG_USEC microseconds
// apart at most, if WATCHDOG_PID is this process or is not set.
func FromEnv() *Notifier {
	n := &Notifier{socket: os.Getenv("NOTIFY_SOCKET")}
	if pid := os.Getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		n.every = half(os.Getenv("WATCHDOG_USEC"))
	}
	return n
}

// half turns microseconds into half the time, as sd_notify(3) recommends. What is
// no positive number that a time can hold is none.
func half(microseconds string) time.Duration {
	const most = uint64(1<<63-1) / uint64(time.Microsecond)
	v, err := strconv.ParseUint(microseconds, 10, 64)
	if err != nil || v > most {
		return 0
	}
	return time.Duration(v) * time.Microsecond / 2
}

// Ready tells that the daemon has started, or that a reload is done.
func (n *Notifier) Ready() error { return n.send("READY=1") }

// Reloading tells that the daemon reads its configuration again. Ready ends it,
// whether the new configuration was taken or not: Status says which.
func (n *Notifier) Reloading() error {
	if n == nil || n.socket == "" {
		return nil
	}
	now, err := monotonic()
	if err != nil {
		return err
	}
	return n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now))
}

// Stopping tells that the daemon is about to end.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Status sets the line that people see about the daemon. Line breaks in it become
// spaces, as each line of a message is one thing that is told.
func (n *Notifier) Status(text string) error {
	return n.send("STATUS=" + strings.NewReplacer("\n", " ", "\r", " ", "\x00", " ").Replace(text))
}

// Watch sends a sign of life at once and then in half the time that the manager
// waits for one, as long as alive returns true: when it does not, the manager
// restarts the daemon in the end. It returns when ctx is done, or at once if
// nobody wants signs of life. Errors are left to the manager, which misses the
// sign.
func (n *Notifier) Watch(ctx context.Context, alive func() bool) {
	if n == nil || n.socket == "" || n.every <= 0 {
		return
	}
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for ctx.Err() == nil {
		if alive() {
			_ = n.send("WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// send sends one message.
func (n *Notifier) send(message string) error {
	if n == nil || n.socket == "" {
		return nil
	}
	if n.socket[0] != '/' && n.socket[0] != '@' {
		return fmt.Errorf("notify: NOTIFY_SOCKET is %q: want a path from the root, or @ and a name", n.socket)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	if _, err := conn.Write([]byte(message)); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}
