// SPDX-License-Identifier: Apache-2.0

// Package wrong has interfaces that cannot be called from elsewhere.
package wrong

import (
	"context"
	"iter"
)

type Wrong interface {
	Variadic(list ...int) error
	NoError() int
	Channel(c chan int) error
	Function(map[string][]func()) error
	Context(n int, ctx context.Context) error
	TwoResults() (iter.Seq2[int, error], int, error)
	BareSeq() (iter.Seq[int], error)
	Error(err error) error
	hidden() error
}

type Generic[T any] interface{ Get() (T, error) }

type Empty interface{}

type Struct struct{}
