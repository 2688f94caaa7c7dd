// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"time"
)

// A measurement is disturbed when others used more than this share of one processor meanwhile.
const tolerated = 0.15

// tick is what /proc/stat counts in: Linux shows hundredths of a second on every architecture Go knows.
const tick = 10 * time.Millisecond

// usage is what all processors have done since the machine started.
type usage struct {
	busy time.Duration // by this machine's processes, or stolen from it by its host
	all  time.Duration
}

// parseUsage reads the first line of /proc/stat: "cpu user nice system idle iowait irq softirq steal ..".
func parseUsage(stat []byte) (u usage, ok bool) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return u, false
	}
	const idle, ioWait = 4, 5
	for i, f := range fields[1:9] { // guest times are in user already
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return u, false
		}
		u.all += time.Duration(n) * tick
		if i+1 != idle && i+1 != ioWait {
			u.busy += time.Duration(n) * tick
		}
	}
	return u, true
}

func readUsage() (usage, bool) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return usage{}, false
	}
	return parseUsage(stat)
}

// others is the share of one processor that others used in a span of which our programs used own.
func others(before, after usage, own, span time.Duration) float64 {
	return float64(after.busy-before.busy-own) / float64(span)
}

// awaitCalm returns when the machine does next to nothing, or when patience is over. It returns how long it
// has waited for others: nothing, if the machine was calm.
func awaitCalm(ctx context.Context, patience time.Duration) (waited time.Duration) {
	const look = 80 * time.Millisecond
	for ; waited < patience && ctx.Err() == nil; waited += look {
		before, ok := readUsage()
		if !ok {
			return waited
		}
		time.Sleep(look)
		if after, ok := readUsage(); !ok || after.busy-before.busy <= tick {
			return waited
		}
	}
	return waited
}

// disturbance watches one measurement.
type disturbance struct {
	before usage
	began  time.Time
	ok     bool
}

func watch() disturbance {
	u, ok := readUsage()
	return disturbance{u, time.Now(), ok}
}

// found says whether others ran so much since watch that the measurement is theirs too.
func (d disturbance) found(own time.Duration) bool {
	after, ok := readUsage()
	span := time.Since(d.began)
	// What has been counted in whole ticks may be off by one on each processor.
	return ok && d.ok && others(d.before, after, own, span) > tolerated+float64(4*tick)/float64(span)
}
