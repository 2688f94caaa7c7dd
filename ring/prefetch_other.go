// SPDX-License-Identifier: Apache-2.0

//go:build !amd64 && !arm64

package ring

func prefetchW(*uint64) {}

func prefetchW2(_, _ *uint64) {}

func prefetch(*uint64) {}
