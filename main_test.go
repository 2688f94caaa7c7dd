// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"os"
	"testing"

	"github.com/skybus-io/skybus/internal/killtest"
)

// roles are what a copy of the test binary can be started as; see killtest.
// Each is registered beside the test that starts it.
var roles = map[string]killtest.Role{}

func TestMain(m *testing.M) {
	killtest.Main(roles)
	os.Exit(m.Run())
}
