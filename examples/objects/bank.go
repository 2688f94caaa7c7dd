// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/skybus-io/skybus/rpc"
)

//go:generate go run github.com/skybus-io/skybus/cmd/skybus gen

// A Bank has accounts.
type Bank interface {
	Open(ctx context.Context, owner string) (rpc.Ref[Account], error)
}

// An Account is an object of its own: a Ref to it goes wherever it is needed.
type Account interface {
	Deposit(ctx context.Context, amount int64) (int64, error)
	Pay(ctx context.Context, to rpc.Ref[Account], amount int64) error
	History(ctx context.Context) (iter.Seq2[string, error], error)
}

var errPoor = errors.New("not that much money")

func init() { rpc.RegisterError("examples/objects.poor", errPoor) }

type bank struct{}

func newBank() Bank { return bank{} }

func (bank) Open(ctx context.Context, owner string) (rpc.Ref[Account], error) {
	return rpc.Export[Account](rpc.FromContext(ctx), &account{owner: owner})
}

type account struct {
	owner   string
	balance int64
	history []string
}

func (a *account) Deposit(_ context.Context, amount int64) (int64, error) {
	a.balance += amount
	a.history = append(a.history, fmt.Sprintf("%s: %+d", a.owner, amount))
	return a.balance, nil
}

func (a *account) Pay(ctx context.Context, to rpc.Ref[Account], amount int64) error {
	if amount > a.balance {
		return fmt.Errorf("%s pays %d: %w", a.owner, amount, errPoor)
	}
	if _, err := a.Deposit(ctx, -amount); err != nil {
		return err
	}
	_, err := to.Bind(rpc.FromContext(ctx)).Deposit(ctx, amount)
	return err
}

func (a *account) History(context.Context) (iter.Seq2[string, error], error) {
	return func(yield func(string, error) bool) {
		for _, line := range a.history {
			if !yield(line, nil) {
				return
			}
		}
	}, nil
}
