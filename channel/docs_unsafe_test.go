// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/skybus-io/skybus/ring"
	"github.com/skybus-io/skybus/shm"
)

// fieldsOf lists the fields of a struct that is shared, but for padding. Those
// in skip are documented elsewhere.
func fieldsOf[T any](skip ...string) map[string]field {
	fields := map[string]field{}
	for f := range reflect.TypeFor[T]().Fields() {
		if f.Name != "_" && !slices.Contains(skip, f.Name) {
			fields[f.Name] = field{int(f.Offset), int(f.Type.Size())}
		}
	}
	return fields
}

// layout is what the code has, by the headings of docs/format/domain.md.
func layout() map[string]map[string]field {
	inbox := inboxPage{}
	return map[string]map[string]field{
		"## table":           fieldsOf[tableBody](),
		"### State, at":      fieldsOf[tableState](),
		"### Endpoint entry": fieldsOf[endpointEntry](),
		"### Lane entry":     fieldsOf[laneEntry](),
		"## Inbox": {
			"sleeping": {inboxBellAt, 4},
			"count":    {inboxBellAt + shm.DoorbellSize/2, 4},
			"slots":    {int(unsafe.Offsetof(inbox.slots)), int(unsafe.Sizeof(inbox.slots))},
			"ready":    {int(unsafe.Offsetof(inbox.ready)), int(unsafe.Sizeof(inbox.ready))},
		},
		"## Lane segment": {
			"marks":   {laneMarksAt, 16},
			"writing": {laneMarksAt + ring.MarksSize - 8, 8}, // the last of the marks
			"waiting": {laneProducerAt + int(unsafe.Offsetof(laneProducer{}.waiting)), 4},
			"data":    {laneDataAt, 0},
		},
	}
}

// TestFormatPageHasTheCountersOrder compares the counters of both sides, which
// the page lists by name.
func TestFormatPageHasTheCountersOrder(t *testing.T) {
	names := func(t reflect.Type) (list []string) {
		for f := range t.Fields() {
			if f.Name != "_" {
				list = append(list, f.Name)
			}
		}
		return list
	}
	wantText(t, "u64 each: "+strings.Replace(strings.Join(names(reflect.TypeFor[producerCounters]()), ", "), "active", "active (Unix nanoseconds)", 1))
	wantText(t, "u64 each: "+strings.Join(names(reflect.TypeFor[consumerCounters]()), ", ")+" |")
	if unsafe.Offsetof(producerCounters{}.active) != 6*8 || unsafe.Offsetof(consumerCounters{}.wakes) != 4*8 {
		t.Error("there is a gap between counters of 8 bytes")
	}
}

// TestDoorbellLiesWhereThePageSays rings and looks at the bytes.
func TestDoorbellLiesWhereThePageSays(t *testing.T) {
	page := inboxPage{}
	mem := unsafe.Slice((*byte)(unsafe.Pointer(&page)), unsafe.Sizeof(page))
	at := layout()["## Inbox"]
	page.bell.Sleep(7)
	if mem[at["sleeping"].at] != 7 {
		t.Error("the reader's episode is elsewhere")
	}
	page.bell.Ring()
	if mem[at["count"].at] != 1 {
		t.Error("the count is elsewhere")
	}
}
