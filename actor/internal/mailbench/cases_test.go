// SPDX-License-Identifier: Apache-2.0

package mailbench

import (
	"fmt"
	"runtime"
	"sync"
)

const (
	channelBuffer = 1024 // of the baseline
	window        = 1024 // messages that the reader may lag behind all senders together
	grain         = 32   // messages for which a sender asks leave at once
	burst         = 10_000
)

// A testCase is something to be timed, and how often in a sample of the figures.
type testCase struct {
	name   string
	sample int
	run    func(d Design, n int)
}

// testCases are what is timed, each with its unit of work.
func testCases() []testCase {
	return []testCase{
		{"1_sender", 50_000, func(d Design, n int) { throughput(d, 1, n) }},
		{"4_senders", 50_000, func(d Design, n int) { throughput(d, 4, n) }},
		{"64_senders", 50_000, func(d Design, n int) { throughput(d, 64, n) }},
		{"ping-pong", 5_000, pingPong},
		{"almost_empty", 20_000, almostEmpty},
		{"burst", 20_000, bursts},
		{"first_burst", 20_000, firstBursts},
		{"many_boxes", 40_000, manyBoxes},
	}
}

// throughput has senders that are as fast as they can send n messages to a reader on
// its own goroutine, which sleeps when there is nothing. No sender is more than its
// share of the window, or two grains, ahead of the reader: without that the figure
// would be the cost of the memory that a lagging reader takes.
func throughput(d Design, senders, n int) {
	s := newStream(d.New(channelBuffer), senders)
	var ended sync.WaitGroup
	for id := range senders {
		share := n / senders
		if id < n%senders {
			share++
		}
		ended.Go(func() { s.send(id, share) })
	}
	s.receive(n)
	ended.Wait()
}

// A stream is a mailbox with its senders and its reader. Bell has room for one, so
// that to schedule the reader never waits; each sender's leave has room for all
// that there is of it.
type stream struct {
	box   Mailbox
	bell  chan struct{}
	leave []chan struct{} // by sender: each element is worth grain messages
	got   []int           // the reader's, by sender
}

func newStream(box Mailbox, senders int) *stream {
	s := &stream{box: box, bell: make(chan struct{}, 1), leave: make([]chan struct{}, senders), got: make([]int, senders)}
	grains := max(2, window/grain/senders)
	for id := range s.leave {
		s.leave[id] = make(chan struct{}, grains)
		for range grains {
			s.leave[id] <- struct{}{}
		}
	}
	return s
}

func (s *stream) send(id, messages int) {
	m := Message{Value: s, From: PID{Node: uint32(id)}, Caller: new(int)}
	for n := range messages {
		if n%grain == 0 {
			<-s.leave[id]
		}
		m.Session = uint64(n)
		if s.box.Put(m) {
			s.bell <- struct{}{}
		}
	}
}

func (s *stream) receive(messages int) {
	for messages > 0 {
		<-s.bell
		for {
			m, ok := s.box.Take()
			if !ok {
				break
			}
			messages--
			id := m.From.Node
			if s.got[id]++; s.got[id]%grain == 0 {
				s.leave[id] <- struct{}{}
			}
		}
	}
}

// pingPong sends n messages there and back between two goroutines, each of which
// sleeps in between.
func pingPong(d Design, n int) {
	ping, pong := newStream(d.New(channelBuffer), 1), newStream(d.New(channelBuffer), 1)
	var ended sync.WaitGroup
	ended.Go(func() {
		for range n {
			pong.await()
			ping.post()
		}
	})
	for range n {
		pong.post()
		ping.await()
	}
	ended.Wait()
}

func (s *stream) post() {
	if s.box.Put(Message{Value: s}) {
		s.bell <- struct{}{}
	}
}

// await waits for one message. The mailbox is asleep afterwards, so that the next
// one is announced.
func (s *stream) await() {
	<-s.bell
	s.box.Take()
	s.box.Take()
}

// almostEmpty puts a message into a sleeping mailbox, takes it and has the mailbox sleep
// again, all on one goroutine: what a call costs in mailbox work when nobody
// else is about.
func almostEmpty(d Design, n int) {
	box := d.New(channelBuffer)
	m := Message{Value: box}
	for range n {
		box.Put(m)
		box.Take()
		box.Take()
	}
}

// bursts puts 10,000 messages and takes them, again and again, on one goroutine.
func bursts(d Design, n int) {
	box := d.New(burst)
	for ; n > 0; n -= burst {
		fillAndDrain(box, min(n, burst))
	}
}

// firstBursts does the same, each time with a mailbox that is new.
func firstBursts(d Design, n int) {
	for ; n > 0; n -= burst {
		fillAndDrain(d.New(burst), min(n, burst))
	}
}

// manyBoxes has a goroutine for each processor put 100 messages into mailboxes of its own
// and take them. What they share is where the design's memory comes from.
func manyBoxes(d Design, n int) {
	const boxes, messages = 8, 100
	procs := runtime.GOMAXPROCS(0)
	var ended sync.WaitGroup
	for range procs {
		ended.Go(func() {
			own := make([]Mailbox, boxes)
			for i := range own {
				own[i] = d.New(channelBuffer)
			}
			for done := 0; done < n/procs; done += messages {
				fillAndDrain(own[done/messages%boxes], messages)
			}
		})
	}
	ended.Wait()
}

func fillAndDrain(box Mailbox, n int) {
	fill(box, n)
	if got := drain(box); got != n {
		panic(fmt.Sprintf("took %d messages, want %d", got, n))
	}
}
