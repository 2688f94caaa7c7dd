// SPDX-License-Identifier: Apache-2.0

package plan

import "testing"

func TestEveryAreaIsSound(t *testing.T) {
	for _, a := range Areas() {
		for _, err := range a.Check() {
			t.Errorf("area %s: %v", a.Name, err)
		}
	}
}

func TestCheckFindsMistakes(t *testing.T) {
	c := Case{Name: "c", Size: 64, Metrics: []Metric{Rate}, Impls: []Impl{{Name: "x"}, {Name: "x"}}}
	a := Area{Cases: []Case{c, c, {Name: "empty"}}, Figures: []Figure{
		{Case: "c-64", Ours: "x", Peer: "y"},
		{Case: "c-64", Ours: "x", Peer: "x", Metric: "p50"},
		{Case: "none-64"},
		{Case: "c-64", Ours: "x"},
		{Case: "c-64"},
	}}
	// x twice (in both copies of the case), the case twice, no metric, no y, no p50, no such case, and a figure
	// of nobody, neither first nor second; that a figure has no peer is no mistake
	if got := len(a.Check()); got != 9 {
		t.Errorf("%d mistakes found, want 9: %v", got, a.Check())
	}
}
