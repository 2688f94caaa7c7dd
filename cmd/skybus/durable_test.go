// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/testutil"
)

func TestKindOfADurableLane(t *testing.T) {
	for _, c := range []struct {
		info          channel.LaneInfo
		kind, durable string
	}{
		{channel.LaneInfo{}, "demand", ""},
		{channel.LaneInfo{Durable: true}, "demand,durable", "async"},
		{channel.LaneInfo{Durable: true, Sync: true}, "demand,durable", "sync"},
		{channel.LaneInfo{Durable: true, Remote: true}, "remote,durable", "async"},
		{channel.LaneInfo{Durable: true, Sync: true, Configured: true, Remote: true}, "channel,remote,durable", "sync"},
	} {
		l := lane{LaneInfo: c.info}
		if l.kind() != c.kind || l.durable() != c.durable {
			t.Errorf("%+v: %s, %s; want %s, %s", c.info, l.kind(), l.durable(), c.kind, c.durable)
		}
	}
}

// TestShowTellsWhenAMessageIsOnDisk looks for the field, of durable lanes alone.
func TestShowTellsWhenAMessageIsOnDisk(t *testing.T) {
	d, err := skybus.Open(1, skybus.Options{Root: testutil.Dir(t), AllowUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	e, err := d.Bind(1)
	if err == nil {
		err = e.TrySend(2, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, durable := range []bool{false, true} {
		l := readLanes(d, all)[0]
		l.Durable = durable
		if fields := l.fields(d); slices.Contains(fields, "durable") != durable {
			t.Errorf("durable %v: %q", durable, fields)
		}
	}
}
