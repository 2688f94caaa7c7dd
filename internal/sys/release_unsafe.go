// SPDX-License-Identifier: Apache-2.0

//go:build (amd64 || arm64) && !race

package sys

import (
	"sync/atomic"
	"unsafe"
)

// StoreRelease stores v in p behind all that was loaded and stored before, but
// is no barrier for what comes after it, as p.Store is: it costs a tenth.
func StoreRelease(p *atomic.Uint32, v uint32) { storeRelease((*uint32)(unsafe.Pointer(p)), v) }

// StoreRelease64 is StoreRelease for 64 bits.
func StoreRelease64(p *atomic.Uint64, v uint64) { storeRelease64((*uint64)(unsafe.Pointer(p)), v) }

//go:noescape
func storeRelease(p *uint32, v uint32)

//go:noescape
func storeRelease64(p *uint64, v uint64)
