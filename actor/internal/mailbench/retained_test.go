// SPDX-License-Identifier: Apache-2.0

package mailbench

import (
	"runtime"
	"strings"
	"testing"
)

// collect runs the garbage collector until the pools are empty too: a sync.Pool
// lets go of its content at the second run, and what that referred to goes at the third.
func collect() {
	for range 3 {
		runtime.GC()
	}
}

// held returns the heap bytes that a mailbox and what it retains take, after it held
// so many messages and all were taken. It is an average over several mailboxes;
// what the design's pools retain counts.
func held(d Design, boxes, messages int) float64 {
	all := make([]Mailbox, boxes)
	var before, after runtime.MemStats
	collect()
	runtime.ReadMemStats(&before)
	for i := range all {
		all[i] = d.New(max(messages, channelBuffer))
		fill(all[i], messages)
		drain(all[i])
	}
	collect()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(all)
	return (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / float64(boxes)
}

// fill puts messages whose value needs no memory.
func fill(box Mailbox, messages int) {
	for range messages {
		box.Put(Message{Value: struct{}{}})
	}
}

// drain takes all messages and returns their number. The reader sleeps then.
func drain(box Mailbox) (messages int) {
	for {
		if _, ok := box.Take(); !ok {
			return messages
		}
		messages++
	}
}

// TestInlineRetainsLittle keeps the chosen design at what an idle service may cost,
// of which the mailbox is a part, also after a burst.
func TestInlineRetainsLittle(t *testing.T) {
	const most = 160
	for _, messages := range []int{1, 10_000} {
		for _, d := range Designs() {
			if d.Name != "inline-32" {
				continue
			}
			if got := held(d, 200, messages); got > most {
				t.Errorf("%.0f bytes retained after %d messages, want %d at most", got, messages, most)
			}
		}
	}
}

// TestSingleMessageAllocatesNothing holds for a box without a pool's help: it has the
// room in itself.
func TestSingleMessageAllocatesNothing(t *testing.T) {
	for _, d := range Designs() {
		if !strings.HasPrefix(d.Name, "inline-") {
			continue
		}
		box := d.New(1)
		if got := testing.AllocsPerRun(1000, func() { fill(box, 1); drain(box) }); got != 0 {
			t.Errorf("%s: %v allocations a message, want none", d.Name, got)
		}
	}
}
