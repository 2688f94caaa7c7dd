// SPDX-License-Identifier: Apache-2.0

package rpctest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/skybus-io/skybus/rpc"
)

//go:generate go run github.com/skybus-io/skybus/cmd/skybus gen

// An Entry is a line of an account.
type Entry struct {
	Amount int64
	Text   string
}

// An Account is what the suite calls.
type Account interface {
	Deposit(ctx context.Context, amount int64) (int64, error)
	Balance() (int64, string, error)
	Note(text string)                                                // one-way
	Notes(ctx context.Context) ([]string, error)                     // what came so
	Refuse(how string) error                                         // fails
	Panic() error                                                    // panics
	Sleep(ctx context.Context, d time.Duration) (bool, error)        // until ctx is over; reports whether it has a deadline
	Open(ctx context.Context, first Entry) (rpc.Ref[Account], error) // a leased object more
	Ask(ctx context.Context, other rpc.Ref[Account]) (int64, error)  // calls another account
	History(ctx context.Context, n int) (iter.Seq2[Entry, error], error)
	Produced() (int, error)                       // items of History
	Running() (int, error)                        // Histories
	Pass(ctx context.Context, v any) (any, error) // returns v, or what that is the name of
}

// A Reader has fewer methods than an Account, and one that that has not.
type Reader interface {
	Balance() (int64, string, error)
	Audit() error
	History(ctx context.Context, n int) (iter.Seq2[Entry, error], error)
}

// ErrPoor is registered, so that it is what it is in other processes, too.
var ErrPoor = errors.New("not that much money")

var errUnknown = errors.New("an error that nobody has registered")

func init() { rpc.RegisterError("rpctest.Poor", ErrPoor) }

// An account is an Account.
type account struct {
	balance           int64
	notes             []string
	produced, running int
}

// NewAccount returns an Account that has nothing.
func NewAccount() Account { return &account{} }

func (a *account) Deposit(_ context.Context, amount int64) (int64, error) {
	if a.balance+amount < 0 {
		return 0, fmt.Errorf("deposit %d: %w", amount, ErrPoor)
	}
	a.balance += amount
	return a.balance, nil
}

func (a *account) Balance() (int64, string, error) { return a.balance, "gold", nil }

func (a *account) Note(text string) { a.notes = append(a.notes, text) }

func (a *account) Notes(context.Context) ([]string, error) { return a.notes, nil }

func (a *account) Refuse(how string) error {
	if how == "unknown" {
		return errUnknown
	}
	return fmt.Errorf("%s: %w", how, ErrPoor)
}

func (a *account) Panic() error { panic("bad luck") }

func (a *account) Sleep(ctx context.Context, d time.Duration) (bool, error) {
	_, has := ctx.Deadline()
	return has, rpc.FromContext(ctx).Sleep(d)
}

func (a *account) Open(ctx context.Context, first Entry) (rpc.Ref[Account], error) {
	return rpc.Export[Account](rpc.FromContext(ctx), &account{balance: first.Amount, notes: []string{first.Text}})
}

func (a *account) Ask(ctx context.Context, other rpc.Ref[Account]) (int64, error) {
	return other.Bind(rpc.FromContext(ctx)).Deposit(ctx, 0)
}

func (a *account) History(_ context.Context, n int) (iter.Seq2[Entry, error], error) {
	if n < 0 {
		return nil, fmt.Errorf("history of %d: %w", n, ErrPoor)
	}
	return func(yield func(Entry, error) bool) {
		a.running++
		defer func() { a.running-- }()
		for i := range n {
			if i == 1000 {
				yield(Entry{}, ErrPoor)
				return
			}
			a.produced++
			if !yield(Entry{Amount: int64(i), Text: "entry"}, nil) {
				return
			}
		}
	}, nil
}

func (a *account) Produced() (int, error) { return a.produced, nil }

func (a *account) Running() (int, error) { return a.running, nil }

func (a *account) Pass(_ context.Context, v any) (any, error) {
	switch v {
	case "large":
		return strings.Repeat("x", largest), nil
	case "func":
		return func() {}, nil
	case "cycle":
		cycle := map[string]any{}
		cycle["self"] = cycle
		return cycle, nil
	}
	return v, nil
}
