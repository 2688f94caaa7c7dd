// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package notify

import (
	"fmt"
	"runtime"
)

// monotonic fails: the managers that ask for it run on Linux.
func monotonic() (int64, error) {
	return 0, fmt.Errorf("notify: no service manager is known on %s", runtime.GOOS)
}
