// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/node/envelope"
)

var (
	// ErrPeerDied means that the process that was to answer has ended.
	ErrPeerDied = errors.New("the other process has ended")
	// ErrSilent means that a node of another host has not been heard of for as long as
	// Config.Patience, or one of this host never: it may be alive, or be no node.
	ErrSilent = errors.New("the other node is silent")
	// ErrValue means that a value cannot be encoded, or not be decoded over there.
	ErrValue = errors.New("value cannot travel")
	// ErrRefused means that the other node does not take the message.
	ErrRefused = errors.New("refused by the other node")
)

// A CallError is an error of a request, or a message, that has left the process.
type CallError struct {
	Target actor.PID
	Hop    addr.Addr // whose node found out; none: this process's
	Err    error
}

func (e *CallError) Error() string {
	if e.Hop.IsNone() {
		return e.Err.Error()
	}
	return fmt.Sprintf("node %v: %v", e.Hop, e.Err)
}

// Unwrap returns Err.
func (e *CallError) Unwrap() error { return e.Err }

// codes are the errors that keep their meaning on the way. The first that errors.Is finds
// counts.
var codes = []struct {
	code envelope.Code
	err  error
}{
	{envelope.CodeStalePID, actor.ErrStalePID},
	{envelope.CodeNoService, actor.ErrNoService},
	{envelope.CodeMailboxFull, actor.ErrMailboxFull},
	{envelope.CodeNoReply, actor.ErrNoReply},
	{envelope.CodeStopped, actor.ErrStopped},
	{envelope.CodeKilled, actor.ErrKilled},
	{envelope.CodeDropped, actor.ErrDropped},
	{envelope.CodeGoexit, actor.ErrGoexit},
	{envelope.CodeCallCycle, actor.ErrCallCycle},
	{envelope.CodeWrongType, actor.ErrType},
	{envelope.CodeNameTaken, actor.ErrNameTaken},
	{envelope.CodeDeadline, context.DeadlineExceeded},
	{envelope.CodeTooLarge, skybus.ErrTooBig},
	{envelope.CodeUnknownType, ErrValue},
	{envelope.CodeRefused, ErrRefused},
	{envelope.CodePeerDied, ErrPeerDied},
	{envelope.CodeSilent, ErrSilent},
}

// report says in an envelope's words what err is. Its methods are the program's, and may panic.
func report(err error) (r envelope.Report) {
	if err == nil {
		return envelope.Report{}
	}
	defer func() {
		if v := recover(); v != nil {
			r = envelope.Report{Code: envelope.CodeUser, Text: fmt.Sprintf("a %T whose methods panic: %v", err, v)}
		}
	}()
	r = envelope.Report{Code: envelope.CodeUser, Text: err.Error()}
	var p *actor.PanicError
	if errors.As(err, &p) {
		r.Code, r.Text = envelope.CodePanic, fmt.Sprint(p.Value)
		return r
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			r.Code = c.code
			break
		}
	}
	return r
}

// farError is an error that was found elsewhere: its text, and what errors.Is is to find.
type farError struct {
	text string
	is   error
}

func (e *farError) Error() string { return e.text }
func (e *farError) Unwrap() error { return e.is }

// errorOf is what report says, at the other end. nil: there was none.
func errorOf(r *envelope.Report) error {
	code := r.Code.Known()
	switch code {
	case envelope.CodeNone:
		return nil
	case envelope.CodePanic: // its stack stays there
		return &actor.PanicError{Value: r.Text}
	}
	e := &farError{text: r.Text}
	for _, c := range codes {
		if c.code == code {
			e.is = c.err
		}
	}
	if e.text == "" {
		e.text = code.String()
	}
	return e
}
