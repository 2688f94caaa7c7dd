// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
)

const sendHelp = `send binds the address of --src and sends to DST: each TEXT is one message. Without
TEXT each line of the standard input is one, sent as it comes, without its line
feed. --file sends a file as one message, "-" being the standard input.

A full lane makes send wait; --timeout bounds that for each message. When send
has ended with exit code 0, all messages are in the lane, whether or not somebody
receives now.

Messages go to addresses that the domain knows: one that was bound once, or that
has a configured channel. A typing error thus is an error. With --allow-unknown
send makes a domain, if there is none, that takes messages to any address.`

// sending is one run of send.
type sending struct {
	*app
	maker    maker
	src      string
	file     string
	hex      bool
	quiet    bool
	count    int
	interval time.Duration
	timeout  time.Duration
	e        *skybus.Endpoint
	dst      addr.Addr
	sent     struct{ messages, bytes, last uint64 }
}

func newSendCommand(a *app) *cobra.Command {
	s := &sending{app: a}
	cmd := &cobra.Command{
		Use:   "send --src ADDR DST [TEXT...]",
		Short: "Send messages from arguments, lines or a file",
		Long:  sendHelp,
		Example: `  skybus send -k 1000 --src 0.0.0.1 0.0.0.2 hello
  skybus send -k 1000 --src 0.0.0.1 0.0.0.2 < lines.txt
  skybus send -k 1000 --src 0.0.0.1 0.0.0.2 --hex "00 ff 7a" --count 10 --interval 1s`,
		Args:              takes(1, -1, "DST [TEXT...]"),
		ValidArgsFunction: a.completeAddresses(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.checkFlags(cmd, args); err != nil {
				return err
			}
			return s.run(cmd.Context(), args[0], args[1:])
		},
	}
	f := cmd.Flags()
	f.StringVarP(&s.src, "src", "s", "", "`ADDR` that sends; it must not be bound by another process")
	f.BoolVar(&s.hex, "hex", false, "TEXT, or each line, is hexadecimal; spaces may stand between bytes")
	f.StringVarP(&s.file, "file", "f", "", "send `FILE` as one message")
	f.IntVarP(&s.count, "count", "n", 1, "send the arguments, or the file, `N` times")
	f.DurationVarP(&s.interval, "interval", "i", 0, "pause `D` between messages")
	f.DurationVarP(&s.timeout, "timeout", "t", 0, "wait at most `D` for room, for each message (default: without end)")
	f.BoolVarP(&s.quiet, "quiet", "q", false, "do not say what was sent")
	s.maker.flags(cmd)
	complete(cmd, "src", a.completeAddresses(2))
	return cmd
}

func (s *sending) checkFlags(cmd *cobra.Command, args []string) error {
	lines := len(args) == 1 && s.file == ""
	switch {
	case s.src == "":
		return usagef("--src is missing: which address sends?")
	case s.file != "" && len(args) > 1:
		return usagef("--file and TEXT do not go together")
	case s.file != "" && s.hex:
		return usagef("--file is sent as it is; --hex is for TEXT and lines")
	case s.count < 1:
		return usagef("--count %d: want at least 1", s.count)
	case s.count > 1 && lines:
		return usagef("--count repeats arguments or a file, lines of the standard input cannot be repeated")
	case s.interval < 0 || s.timeout < 0 || cmd.Flags().Changed("timeout") && s.timeout == 0:
		return usagef("--interval and --timeout want a time such as 500ms")
	}
	return nil
}

func (s *sending) run(ctx context.Context, dst string, texts []string) (err error) {
	d, err := s.open()
	if err != nil {
		return err
	}
	defer d.Close()
	src, err := address(d, "--src", s.src)
	if err != nil {
		return err
	}
	if s.dst, err = address(d, "DST", dst); err != nil {
		return err
	}
	if s.e, err = d.Bind(src); err != nil {
		return s.hint(err)
	}
	defer s.e.Close()
	err = s.sendAll(ctx, s.source(ctx, texts))
	if s.sent.messages > 0 || err == nil {
		s.tell(dst)
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	return s.hint(err)
}

// open makes a domain only if that is of use: one that knows no address takes
// no message.
func (s *sending) open() (*skybus.Domain, error) {
	if s.maker.unknown {
		return s.maker.open(s.app)
	}
	d, err := s.openExisting()
	if errors.Is(err, skybus.ErrNoDomain) {
		err = hinted(err, "skybus recv makes it, or send with --allow-unknown")
	}
	return d, err
}

// source chooses where the messages come from.
func (s *sending) source(ctx context.Context, texts []string) iter.Seq2[[]byte, error] {
	limit := s.e.Domain().Table().MaxMessage()
	switch {
	case s.file != "":
		return repeated(fileMessage(s.in, s.file, limit), s.count)
	case len(texts) > 0:
		return repeated(argMessages(texts, s.hex), s.count)
	}
	if isTerminal(s.in) {
		s.warnf("each line is a message; end with Ctrl-D")
	}
	return lineMessages(ctx, s.in, s.hex, limit)
}

func (s *sending) sendAll(ctx context.Context, messages iter.Seq2[[]byte, error]) error {
	for m, err := range messages {
		if err == nil && s.sent.messages > 0 {
			err = pause(ctx, s.interval)
		}
		if err == nil {
			err = s.send(ctx, m)
		}
		if err != nil {
			return err
		}
		s.sent.messages++
		s.sent.bytes += uint64(len(m))
	}
	return nil
}

func (s *sending) send(ctx context.Context, m []byte) error {
	if s.timeout == 0 {
		return s.e.Send(ctx, s.dst, m)
	}
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.e.Send(bounded, s.dst, m)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: no room for a message of %s within %s: %w", s.e.Domain().FormatAddr(s.dst), count(len(m), "byte"), s.timeout, skybus.ErrFull)
	}
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tell says what was sent, also when not all could be.
func (s *sending) tell(dst string) {
	if s.quiet {
		return
	}
	tail := ""
	if s.sent.messages > 0 { // or asking would make the lane
		s.sent.last, _ = s.e.LastSeq(s.dst)
		tail = fmt.Sprintf("; the last has sequence %d", s.sent.last)
	}
	result := struct {
		Src      string `json:"src"`
		Dst      string `json:"dst"`
		Messages uint64 `json:"messages"`
		Bytes    uint64 `json:"bytes"`
		LastSeq  uint64 `json:"last_seq"`
	}{s.src, dst, s.sent.messages, s.sent.bytes, s.sent.last}
	_ = s.done(result, "sent %s, %s, to %s%s", count(s.sent.messages, "message"), count(s.sent.bytes, "byte"), dst, tail)
}

// hint says how to go on after an error of binding or sending.
func (s *sending) hint(err error) error {
	switch {
	case errors.Is(err, skybus.ErrInUse):
		return hinted(err, "send from an address that nobody has bound")
	case errors.Is(err, skybus.ErrFull):
		return hinted(err, "is its receiver running? skybus show tells")
	case !errors.Is(err, skybus.ErrNoRoute) || s.e != nil && s.e.Addr() == s.dst:
		return err
	case s.e != nil && s.e.Domain().Table().Strict() || s.e == nil:
		return hinted(err, "skybus ls lists the channels it has, skybus tbusmgr --write adds some")
	case s.maker.unknown:
		return hinted(err, "start its receiver first: --allow-unknown counts only when the domain is made")
	}
	if strings.Contains(err.Error(), "relay key") {
		return hinted(err, "start its receiver first (skybus recv), or give it a route (skybus routes lists those that there are)")
	}
	return hinted(err, "start its receiver first (skybus recv), or make the domain with --allow-unknown")
}
