// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
)

const recvHelp = `recv binds ADDR and takes messages that were sent to it, one unless --count or
--follow says more. It waits for them; --timeout bounds the wait for each. A
message is written out first and taken then: if the output is closed, or this
process is killed, it stays for the next receiver.

Text output is the payload and a line feed, so that it can be piped; --meta puts
source, destination, sequence and size in front. --json, or --output json, writes
one object a line: "text" is the payload if that is UTF-8, else "base64".

A domain that does not exist yet is made: see --allow-unknown and --template.
Only one process can have an address bound; skybus tail looks without taking.`

// receiving is one run of recv.
type receiving struct {
	*app
	maker      maker
	output     string
	from       string
	count      int
	follow     bool
	peek       bool
	meta       bool
	timeout    time.Duration
	hasTimeout bool
	e          *skybus.Endpoint
	src        addr.Addr
	printer    *printer
	buf        []byte
}

func newRecvCommand(a *app) *cobra.Command {
	r := &receiving{app: a}
	cmd := &cobra.Command{
		Use:   "recv ADDR",
		Short: "Bind an address and receive messages",
		Long:  recvHelp,
		Example: `  skybus recv -k 1000 0.0.0.2                        wait for one message
  skybus recv -k 1000 0.0.0.2 --follow               go on until interrupted
  skybus recv -k 1000 0.0.0.2 --follow --timeout 0   take all that waits now`,
		Args:              takes(1, 1, "ADDR"),
		ValidArgsFunction: a.completeAddresses(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.hasTimeout = cmd.Flags().Changed("timeout")
			if err := r.checkFlags(cmd); err != nil {
				return err
			}
			return r.run(cmd.Context(), args[0])
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&r.follow, "follow", "f", false, "receive until interrupted")
	f.IntVarP(&r.count, "count", "n", 1, "receive `N` messages")
	f.DurationVarP(&r.timeout, "timeout", "t", 0, "wait at most `D` for each message; 0 does not wait (default: without end)")
	f.BoolVar(&r.peek, "peek", false, "show the next message and leave it there")
	f.StringVar(&r.from, "from", "", "only messages from `ADDR`")
	f.BoolVarP(&r.meta, "meta", "m", false, "write source, destination, sequence and size too")
	outputFlag(cmd, &r.output)
	r.maker.flags(cmd)
	complete(cmd, "from", a.completeAddresses(2))
	return cmd
}

func (r *receiving) checkFlags(cmd *cobra.Command) error {
	switch {
	case r.count < 1:
		return usagef("--count %d: want at least 1", r.count)
	case r.timeout < 0:
		return usagef("--timeout %s: want 0 or more", r.timeout)
	case r.peek && (r.follow || r.count > 1):
		return usagef("--peek shows one message; skybus tail looks at all without taking")
	}
	return exclusive(cmd, "follow", "count")
}

func (r *receiving) run(ctx context.Context, arg string) (err error) {
	if r.printer, err = r.newPrinter(r.output, r.meta, false); err != nil {
		return err
	}
	d, err := r.maker.open(r.app)
	if err != nil {
		return err
	}
	defer d.Close()
	r.printer.format = d.FormatAddr
	dst, err := address(d, "ADDR", arg)
	if err != nil {
		return err
	}
	if r.from != "" {
		if r.src, err = address(d, "--from", r.from); err != nil {
			return err
		}
	}
	if r.e, err = d.Bind(dst); err != nil {
		return bindHint(err, arg)
	}
	defer r.e.Close()
	return r.loop(ctx)
}

// bindHint says what can be done when an address cannot be bound.
func bindHint(err error, arg string) error {
	switch {
	case errors.Is(err, skybus.ErrInUse):
		return hinted(err, "skybus tail %s looks without taking", arg)
	case errors.Is(err, skybus.ErrBoundElsewhere):
		return hinted(err, "skybus routes lists who has which address")
	case errors.Is(err, skybus.ErrNoRoute):
		return hinted(err, "skybus ls --addresses lists those it has")
	}
	return err
}

func (r *receiving) loop(ctx context.Context) error {
	for n := 0; r.follow || n < r.count; n++ {
		err := r.next(ctx)
		switch {
		case err == nil:
		case r.follow && (ctx.Err() != nil || errors.Is(err, errNothing)):
			return nil // being ended is how following ends
		case ctx.Err() != nil:
			return errInterrupted
		case errors.Is(err, errNothing) && n > 0:
			return fmt.Errorf("%w; got %d of %d", err, n, r.count)
		default:
			return err
		}
	}
	return nil
}

// errNothing means that the wait was over before a message came.
var errNothing = errors.New("no message")

// next writes the next message out, then takes it: from the same source, for
// looking and taking choose among the sources anew.
func (r *receiving) next(ctx context.Context) error {
	m, err := r.wait(ctx, skybus.RecvOptions{From: r.src, Peek: true, Buf: r.buf})
	if err != nil {
		return err
	}
	r.buf = m.Data
	if err := r.printer.print(m, false); err != nil || r.peek {
		return err
	}
	_, err = r.e.TryRecvWith(skybus.RecvOptions{From: m.Src, Buf: r.buf})
	return err
}

func (r *receiving) wait(ctx context.Context, o skybus.RecvOptions) (skybus.Message, error) {
	m, err := r.e.TryRecvWith(o)
	switch {
	case ctx.Err() != nil:
		return m, ctx.Err()
	case !errors.Is(err, skybus.ErrEmpty):
		return m, err
	case !r.hasTimeout:
		return r.e.RecvWith(ctx, o)
	case r.timeout == 0:
		return m, fmt.Errorf("%w waits for %s", errNothing, r.e.Domain().FormatAddr(r.e.Addr()))
	}
	bounded, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	m, err = r.e.RecvWith(bounded, o)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w came to %s within %s", errNothing, r.e.Domain().FormatAddr(r.e.Addr()), r.timeout)
	}
	return m, err
}
