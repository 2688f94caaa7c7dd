// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/skybus-io/skybus/bench/internal/services"
)

// A bubble ends only when all goroutines in it have, so this shows too that Stop leaves none.
func TestServicesHandleEverythingBeforeTheyStop(t *testing.T) {
	for _, n := range []int{1, 10, smallFrom} {
		synctest.Test(t, func(t *testing.T) {
			var sum atomic.Int64
			s, err := Runtime{}.Start(n, func(c services.Context, self int, m *services.Message) {
				sum.Add(int64(self) + 1)
				if self == 0 && m.N == 1 {
					c.Send(n-1, &services.Message{})
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			s.Send(0, &services.Message{N: 1})
			synctest.Wait() // else it would send to a service that is stopped
			s.Broadcast(&services.Message{})
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			if want := int64(1 + n + n*(n+1)/2); sum.Load() != want {
				t.Errorf("%d services: the sum is %d, want %d", n, sum.Load(), want)
			}
		})
	}
}
