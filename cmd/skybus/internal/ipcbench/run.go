// SPDX-License-Identifier: Apache-2.0

package ipcbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/cmd/skybus/internal/child"
)

const (
	domainKey = 1
	overtime  = 20 * time.Second // a measurement that has not ended so long after its time hangs
	patience  = 30 * time.Second // how long a process may take to end
)

// Run measures what o says and gives each result to report as it comes. Nothing
// is left of the domains and processes, also when ctx ends first.
func Run(ctx context.Context, o Options, report func(Result) error) error {
	if err := o.Check(); err != nil {
		return err
	}
	o.setDefaults()
	for _, size := range o.Sizes {
		r, err := o.one(ctx, size)
		if err != nil {
			return fmt.Errorf("measure %s of %d bytes: %w", o.API, size, err)
		}
		if err := report(r); err != nil {
			return err
		}
	}
	return nil
}

// one makes the domain of a measurement and removes it.
func (o *Options) one(ctx context.Context, size int) (r Result, err error) {
	dir, err := os.MkdirTemp(o.Root, "skybus-bench-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d, err := skybus.Open(domainKey, skybus.Options{Root: dir, AllowUnknown: true})
	if err != nil {
		return r, err
	}
	defer d.Close()
	return o.measure(ctx, dir, size)
}

// measure runs the two processes.
func (o *Options) measure(ctx context.Context, dir string, size int) (r Result, err error) {
	var sides [2]*child.Process
	for i := range sides {
		if sides[i], err = child.Start(o.Part, o.spec(dir, i, size)); err != nil {
			return r, err
		}
		defer sides[i].Kill()
	}
	s := o.spec(dir, first, size)
	meter, server := sides[second], sides[first]
	if s.counts() {
		meter, server = server, meter
	}
	if err := o.await(ctx, meter, server); err != nil {
		return r, err
	}
	var m measured
	if err := meter.Result(&m); err != nil {
		return r, err
	}
	if err := server.Stop(patience); err != nil {
		return r, err
	}
	return o.result(size, m, sides), nil
}

// await waits until meter has ended; server must not.
func (o *Options) await(ctx context.Context, meter, server *child.Process) error {
	limit := time.NewTimer(o.Warmup + o.Duration + overtime)
	defer limit.Stop()
	select {
	case <-meter.Done():
		return nil
	case <-server.Done():
		if err := server.Err(); err != nil {
			return err
		}
		return errors.New("one of the processes ended before the measurement did")
	case <-ctx.Done():
		return ctx.Err()
	case <-limit.C:
		return fmt.Errorf("no result %v after the time was over", overtime)
	}
}

func (o *Options) result(size int, m measured, sides [2]*child.Process) Result {
	a, b := sides[first].Busy(), sides[second].Busy()
	return Result{
		Name: "skybus-" + o.API, Size: size, Mode: o.Mode, Wait: o.Wait.String(), Rate: o.Rate,
		PerSecond: m.PerSecond, BytesPerSec: m.PerSecond * float64(size),
		P50: m.P50, P99: m.P99, P999: m.P999, Max: m.Max,
		CPU: a + b, CPUFirst: a, CPUSecond: b,
	}
}
