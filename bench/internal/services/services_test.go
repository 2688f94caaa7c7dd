// SPDX-License-Identifier: Apache-2.0

package services

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/bench/internal/result"
)

// A fakeRuntime has goroutines as services that take a while for each message, so that time passes in a bubble.
// It spoils what it is told to.
type fakeRuntime struct {
	copies func(n uint64) int // how often the n-th message is delivered, from 1; nil: once
	slow   func(kind uint32) time.Duration
	single bool   // all services share one worker
	mute   uint32 // messages of this kind are lost, unless it is 0
	quit   chan struct{}
	sent   atomic.Uint64
	worker chan struct{}
	in     []chan *Message
}

func (f *fakeRuntime) Start(n int, handle Handler) (Services, error) {
	f.in = make([]chan *Message, n)
	for i := range f.in {
		f.in[i] = make(chan *Message, 1024)
		go f.serve(i, handle)
	}
	return f, nil
}

func (f *fakeRuntime) serve(i int, handle Handler) {
	for {
		select {
		case <-f.quit:
			return
		case m := <-f.in[i]:
			if f.single {
				f.worker <- struct{}{}
			}
			time.Sleep(f.slow(m.Kind))
			handle(f, i, m)
			if f.single {
				<-f.worker
			}
		}
	}
}

func (f *fakeRuntime) Send(to int, m *Message) {
	times := 1
	if n := f.sent.Add(1); f.copies != nil {
		times = f.copies(n)
	}
	if f.mute != 0 && m.Kind == f.mute {
		times = 0
	}
	for range times {
		select {
		case f.in[to] <- m:
		case <-f.quit:
		}
	}
}

func (f *fakeRuntime) Broadcast(m *Message) {
	for i := range f.in {
		f.Send(i, m)
	}
}

func (f *fakeRuntime) Stop() error { return nil }

func (f *fakeRuntime) Ask(a *Asks) error {
	a.Loop(func(m *Message) (*Message, error) {
		time.Sleep(f.slow(0))
		times := 1
		if n := f.sent.Add(1); f.copies != nil {
			times = f.copies(n)
		}
		for range times {
			Answer(m)
		}
		return m, nil
	})
	return nil
}

// measure runs a case over f in a bubble, where a service takes 1 us for a message unless f says otherwise.
func measure(t *testing.T, f *fakeRuntime, o Options) (line result.Line, err error) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		f.quit, f.worker = make(chan struct{}), make(chan struct{}, 1)
		if f.slow == nil {
			f.slow = func(uint32) time.Duration { return time.Microsecond }
		}
		line, err = Measure(f, o)
		close(f.quit)
		time.Sleep(time.Second) // until those that are at a message have ended too
	})
	return line, err
}

func TestEveryCaseTellsRateAndTimes(t *testing.T) {
	for _, c := range []struct {
		name string
		size int
		rate float64 // in a bubble it is exact, but for what the meter does in steps of 256
	}{
		{"ask", 2, 1e6},
		{"fanin-goroutines", 4, 1e6},
		{"fanin-services", 4, 1e6},
		{"broadcast", 50, 50e6},
		{"flood", 10, 5000},
		{"blocked", 10, 5000},
	} {
		l, err := measure(t, &fakeRuntime{}, Options{Runtime: "fake", Case: c.name, Size: c.size, Mode: "any", Duration: 5 * time.Millisecond})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if l.MsgsPerSec < 0.9*c.rate || l.MsgsPerSec > 1.1*c.rate {
			t.Errorf("%s: %.0f a second, want %.0f", c.name, l.MsgsPerSec, c.rate)
		}
		if l.Name != "fake" || l.Size != c.size || l.Mode != "any" {
			t.Errorf("%s: the line is %+v", c.name, l)
		}
		if timed := c.rate == 5000; timed && (l.P50 != 1000 || l.P99 != 1000 || l.CalmP99 != 1000) {
			t.Errorf("%s: p50 %v, p99 %v, calm %v, want 1000 each", c.name, l.P50, l.P99, l.CalmP99)
		}
	}
}

func TestWhatIsLostOrDoubledFailsTheRun(t *testing.T) {
	lost := func(n uint64) int { return min(1, int(n%1000)) }
	doubled := func(n uint64) int { return 1 + int(n%1000)/999 }
	for _, c := range []struct {
		name, want string
		size       int
		copies     func(uint64) int
	}{
		{"ask", "request 1000: the reply is", 2, lost},
		{"ask", "request 999: the reply is", 2, doubled},
		{"fanin-goroutines", "arrived where", 4, lost},
		{"fanin-services", "arrived where", 4, lost},
		{"fanin-goroutines", "arrived where", 4, doubled},
		{"broadcast", "members that have not had a message", 64, lost},
		{"broadcast", "arrived where", 50, doubled},
	} {
		l, err := measure(t, &fakeRuntime{copies: c.copies}, Options{Case: c.name, Size: c.size, Duration: 5 * time.Millisecond})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, error %v, want one with %q", c.name, l, err, c.want)
		}
	}
}

func TestALostLastMessageIsWaitedForInVain(t *testing.T) {
	_, err := measure(t, &fakeRuntime{mute: last}, Options{Case: "fanin-goroutines", Size: 1, Duration: 200 * time.Microsecond})
	if err == nil || !strings.Contains(err.Error(), "still waiting for the last") {
		t.Errorf("got %v", err)
	}
}

func TestFloodShowsWhoIsHeldUp(t *testing.T) {
	flooded := false
	slow := func(kind uint32) time.Duration {
		flooded = flooded || kind == disturbance
		if flooded && kind != disturbance {
			return time.Millisecond
		}
		return time.Microsecond
	}
	l, err := measure(t, &fakeRuntime{single: true, slow: slow}, Options{Case: "flood", Size: 100, Duration: 40 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if l.CalmP99 > 10_000 || l.P99 < 1_000_000 {
		t.Errorf("p99 %v and before %v, want over 1 ms and about 1 us", l.P99, l.CalmP99)
	}
}

func TestBlockedHandlersAreSeenInTheOthers(t *testing.T) {
	o := Options{Case: "blocked", Size: 100, Duration: 40 * time.Millisecond}
	free, err := measure(t, &fakeRuntime{}, o)
	if err != nil || free.P99 != 1000 {
		t.Errorf("a goroutine each: p99 %v, error %v", free.P99, err)
	}
	held, err := measure(t, &fakeRuntime{single: true}, o)
	if err != nil || held.P99 < 40e6 || held.CalmP99 != 1000 {
		t.Errorf("one worker for all: p99 %v, before %v, error %v", held.P99, held.CalmP99, err)
	}
}

func TestSpawnedServicesAreWeighed(t *testing.T) {
	l, err := Measure(&heavy{}, Options{Case: "spawn", Size: 1000, Duration: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	const others = heavyBytes / 50 // what else the process had on its heap before may go meanwhile
	if l.MsgsPerSec <= 0 || l.Each < heavyBytes-others || l.Each > 2*heavyBytes {
		t.Errorf("%v a second, %v bytes each, want %d", l.MsgsPerSec, l.Each, heavyBytes)
	}
}

// heavy has services that are nothing but bytes, and handles messages at once.
type heavy struct {
	handle Handler
	all    [][]byte
}

const heavyBytes = 16 << 10

func (h *heavy) Start(n int, handle Handler) (Services, error) {
	h.handle = handle
	for range n {
		h.all = append(h.all, make([]byte, heavyBytes))
	}
	return h, nil
}
func (h *heavy) Send(to int, m *Message) { h.handle(h, to, m) }
func (h *heavy) Broadcast(*Message)      {}
func (h *heavy) Stop() error             { return nil }
func (h *heavy) Ask(*Asks) error         { return errors.New("cannot be asked") }

func TestMeasureRefuses(t *testing.T) {
	good := Options{Case: "ask", Size: 2, Duration: time.Millisecond}
	for want, spoil := range map[string]func(*Options){
		`no case "nonsense"`:   func(o *Options) { o.Case = "nonsense" },
		"ask takes 2 or more":  func(o *Options) { o.Size = 1 },
		"it must be positive":  func(o *Options) { o.Duration = 0 },
		"ask: cannot be asked": func(*Options) {},
	} {
		o := good
		spoil(&o)
		if l, err := Measure(&heavy{}, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v, error %v, want one with %q", l, err, want)
		}
	}
}

func TestMainPrintsOneLine(t *testing.T) {
	runtimes := map[string]Runtime{"heavy": &heavy{}}
	var out bytes.Buffer
	args := []string{"heavy", "spawn", "--mode", "throughput", "--size", "10", "--duration", "1ms", "--json", "--dir", "/nowhere"}
	if err := Main(args, &out, runtimes); err != nil {
		t.Fatal(err)
	}
	if _, err := result.Parse(out.Bytes(), 10, "throughput"); err != nil {
		t.Errorf("%v in %s", err, out.String())
	}
	var l result.Line
	if err := json.Unmarshal(out.Bytes(), &l); err != nil || l.Name != "heavy" {
		t.Errorf("%+v, %v", l, err)
	}
	for _, args := range [][]string{nil, {"heavy"}, {"light", "spawn"}, {"heavy", "nonsense"}, {"heavy", "spawn", "--size", "x"}} {
		if err := Main(args, &out, runtimes); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}

func TestMeterLeavesOutTheWarmUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(&Options{Duration: time.Second})
		for more, n := true, 0; more; n++ {
			if n > 10_000 {
				t.Fatal("the meter does not stop")
			}
			if n < 2000 { // in the warm-up it goes faster
				time.Sleep(50 * time.Microsecond)
			} else {
				time.Sleep(time.Millisecond)
			}
			more = m.Add(1)
		}
		if l := m.line(); l.MsgsPerSec < 999 || l.MsgsPerSec > 1001 {
			t.Errorf("%v a second, want 1000", l.MsgsPerSec)
		}
		if before := m.to; m.Add(1) || m.to != before {
			t.Error("a meter that is over goes on")
		}
	})
}

func TestCountdownWaitsForEveryService(t *testing.T) {
	for _, n := range []int{1, 2, countShards - 1, countShards, countShards + 1, 1000} {
		var c countdown
		for range 2 { // it can be used again
			c.reset(n)
			for i := range n {
				select {
				case <-c.zero:
					t.Fatalf("%d services: it was over after %d", n, i)
				default:
				}
				c.done(n - 1 - i)
			}
			select {
			case <-c.zero:
			default:
				t.Fatalf("%d services: it is not over", n)
			}
		}
	}
}
