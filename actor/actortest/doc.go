// SPDX-License-Identifier: Apache-2.0

// Package actortest helps to test services of package actor.
//
//   - [New] makes a runtime that is closed when the test ends, and fails the test
//     for what went wrong in it.
//   - A [Probe] is a service in the hands of the test: it keeps what it gets, and
//     answers when the test says so.
//   - A [Recorder] notes the messages of services in order, and prints them if the
//     test fails.
//
// A test of a service that asks a bank before it sells:
//
//	func TestSells(t *testing.T) {
//		rt := actortest.New(t, actor.Config{})
//		bank, buyer := actortest.NewProbe(t, rt), actortest.NewProbe(t, rt)
//		shop, err := rt.Start(t.Context(), newShop(bank.PID()))
//		...
//		buyer.Send(shop, Buy{Item: "sword"})
//		bank.Expect(Pay{Amount: 5})
//		bank.Reply(Paid{})
//		buyer.Expect(Sold{Item: "sword"})
//	}
//
// # Virtual time
//
// A runtime that is made in a bubble of testing/synctest has the bubble's time: it
// stands still while a handler runs, and leaps to the next timer when all goroutines
// of the bubble wait. So a test of an hour takes no time, and its moments are exact:
//
//	func TestExpires(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			rt := actortest.New(t, actor.Config{})
//			...
//			time.Sleep(time.Hour)  // leaps
//			synctest.Wait()        // whatever was due then is done
//			probe.Expect(Expired{})
//			probe.ExpectNone(24 * time.Hour) // leaps, too
//		})
//	}
//
// Three rules make that work:
//
//   - Everything is made inside the bubble, with the bubble's t: the runtime, its
//     services, probes, recorders, channels and contexts.
//   - synctest.Wait returns when every handler has returned or waits: after it there is
//     nothing left to do at this moment.
//   - A handler that waits for the network, a file, a process or a sync.Mutex stops the
//     time while it does: the bubble cannot know that nothing else will happen. Give
//     it a Probe to talk to instead.
//
// The timeout of a Probe is a time of the bubble, too: in one, a message that
// never comes is reported at once.
//
// The package is for tests: it has no state of its own, and what it makes belongs to the
// test that it was made for.
package actortest
