// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/names"
)

// namesProgram is "named [--cluster] ADDR NAME...": it binds the address in domain 1000 and asks for the names, with --cluster
// for the global ones, and has them until it is stopped. The handles of its services count from 1.
func namesProgram() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	args, global := os.Args[1:], os.Args[1] == "--cluster"
	if global {
		args = args[1:]
	}
	err := haveNames(ctx, global, args[0], args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "named:", err)
		os.Exit(1)
	}
}

func haveNames(ctx context.Context, global bool, at string, list []string) error {
	d, err := skybus.Open(1000, skybus.Options{})
	if err != nil {
		return err
	}
	defer d.Close()
	a, err := addr.Parse(at)
	if err != nil {
		return err
	}
	if _, err = d.Bind(a); err != nil {
		return err
	}
	r, closeNames, err := namesOf(ctx, d, global)
	if err != nil {
		return err
	}
	defer closeNames()
	for i, name := range list {
		if _, err := r.Request(ctx, strings.ReplaceAll(name, "ESC", "\x1b"), names.Owner{Addr: a, Handle: uint64(i + 1)}, 0); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}
