// SPDX-License-Identifier: Apache-2.0

package rpctest

import (
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func TestSuite(t *testing.T) {
	for name, pair := range map[string]func(testing.TB) Pair{"one runtime": Alone, "two runtimes": Join} {
		t.Run(name, func(t *testing.T) {
			testutil.NoLeaks(t)
			Suite(t, func(t *testing.T) Pair { return pair(t) })
		})
	}
}
