// SPDX-License-Identifier: Apache-2.0

package ipcbench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cmd/skybus/internal/child"
)

var addresses = [2]addr.Addr{addr.MustParse("0.0.0.1"), addr.MustParse("0.0.0.2")}

// measured is what the side that counts prints.
type measured struct {
	PerSecond           float64
	P50, P99, P999, Max int64 // ns
}

// Part is what the processes do that Run starts: one side of a measurement.
func Part() error {
	var s spec
	ctx, err := child.Begin(&s)
	if err != nil {
		return err
	}
	if err := pin(s.CPU); err != nil {
		return err
	}
	stop, err := profile(s.Profile)
	if err != nil {
		return err
	}
	defer stop()
	m, err := s.run(ctx)
	if err != nil || !s.counts() {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}

// profile writes a processor profile to path, if that names a file, until stop.
func profile(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}

// run binds the side's address and plays its role.
func (s *spec) run(ctx context.Context) (measured, error) {
	d, err := skybus.Open(domainKey, skybus.Options{Root: s.Root, MustExist: true, Wait: s.Wait})
	if err != nil {
		return measured{}, err
	}
	defer d.Close()
	e, err := d.Bind(addresses[s.Side])
	if err != nil {
		return measured{}, err
	}
	switch {
	case s.Mode == Latency && s.Side == first:
		return s.ask(ctx, e)
	case s.Mode == Latency:
		return measured{}, over(s.answer(ctx, e))
	case s.Side == first:
		return measured{}, over(s.send(ctx, e))
	}
	return s.receive(e)
}

// over makes the end of the context, which ends the sides that do not count, no error.
func over(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// errDone ends the Receive of the side that counts.
var errDone = errors.New("measured")

func outOfOrder(m skybus.Message, want, number uint64) error {
	return fmt.Errorf("message %d, of sequence %d, arrived where %d was due", number, m.Seq, want)
}
