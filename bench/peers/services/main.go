// SPDX-License-Identifier: Apache-2.0

// Services measures services in one process: the baseline of goroutines and channels, and Go actor frameworks.
//
//	services RUNTIME CASE --size N --duration 1s
//
// What a case does is in internal/services, what a runtime does with it here, or in internal/services/goroutines.
// A framework is one file with a services.Runtime, and its names in the map below.
package main

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/skybus-io/skybus/bench/internal/services"
	"github.com/skybus-io/skybus/bench/internal/services/goroutines"
)

func main() { services.Run(runtimes()) }

func runtimes() map[string]services.Runtime {
	return map[string]services.Runtime{
		"goroutines":          goroutines.Runtime{},
		"goroutines-fresh":    goroutines.Runtime{FreshReply: true},
		"protoactor":          protoActor{mailbox: actor.Unbounded()},
		"protoactor-lockfree": protoActor{mailbox: actor.UnboundedLockfree()},
		"protoactor-bounded":  protoActor{mailbox: actor.Bounded(mailboxSize)},
		"protoactor-request":  protoActor{mailbox: actor.Unbounded(), byMessage: true},
	}
}
