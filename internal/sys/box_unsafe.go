// SPDX-License-Identifier: Apache-2.0

package sys

import "unsafe"

// face is what an interface value consists of.
type face struct {
	typ, data unsafe.Pointer
}

// BoxBytes returns *p as an interface value that points to p, where any(*p) would allocate a copy of the slice's header.
// *p must not change afterwards.
func BoxBytes(p *[]byte) (v any) {
	v = []byte(nil)
	(*face)(unsafe.Pointer(&v)).data = unsafe.Pointer(p)
	return v
}
