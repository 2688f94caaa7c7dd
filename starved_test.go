// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/sys"
)

func init() { roles["starved reader"] = starvedReader }

// starvedReader receives a message, then may open no more files, then may again.
// It prints how often it reported damage or logged while it could not follow a
// lane that grew, the share of a processor it used, and what it got in the end.
func starvedReader(args []byte) error {
	root, err := killtest.Args[string](args)
	if err != nil {
		return err
	}
	damaged, log := 0, new(bytes.Buffer)
	d, err := skybus.Open(key, skybus.Options{
		Root: root, MustExist: true, Logger: slog.New(slog.NewTextHandler(log, nil)),
		OnDamage: func(addr.Addr, addr.Addr, error) { damaged++ },
	})
	if err != nil {
		return err
	}
	e, err := d.Bind(b)
	if err == nil {
		_, err = e.Recv(context.Background())
	}
	if err != nil {
		return err
	}
	restore, err := noMoreFiles()
	if err != nil {
		return err
	}
	pause() // the lane grows now
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	cpu := sys.CPUTime()
	_, err = e.Recv(ctx)
	used := sys.CPUTime() - cpu
	if !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("received with %w", err)
	}
	if err := restore(); err != nil {
		return err
	}
	m, err := e.Recv(context.Background())
	fmt.Println(damaged, strings.Count(log.String(), "\n"), used.Milliseconds(), len(m.Data), m.Seq)
	return err
}

// noMoreFiles forbids this process to open files, until restore.
func noMoreFiles() (restore func() error, err error) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		return nil, err
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	next := uint64(f.Fd()) // the lowest descriptor that is free
	if err := f.Close(); err != nil {
		return nil, err
	}
	restore = func() error { return unix.Setrlimit(unix.RLIMIT_NOFILE, &old) }
	return restore, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: next, Max: old.Max})
}

// TestReaderWithoutDescriptors: a lane that cannot be followed now is not
// damaged. The reader neither spins nor floods its log, and goes on when it can.
func TestReaderWithoutDescriptors(t *testing.T) {
	d := dynamic(t)
	from := bind(t, d, a)
	send(t, from, b, "first")
	p := killtest.Start(t, "starved reader", rootOf(d))
	if answer := p.Line(); answer != "ok" {
		t.Fatal(answer, p.Wait())
	}
	send(t, from, b, string(make([]byte, 10_000)))
	p.Tell("")
	var damaged, logged, cpu, size, seq int
	if _, err := fmt.Sscan(p.Line(), &damaged, &logged, &cpu, &size, &seq); err != nil {
		t.Fatal(err, p.Wait())
	}
	if size != 10_000 || seq != 2 {
		t.Errorf("then it received %d bytes as message %d", size, seq)
	}
	if damaged != 0 || logged > 3 || cpu > 100 {
		t.Errorf("it reported damage %d times, logged %d lines and used %d ms of 500", damaged, logged, cpu)
	}
	noViolations(t, d)
}
