// SPDX-License-Identifier: Apache-2.0

package services

import (
	"errors"
	"fmt"

	"github.com/skybus-io/skybus/bench/internal/result"
)

// Answer is what the service that is asked does with a request before it sends it back.
func Answer(m *Message) { m.N++ }

// Asks are the requests of one measurement, one after the other. The service that asks uses it alone.
type Asks struct {
	meter *meter
	m     Message
	asked uint64
	err   error
}

// Next takes the reply to the last request, nil before the first, and returns the next request; nil when it
// is over.
func (a *Asks) Next(reply *Message) *Message {
	if a.asked > 0 && (reply != &a.m || reply.N != a.asked) {
		a.err = fmt.Errorf("request %d: the reply is %+v, want the request with N = %d", a.asked, reply, a.asked)
		return nil
	}
	if !a.meter.Add(1) {
		return nil
	}
	a.asked++
	return &a.m
}

// Loop asks until it is over, or call fails.
func (a *Asks) Loop(call func(m *Message) (*Message, error)) {
	var reply *Message
	for m := a.Next(nil); m != nil; m = a.Next(reply) {
		if reply, a.err = call(m); a.err != nil {
			a.err = fmt.Errorf("request %d: %w", a.asked, a.err)
			return
		}
	}
}

func measureAsk(r Runtime, o *Options) (result.Line, error) {
	a := &Asks{meter: newMeter(o)}
	if err := errors.Join(r.Ask(a), a.err); err != nil {
		return result.Line{}, err
	}
	if !a.meter.over {
		return result.Line{}, fmt.Errorf("it ended after %d requests, before it was over", a.asked)
	}
	return a.meter.line(), nil
}
