// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"bytes"
	"runtime"
	"strconv"
	"strings"
)

// goroutineNumber returns the number that stack traces give the calling goroutine.
func goroutineNumber() uint64 {
	var buf [64]byte
	text := bytes.TrimPrefix(buf[:runtime.Stack(buf[:], false)], []byte("goroutine "))
	end := bytes.IndexByte(text, ' ')
	if end < 0 {
		return 0
	}
	n, err := strconv.ParseUint(string(text[:end]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// maxTrace bounds what a trace of all goroutines takes, in bytes.
const maxTrace = 64 << 20

// stacks returns the stacks of all goroutines by number. It stops the world.
func stacks() map[uint64]string {
	size := 1 << 20
	buf := make([]byte, size)
	n := runtime.Stack(buf, true)
	for n == size && size < maxTrace {
		size *= 2
		buf = make([]byte, size)
		n = runtime.Stack(buf, true)
	}
	all := map[uint64]string{}
	for _, text := range strings.Split(string(buf[:n]), "\n\n") {
		head, _, _ := strings.Cut(strings.TrimPrefix(text, "goroutine "), " ")
		if number, err := strconv.ParseUint(head, 10, 64); err == nil {
			all[number] = text
		}
	}
	return all
}

// userFrame returns the innermost function of a stack that is none of this package's,
// with file and line; empty if there is none.
func userFrame(stack string) string {
	lines := strings.Split(stack, "\n")
	for i := 1; i+1 < len(lines); i += 2 {
		fn, place := lines[i], strings.TrimSpace(lines[i+1])
		if strings.HasPrefix(fn, packagePath+".") && !strings.HasSuffix(strings.SplitN(place, ":", 2)[0], "_test.go") ||
			strings.HasPrefix(fn, "runtime.") || strings.HasPrefix(fn, "iter.") {
			continue
		}
		if j := strings.LastIndexByte(fn, '('); j > 0 {
			fn = fn[:j]
		}
		place, _, _ = strings.Cut(place, " +0x")
		return fn + " at " + place
	}
	return ""
}

const packagePath = "github.com/skybus-io/skybus/actor"
