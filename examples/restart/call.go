// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node"
)

// total is how many calls the callers have made.
var total atomic.Int64

func ask(n *node.Node, pid actor.PID) (report, error) {
	v, err := n.Runtime().Call(context.Background(), pid, "count")
	if err != nil {
		return report{}, err
	}
	r, ok := v.(report)
	if !ok {
		return r, fmt.Errorf("the counter answers with a %T", v)
	}
	return r, nil
}

// callUntil has the callers call until they have had their number of answers from a program, and returns the highest.
func callUntil(n *node.Node, pid actor.PID, program int) (report, error) {
	var work sync.WaitGroup
	var mu sync.Mutex
	var top report
	var failed error
	for range callers {
		work.Go(func() {
			for had := 0; had < calls; {
				r, err := ask(n, pid)
				total.Add(1)
				mu.Lock()
				failed = errors.Join(failed, err)
				if r.Count > top.Count {
					top = r
				}
				mu.Unlock()
				if err != nil {
					return
				}
				if r.Program == program {
					had++
				}
			}
		})
	}
	work.Wait()
	return top, failed
}
