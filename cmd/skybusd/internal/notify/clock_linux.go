// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// monotonic returns the time of the clock that does not jump, in microseconds.
func monotonic() (int64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("notify: read the clock: %w", err)
	}
	return now.Nano() / 1000, nil
}
