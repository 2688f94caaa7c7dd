// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// defaultLimit is how many packets wait in a pipe, as in netem.
const defaultLimit = 1000

// A quality is how good one direction of a wire is. The zero value, with any
// limit, is a wire that does nothing to packets.
type quality struct {
	loss, reorder, duplicate float64 // of the packets, 0 to 1
	delay, jitter            time.Duration
	rate                     float64 // bytes a second; 0 is no limit
	limit                    int     // packets that wait
}

// calm reports whether packets pass at once.
func (q *quality) calm() bool {
	return q.loss == 0 && q.duplicate == 0 && q.delay == 0 && q.jitter == 0 && q.rate == 0
}

// parseQuality reads the words of netem(8) that Lab.Netem lists. No words are a
// good wire.
func parseQuality(args []string) (quality, error) {
	q := quality{limit: defaultLimit}
	for len(args) > 0 {
		n, err := q.option(args)
		if err != nil {
			return quality{}, err
		}
		args = args[n:]
	}
	if q.reorder > 0 && q.delay == 0 {
		return quality{}, errors.New("reorder: want a delay too, which those packets do not have")
	}
	return q, nil
}

// option reads one option and returns how many words it has.
func (q *quality) option(args []string) (n int, err error) {
	name, value := args[0], ""
	if len(args) > 1 {
		value = args[1]
	}
	n = 2
	switch name {
	case "loss":
		q.loss, err = parseShare(value)
	case "reorder":
		q.reorder, err = parseShare(value)
	case "duplicate":
		q.duplicate, err = parseShare(value)
	case "rate":
		q.rate, err = parseRate(value)
	case "limit":
		q.limit, err = parseLimit(value)
	case "delay":
		if q.delay, err = parseTime(value); err == nil && len(args) > 2 {
			if jitter, err := parseTime(args[2]); err == nil { // else it is the next option
				q.jitter, n = jitter, 3
			}
		}
	default:
		return 0, fmt.Errorf("option %q: want loss, delay, reorder, duplicate, rate or limit", name)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}

// parseShare reads 0% to 100%.
func parseShare(s string) (float64, error) {
	number, ok := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(v >= 0 && v <= 100) {
		return 0, fmt.Errorf("%q: want 0%% to 100%%", s)
	}
	return v / 100, nil
}

// parseTime reads a time with its unit, at most an hour.
func parseTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > time.Hour {
		return 0, fmt.Errorf("%q: want a time such as 10ms, at most 1h", s)
	}
	return d, nil
}

// bits are the units of a rate, the longer names first.
var bits = []struct {
	name string
	n    float64
}{{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {"bit", 1}}

// parseRate reads bits a second and returns bytes.
func parseRate(s string) (float64, error) {
	for _, unit := range bits {
		if number, ok := strings.CutSuffix(s, unit.name); ok {
			if v, err := strconv.ParseFloat(number, 64); err == nil && v > 0 && !math.IsInf(v, 0) {
				return v * unit.n / 8, nil
			}
			break
		}
	}
	return 0, fmt.Errorf("%q: want a rate such as 20mbit, in bit, kbit, mbit or gbit", s)
}

// parseLimit reads a number of packets.
func parseLimit(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1<<20 {
		return 0, fmt.Errorf("%q: want 1 to %d packets", s, 1<<20)
	}
	return n, nil
}
