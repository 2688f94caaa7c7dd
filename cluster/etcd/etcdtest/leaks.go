// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"testing"
	"time"

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
	t.Cleanup(func() {
		err := goleak.Find(options...)
		for end := time.Now().Add(hang); err != nil && !t.Failed() && time.Now().Before(end); {
			err = goleak.Find(options...) // it waits for a moment
		}
		if err != nil && !t.Failed() {
			t.Error(err)
		}
	})
}
