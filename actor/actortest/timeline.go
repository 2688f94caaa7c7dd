// SPDX-License-Identifier: Apache-2.0

package actortest

import (
	"fmt"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// What says what an Entry is about.
type What uint8

// The things that a Recorder notes.
const (
	Handled What = iota // a handler began to handle Message
	Passed              // a tap passed Message on
	Started             // the service starts
	Stopped             // the service ends; Err is the reason
)

// An Entry is one thing that happened.
type Entry struct {
	At       time.Duration // since the recorder was made
	What     What
	Service  actor.PID
	Name     string        // as given to Wrap or Tap
	Message  actor.Message // of Handled and Passed; its value is the receiver's, which may change it
	Text     string        // what the value looked like when it came
	Done     bool          // what began At has ended
	Took     time.Duration // until that, waits among it
	Err      error         // that it returned
	Panicked bool          // it did not return
}

// A log is a list of entries, in the order of time.
type log struct {
	began   time.Time
	entries []*Entry
}

func newLog() log { return log{began: time.Now()} }

func (l *log) now() time.Duration { return time.Since(l.began) }

// add puts e at the end.
func (l *log) add(e *Entry) {
	e.At = l.now()
	if e.What <= Passed {
		e.Text = describe(e.Message.Value)
	}
	l.entries = append(l.entries, e)
}

// String returns a table with a line for each entry.
func (l *log) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, e := range l.entries {
		fmt.Fprintf(w, "  +%v\t%s\t%s\t%s\n", e.At, who(e.Service, e.Name), e.title(), e.outcome())
	}
	_ = w.Flush() // a Builder takes everything
	return b.String()
}

// title says what began.
func (e *Entry) title() string {
	switch e.What {
	case Started:
		return "starts"
	case Stopped:
		return "stops"
	}
	kind := kindName(e.Message.Kind)
	if e.Message.IsCall() {
		kind = "call"
	}
	return fmt.Sprintf("%s from %s: %s", kind, sender(e.Message.From), e.Text)
}

// sender is what people call whoever sent a message.
func sender(p actor.PID) string {
	if p.IsZero() {
		return "nobody"
	}
	return p.String()
}

// outcome says how it ended; nothing if there is nothing to say.
func (e *Entry) outcome() string {
	var parts []string
	switch {
	case !e.Done:
		parts = append(parts, "not done")
	case e.Panicked:
		parts = append(parts, "panicked")
	}
	if e.Took > 0 {
		parts = append(parts, fmt.Sprintf("took %v", e.Took))
	}
	if e.Err != nil {
		parts = append(parts, "error: "+oneLine(e.Err.Error()))
	}
	return strings.Join(parts, ", ")
}

// kindName is what people call a kind.
func kindName(k actor.Kind) string {
	switch k {
	case actor.KindMessage:
		return "message"
	case actor.KindText:
		return "text"
	case actor.KindDown:
		return "down"
	case actor.KindBounce:
		return "bounce"
	case actor.KindTick:
		return "tick"
	case actor.KindNotice:
		return "notice"
	}
	return fmt.Sprintf("kind %d", k)
}

// longest is how many bytes of a value are shown.
const longest = 200

// describe shows a value with its type, on one line.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string:
		return oneLine(fmt.Sprintf("%q", v))
	}
	t, s := reflect.TypeOf(v).String(), fmt.Sprintf("%+v", v)
	switch {
	case strings.HasPrefix(s, "{"):
		s = t + s
	case strings.HasPrefix(s, "&{"):
		s = "&" + strings.TrimPrefix(t, "*") + s[1:]
	default:
		s = t + "(" + s + ")"
	}
	return oneLine(s)
}

// oneLine cuts s, and has it without line breaks and tabs.
func oneLine(s string) string {
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return strings.NewReplacer("\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(s)
}
