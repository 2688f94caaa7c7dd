// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ring

// prefetchW asks for the cache line of p and the next one, to be written soon.
//
//go:noescape
func prefetchW(p *uint64)

// prefetchW2 is prefetchW of both.
//
//go:noescape
func prefetchW2(p, q *uint64)

// prefetch asks for the cache line of p, to be read soon.
//
//go:noescape
func prefetch(p *uint64)
