// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"time"

	"github.com/skybus-io/skybus/gate/entry"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
)

// CommandHelp is the help of Command.
const CommandHelp = "[stats] | list [N] | show CLIENT | kick CLIENT [REASON] | trace CLIENT [PACKETS]: the gate's sessions"

// Command is a command for a console:
//
//	err := k.Register("gate", gate.CommandHelp, g.Command)
//
// It shows the counters, lists sessions, shows, kicks or traces one of them. Errors: a word that is none of these, a session that is not there. A
// trace ends after so many packets (20), or with ctx.
func (g *Gate) Command(ctx context.Context, w io.Writer, args []string) error {
	what := "stats"
	if len(args) > 0 {
		what, args = args[0], args[1:]
	}
	switch what {
	case "stats":
		return g.printStats(w)
	case "list":
		return g.printList(w, args)
	}
	if what != "show" && what != "kick" && what != "trace" {
		return fmt.Errorf("gate %q: want %s", what, CommandHelp)
	}
	if len(args) == 0 {
		return fmt.Errorf("gate %s: want a client, as 0.0.1.1#1f", what)
	}
	c, err := ParseClient(args[0])
	if err != nil {
		return err
	}
	switch what {
	case "kick":
		reason := "kicked"
		if len(args) > 1 {
			reason = args[1]
		}
		return g.Kick(c, frame.CodeKicked, reason)
	case "trace":
		return g.printTrace(ctx, w, c, args[1:])
	}
	i, ok := g.Session(c)
	if !ok {
		return fmt.Errorf("%v: %w", c, ErrNoSession)
	}
	return printSession(w, &i)
}

func (g *Gate) printStats(w io.Writer) error {
	st := g.Stats()
	v := reflect.ValueOf(st)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; name != "Entry" && name != "Vault" {
			if _, err := fmt.Fprintf(w, "%-12s %v\n", name, v.Field(i)); err != nil {
				return err
			}
		}
	}
	e, va := &st.Entry, &st.Vault
	_, err := fmt.Fprintf(w, "connections  %d, early %d, addresses %d, accepted %d, shortage %d\nvault        live %d, away %d, ended %d, written %d, evicted %d, forgotten %d\n",
		e.Connections, e.Early, e.Addresses, e.Accepted, e.Shortage, va.Live, va.Away, va.Ended, va.Written, va.Evicted, va.Forgotten)
	for _, r := range entry.Reasons() {
		if n := e.Refused[r]; n > 0 && err == nil {
			_, err = fmt.Fprintf(w, "refused      %d: %v\n", n, r)
		}
	}
	return err
}

func (g *Gate) printList(w io.Writer, args []string) error {
	most, err := number(args, 100)
	if err != nil {
		return err
	}
	list := g.Sessions()
	for i := range list[:min(most, len(list))] {
		s := &list[i]
		state := "here"
		if !s.Away.IsZero() {
			state = "away " + time.Since(s.Away).Round(time.Second).String()
		} else if s.Paused > 0 {
			state = "paused " + s.Paused.Round(time.Millisecond).String()
		} else if s.Conn.Over {
			state = "slow"
		}
		if _, err := fmt.Fprintf(w, "%-20v %-22s %-10s to %v in %d out %d queued %d %q\n", s.Client, s.Remote, state, s.Target, s.Accepted, s.Conn.Queue.PacketsOut, s.Conn.Queue.Bytes, s.Identity); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "%d sessions\n", len(list))
	return err
}

func number(args []string, otherwise int) (int, error) {
	if len(args) == 0 {
		return otherwise, nil
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q: want a number from 1", args[0])
	}
	return n, nil
}

func printSession(w io.Writer, s *SessionInfo) error {
	_, err := fmt.Fprintf(w, "client   %v\nidentity %q\nremote   %s\ntarget   %v\ngroups   %q\nsince    %s\naccepted %d\nsent     %d\nconn     %+v\n",
		s.Client, s.Identity, s.Remote, s.Target, s.Groups, s.Since.Format(time.RFC3339), s.Accepted, s.Sent, s.Conn)
	if err == nil && !s.Away.IsZero() {
		_, err = fmt.Fprintf(w, "away     since %s\n", s.Away.Format(time.RFC3339))
	}
	return err
}

// printTrace shows the next packets of a session. One at a time may do so.
func (g *Gate) printTrace(ctx context.Context, w io.Writer, c Client, args []string) error {
	left, err := number(args, 20)
	if err != nil {
		return err
	}
	s := g.session(c)
	if s == nil {
		return fmt.Errorf("%v: %w", c, ErrNoSession)
	}
	t := &tracer{lines: make(chan string, 64)}
	if !s.trace.CompareAndSwap(nil, t) {
		return errors.New("the session is being traced already")
	}
	defer s.trace.Store(nil)
	for ; left > 0; left-- {
		select {
		case line := <-t.lines:
			if _, err := io.WriteString(w, line); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func (g *Gate) session(c Client) *session {
	h := g.home(c.Home)
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[c.ID]
}

func traceLine(way string, packet []byte, kind queue.Kind) string {
	shown, more := packet, ""
	if len(shown) > traceBytes {
		shown, more = shown[:traceBytes], "..."
	}
	return fmt.Sprintf("%s %-3s %-9v %6d %q%s\n", time.Now().Format("15:04:05.000000"), way, kind, len(packet), shown, more)
}
