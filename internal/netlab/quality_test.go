// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseQuality(t *testing.T) {
	tests := []struct {
		words string
		want  quality
		err   string
	}{
		{words: "", want: quality{}},
		{words: "loss 5%", want: quality{loss: 0.05}},
		{words: "loss 0.5% duplicate 100%", want: quality{loss: 0.005, duplicate: 1}},
		{words: "delay 10ms", want: quality{delay: 10 * time.Millisecond}},
		{words: "delay 10ms 5ms reorder 25%", want: quality{delay: 10 * time.Millisecond, jitter: 5 * time.Millisecond, reorder: 0.25}},
		{words: "delay 1s rate 20mbit", want: quality{delay: time.Second, rate: 2.5e6}},
		{words: "rate 8bit", want: quality{rate: 1}},
		{words: "rate 8kbit limit 3", want: quality{rate: 1000, limit: 3}},
		{words: "rate 1gbit", want: quality{rate: 1.25e8}},
		{words: "loss", err: `loss: "": want 0% to 100%`},
		{words: "loss 5", err: `loss: "5": want`},
		{words: "loss 101%", err: `loss: "101%": want`},
		{words: "loss -1%", err: `loss: "-1%": want`},
		{words: "loss NaN%", err: `loss: "NaN%": want`},
		{words: "delay 10", err: `delay: "10": want a time`},
		{words: "delay -10ms", err: `delay: "-10ms": want a time`},
		{words: "delay 2h", err: "at most 1h"},
		{words: "delay", err: `delay: "": want a time`},
		{words: "reorder 25%", err: "reorder: want a delay too"},
		{words: "rate 20", err: `rate: "20": want a rate`},
		{words: "rate 0mbit", err: "want a rate"},
		{words: "rate Infbit", err: "want a rate"},
		{words: "limit 0", err: `limit: "0": want 1 to`},
		{words: "corrupt 1%", err: `option "corrupt": want loss, delay`},
		{words: "delay 1ms 2ms 3ms", err: `option "3ms": want loss`},
	}
	for _, test := range tests {
		t.Run(test.words, func(t *testing.T) {
			got, err := parseQuality(strings.Fields(test.words))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got the error %v, want one with %q", err, test.err)
				}
				return
			}
			if test.want.limit == 0 {
				test.want.limit = defaultLimit
			}
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

// FuzzParseQuality: whatever is read is a quality that a pipe can have.
func FuzzParseQuality(f *testing.F) {
	for _, words := range []string{"", "loss 5% delay 10ms 5ms reorder 25% duplicate 1% rate 20mbit", "limit 1", "delay", "loss %"} {
		f.Add(words)
	}
	f.Fuzz(func(t *testing.T, words string) {
		q, err := parseQuality(strings.Fields(words))
		if err != nil {
			return
		}
		for _, share := range []float64{q.loss, q.reorder, q.duplicate} {
			if !(share >= 0 && share <= 1) {
				t.Errorf("%+v: want shares of 0 to 1", q)
			}
		}
		if !(q.rate >= 0) || math.IsInf(q.rate, 0) || q.limit < 1 {
			t.Errorf("%+v: want a rate and a limit", q)
		}
		if late := q.late(); late < 0 || late > 2*time.Hour {
			t.Errorf("%+v: a packet is late by %v", q, late)
		}
	})
}
