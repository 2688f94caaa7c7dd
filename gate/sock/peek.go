// SPDX-License-Identifier: Apache-2.0

package sock

import (
	"io"

	"github.com/skybus-io/skybus/internal/sys"
)

// Peek waits until something has come, up to the read deadline, and copies it to b without taking it:
// as much as there is. The error is io.EOF at the end, os.ErrDeadlineExceeded, or net.ErrClosed. It is called
// before Loop. b is not empty.
func (c *Conn) Peek(b []byte) (n int, err error) {
	var perr error
	err = c.raw.Read(func(fd uintptr) bool {
		var again bool
		n, again, perr = sys.PeekNow(fd, b)
		return !again
	})
	switch {
	case err != nil:
		return 0, c.because(err)
	case perr == nil && n == 0:
		return 0, io.EOF
	}
	return n, perr
}
