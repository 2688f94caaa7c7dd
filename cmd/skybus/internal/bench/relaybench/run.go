// SPDX-License-Identifier: Apache-2.0

package relaybench

import (
	"context"
	"fmt"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/cmd/skybus/internal/child"
	"github.com/skybus-io/skybus/cmd/skybus/internal/ipcbench"
)

const (
	overtime = 20 * time.Second // a measurement that has not ended so long after its time hangs
	patience = 30 * time.Second // how long a process or a daemon may take to end
)

// Run measures what o says, one size after the other, and gives each result to
// report as it comes. Errors: what is wrong with o, what a process or daemon
// ended with, ctx's, and report's, which ends the run.
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

// one measures one size on hosts of its own.
func (o *Options) one(ctx context.Context, size int) (r Result, err error) {
	err = o.onHosts(ctx, [2]skybus.Limits{}, func(h *hosts) error {
		var sides [2]*child.Process
		m, err := o.measure(ctx, h, size, &sides)
		if err != nil {
			return err
		}
		if err := h.stop(); err != nil {
			return err
		}
		r = o.result(size, m, sides, h)
		return nil
	})
	return r, err
}

// measure runs the two processes. The one that serves the other starts first.
func (o *Options) measure(ctx context.Context, h *hosts, size int, sides *[2]*child.Process) (m measured, err error) {
	meter, server := 1, 0
	if o.Mode == ipcbench.Latency {
		meter, server = server, meter
	}
	for _, i := range []int{server, meter} {
		if sides[i], err = child.Start(o.Part, o.side(h.roots[i], i, size)); err != nil {
			return m, err
		}
		defer sides[i].Kill()
	}
	if err := o.await(ctx, h, sides[meter], sides[server]); err != nil {
		return m, err
	}
	if err := sides[meter].Result(&m); err != nil {
		return m, err
	}
	return m, sides[server].Stop(patience)
}

// await waits until meter has ended; server and the daemons must not.
func (o *Options) await(ctx context.Context, h *hosts, meter, server *child.Process) error {
	limit := time.NewTimer(o.Warmup + o.Duration + overtime)
	defer limit.Stop()
	select {
	case <-meter.Done():
		return nil
	case <-server.Done():
		if err := server.Err(); err != nil {
			return err
		}
		return errNoResult
	case <-h.daemons[0].done:
	case <-h.daemons[1].done:
	case <-ctx.Done():
		return ctx.Err()
	case <-limit.C:
		said := both(func(i int) error { return fmt.Errorf("daemon %d%s", h.daemons[i].pid(), h.daemons[i].said()) })
		return fmt.Errorf("no result %v after the time was over: %w", overtime, said)
	}
	return h.alive()
}

// side is what one process of ipcbench reads: the fields of its specification, by
// their names.
type side struct {
	Root     string
	Side     int // 0 sends or asks, 1 receives or answers
	API      string
	Mode     string
	Size     int
	Wait     skybus.Wait
	Duration time.Duration
	Warmup   time.Duration
	Rate     int
	CPU      int // -1: any
	Profile  string
}

func (o *Options) side(root string, i, size int) side {
	s := side{
		Root: root, Side: i, API: o.API, Mode: o.Mode, Size: size, Wait: o.Wait,
		Duration: o.Duration, Warmup: o.Warmup, Rate: o.Rate, CPU: -1,
	}
	if len(o.Pin) != 0 {
		s.CPU = o.Pin[i]
	}
	if o.Profile != "" {
		s.Profile = o.Profile + "." + []string{"first", "second"}[i]
	}
	return s
}

// measured is what the process of ipcbench that counts prints.
type measured struct {
	PerSecond           float64
	P50, P99, P999, Max int64 // ns
}

func (o *Options) result(size int, m measured, sides [2]*child.Process, h *hosts) Result {
	a, b := sides[0].Busy(), sides[1].Busy()
	c, d := h.busy()
	return Result{
		Result: ipcbench.Result{
			Name: "skybus-" + o.API, Size: size, Mode: o.Mode, Wait: o.Wait.String(), Rate: o.Rate,
			PerSecond: m.PerSecond, BytesPerSec: m.PerSecond * float64(size),
			P50: m.P50, P99: m.P99, P999: m.P999, Max: m.Max,
			CPU: a + b + c + d, CPUFirst: a, CPUSecond: b,
		},
		TLS: o.tls(), CPUDaemons: c + d,
	}
}
