// SPDX-License-Identifier: Apache-2.0

package ipcbench

import (
	"fmt"
	"slices"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

// What can be measured.
const (
	Throughput = "throughput" // one way, as fast as it goes
	Latency    = "latency"    // round trips

	Send  = "send"  // Endpoint.Send, a message at a time
	Batch = "batch" // Endpoint.SendBatch, BatchSize messages at a time
	Claim = "claim" // Batch.Claim, written in place, BatchSize messages a Commit
)

// BatchSize is how many messages Batch and Claim publish together. In a round
// trip it is one.
const BatchSize = 32

// MinSize is the smallest message: its number.
const MinSize = 8

// Options say what to measure.
type Options struct {
	API      string        // Send, Batch or Claim
	Sizes    []int         // bytes of a message; one measurement each
	Mode     string        // Throughput or Latency
	Wait     skybus.Wait   // how both sides wait
	Duration time.Duration // of the window that is measured
	Warmup   time.Duration // before it; default: a fifth of it, at least 20 ms
	Rate     int           // round trips a second; 0: as fast as it goes
	Pin      []int         // processors of sender and receiver, of asker and answerer; empty: no pinning
	Root     string        // folder for the domains; default: /dev/shm
	Profile  string        // write processor profiles to Profile.first and Profile.second
	Part     []string      // arguments that make this program call Part
}

func (o *Options) setDefaults() {
	if o.Warmup <= 0 {
		o.Warmup = max(o.Duration/5, 20*time.Millisecond)
	}
	if o.Root == "" {
		o.Root = channel.DefaultRoot
	}
}

// Check says what is wrong with the options.
func (o *Options) Check() error {
	for _, n := range o.Sizes {
		if n < MinSize {
			return fmt.Errorf("size %d: a message carries its number, which takes %d bytes", n, MinSize)
		}
	}
	switch {
	case !slices.Contains([]string{Send, Batch, Claim}, o.API):
		return fmt.Errorf("api %q: want send, batch or claim", o.API)
	case o.Mode != Throughput && o.Mode != Latency:
		return fmt.Errorf("mode %q: want throughput or latency", o.Mode)
	case len(o.Sizes) == 0:
		return fmt.Errorf("no size: want the bytes of a message")
	case o.Duration <= 0:
		return fmt.Errorf("duration %v: want more than nothing", o.Duration)
	case o.Rate < 0 || o.Rate > 0 && o.Mode != Latency:
		return fmt.Errorf("rate %d: it is for round trips, and not negative", o.Rate)
	case len(o.Pin) != 0 && len(o.Pin) != 2:
		return fmt.Errorf("pin %v: want two processors, such as 0,1", o.Pin)
	}
	return nil
}

// The two processes of a measurement.
const (
	first  = iota // sends, or asks
	second        // receives, or answers
)

var sideNames = [...]string{"first", "second"}

// spec is what one of the processes has to do.
type spec struct {
	Root     string
	Side     int
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

func (o *Options) spec(dir string, side, size int) spec {
	s := spec{
		Root: dir, Side: side, API: o.API, Mode: o.Mode, Size: size, Wait: o.Wait,
		Duration: o.Duration, Warmup: o.Warmup, Rate: o.Rate, CPU: -1,
	}
	if len(o.Pin) != 0 {
		s.CPU = o.Pin[side]
	}
	if o.Profile != "" {
		s.Profile = o.Profile + "." + sideNames[side]
	}
	return s
}

// counts reports whether the side measures; the other one serves it until it is
// told to stop.
func (s *spec) counts() bool { return (s.Side == first) == (s.Mode == Latency) }
