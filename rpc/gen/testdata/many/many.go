// SPDX-License-Identifier: Apache-2.0

// Package many has all that an interface may have. It does not compile without what is generated.
package many

import (
	"context"
	"iter"
	"net/netip"
	alias "time"
)

type Item struct{ N int }

type Part interface {
	Plain(ctx context.Context, a, A int, s string, err []byte) (int, string, error)
}

type Whole interface {
	Part
	NoContext(int, _ bool) error
	OneWay(ctx context.Context, x map[string]*Item)
	Silent()
	Others(context.Context, netip.Addr, alias.Duration) (alias.Time, error)
	Items(ctx context.Context, Item int) (iter.Seq2[Item, error], error)
}

type Streams interface {
	Items(ctx context.Context, Item int) (iter.Seq2[Item, error], error)
}

var _ Streams = &streamsStub{}

var _ Whole = &wholeStub{}
