// SPDX-License-Identifier: Apache-2.0

//go:build (!amd64 && !arm64) || race

package sys

import "sync/atomic"

// StoreRelease stores v in p.
func StoreRelease(p *atomic.Uint32, v uint32) { p.Store(v) }

// StoreRelease64 stores v in p.
func StoreRelease64(p *atomic.Uint64, v uint64) { p.Store(v) }
