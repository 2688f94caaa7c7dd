// SPDX-License-Identifier: Apache-2.0

// Package goroutines is the baseline of services in one process: what a program does that has none. A service is
// a goroutine that reads a buffered channel.
package goroutines

import (
	"sync"

	"github.com/skybus-io/skybus/bench/internal/services"
)

const (
	capacity     = 1024   // of a channel
	smallFrom    = 10_000 // so many services have small ones: 8 KiB each would be the whole figure
	fewMessages  = 8
	replyWaiting = 1
)

// Runtime is the baseline. The zero value asks through one channel for replies that the asking goroutine keeps.
type Runtime struct {
	FreshReply bool // a channel made for each request, as programs with many askers have it
}

// running are goroutines that read channels. As nothing is left to a call of a handler it is their Context too.
type running struct {
	in    []chan *services.Message
	ended sync.WaitGroup
}

var _ services.Services = (*running)(nil)

// Start starts n goroutines.
func (Runtime) Start(n int, handle services.Handler) (services.Services, error) {
	room := capacity
	if n >= smallFrom {
		room = fewMessages
	}
	r := &running{in: make([]chan *services.Message, n)}
	r.ended.Add(n)
	for i := range r.in {
		in := make(chan *services.Message, room)
		r.in[i] = in
		go func() {
			for m := range in {
				handle(r, i, m)
			}
			r.ended.Done()
		}()
	}
	return r, nil
}

func (r *running) Send(to int, m *services.Message) { r.in[to] <- m }

func (r *running) Broadcast(m *services.Message) {
	for _, in := range r.in {
		in <- m
	}
}

func (r *running) Stop() error {
	for _, in := range r.in {
		close(in)
	}
	r.ended.Wait()
	return nil
}

// request is a message with the place where its reply goes.
type request struct {
	m     *services.Message
	reply chan *services.Message
}

// Ask asks from one goroutine to another.
func (b Runtime) Ask(a *services.Asks) error {
	in := make(chan request, capacity)
	var ended sync.WaitGroup
	ended.Go(func() {
		for r := range in {
			services.Answer(r.m)
			r.reply <- r.m
		}
	})
	ended.Go(func() {
		defer close(in)
		reply := make(chan *services.Message, replyWaiting)
		a.Loop(func(m *services.Message) (*services.Message, error) {
			if b.FreshReply {
				reply = make(chan *services.Message, replyWaiting)
			}
			in <- request{m, reply}
			return <-reply, nil
		})
	})
	ended.Wait()
	return nil
}
