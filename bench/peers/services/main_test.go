// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/skybus-io/skybus/bench/internal/services"
)

// sizes are small ones of all cases.
var sizes = map[string]int{
	"ask": 2, "fanin-goroutines": 4, "fanin-services": 4, "broadcast": 100, "spawn": 1000, "flood": 20, "blocked": 20,
}

// Each runtime goes through each case, which checks that no message is lost, doubled or swapped.
func TestEveryRuntimeRunsEveryCase(t *testing.T) {
	for name, r := range runtimes() {
		for _, c := range services.Cases() {
			t.Run(name+"/"+c, func(t *testing.T) {
				if sizes[c] == 0 {
					t.Fatal("the test has no size for it")
				}
				l, err := services.Measure(r, services.Options{Runtime: name, Case: c, Size: sizes[c], Duration: 10 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				if l.MsgsPerSec <= 0 || l.Name != name {
					t.Errorf("got %+v", l)
				}
				switch c {
				case "flood", "blocked":
					if l.P50 <= 0 || l.P99 < l.P50 || l.CalmP99 <= 0 {
						t.Errorf("no times in %+v", l)
					}
				case "spawn":
					if l.Each <= 0 {
						t.Errorf("services weigh nothing in %+v", l)
					}
				}
			})
		}
	}
}
