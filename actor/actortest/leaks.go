// SPDX-License-Identifier: Apache-2.0

package actortest

import (
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// label is the key of the label that the goroutines of a test have.
	label = "actortest"

	// settleTime is how long goroutines may take to end.
	settleTime = 2 * time.Second
)

// tests counts the calls of mark: a test may call it more than once.
var tests atomic.Uint64

// mark gives the goroutine a label, which those that it begins inherit, and returns
// what the label says.
func mark(t testing.TB) string {
	name := fmt.Sprintf("%s#%d", t.Name(), tests.Add(1))
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(label, name)))
	return name
}

func unmark() { pprof.SetGoroutineLabels(context.Background()) }

// leaked returns the stacks of the goroutines with the label, after they have had
// time to end.
func leaked(name string) []string {
	const steps = 100
	for i := 0; ; i++ {
		stacks := labelled(name)
		if len(stacks) == 0 || i == steps {
			return stacks
		}
		time.Sleep(settleTime / steps)
	}
}

// labelled returns the stacks of the goroutines with the label. The profile has a paragraph for
// those that are at the same place and have the same labels: how many there are, the
// labels, the functions.
func labelled(name string) (stacks []string) {
	var b strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return []string{fmt.Sprintf("the profile of the goroutines: %v", err)}
	}
	want := fmt.Sprintf("%q:%q", label, name)
	for part := range strings.SplitSeq(b.String(), "\n\n") {
		head, rest, _ := strings.Cut(part, "\n")
		labels, functions, ok := strings.Cut(rest, "\n")
		if !ok || !strings.HasPrefix(labels, "# labels:") || !strings.Contains(labels, want) {
			continue
		}
		count, _, _ := strings.Cut(head, " ")
		stacks = append(stacks, fmt.Sprintf("%s at\n%s", count, functions))
	}
	return stacks
}
