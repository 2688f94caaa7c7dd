// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"testing"

	"go.uber.org/goleak"
)

// NoLeaks is testutil.NoLeaks for tests with several servers in this process: what those have left open between each other
// does not count. No client of etcd uses net/http.
func NoLeaks(t testing.TB) {
	t.Helper()
	options := []goleak.Option{goleak.IgnoreCurrent()}
	for _, f := range []string{"net/http.(*persistConn).readLoop", "net/http.(*persistConn).writeLoop", "net/http.(*conn).serve", "net/http.(*connReader).backgroundRead"} {
		options = append(options, goleak.IgnoreAnyFunction(f))
	}
	t.Cleanup(func() { goleak.VerifyNone(t, options...) })
}
