// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Timeout is what the command TIMEOUT sends to its service, as KindTick: the number
// that the command returned.
type Timeout uint64

// Signal is what the command SIGNAL sends to its target, as KindNotice.
type Signal int

// Command runs one of skynet's text commands for the handler's service, and returns
// what it answers. It never waits: the handler keeps its turn.
//
// A line is a command, in any case, and what it takes. TARGET is a PID (:1f) or a
// name (.boss, or boss). What skynet answers with NULL is an error here. There are
//
//	TIMEOUT N         sends a Timeout in N hundredths of a second, or in a duration such as 1.5s; its number
//	REG               the caller's PID
//	REG NAME          gives the caller a name; it
//	NAME NAME TARGET  gives a service, a group or a pool a name; it
//	QUERY NAME        whose name it is
//	EXIT              ends the caller, as Context.Exit(nil)
//	KILL TARGET       as Runtime.Kill
//	LAUNCH KIND ARGS  starts a service of a registered kind (Runtime.Factory); its PID
//	GETENV KEY        a setting of the runtime
//	SETENV KEY VALUE  makes one, once; VALUE is the rest of the line
//	STARTTIME         when the process started, in seconds since 1970
//	NOW               how long that is ago, in hundredths of a second
//	ABORT             kills all services; none starts any more
//	MONITOR TARGET    the caller gets a Down when the target ends
//	STAT WHAT TARGET  mqlen: messages that wait; message: those handled; cpu: seconds in handlers;
//	                  endless: 1 if a handler is stuck, else 0. Of the caller without TARGET
//	SIGNAL TARGET N   the target gets a Signal; 0 without N
//
// These differ from skynet's: a service has one name, and no name is for other
// processes. LAUNCH does not wait for the new service's Start: if that fails, its PID
// is soon nobody's. skynet's MONITOR has one service hear of all ends: that is Events.Ended. STAT cpu is
// the clock's time, and counts only while Runtime.Profile is on; STAT endless keeps the mark that it
// reads, and there is no STAT time. SIGNAL does not run in the sender's turn, and so
// cannot free a handler that never returns. LOGON and LOGOFF are errors: there is no
// log of messages. In a bubble of testing/synctest, whose clock is another one, time
// begins with the runtime's first STARTTIME or NOW.
//
// Errors name the command, what it got and what it wants; they wrap those of the
// methods that do the same.
func (c *Context) Command(line string) (string, error) {
	x := command{rt: c.rt, by: c.mine().pid(), own: c}
	return x.run(line)
}

// Command is Context.Command for other goroutines, on behalf of the service by; the
// zero PID will do for what is not about the caller. It does not wait.
func (rt *Runtime) Command(by PID, line string) (string, error) {
	x := command{rt: rt, by: by}
	return x.run(line)
}

// Factory has the command LAUNCH, and Launch, know a kind of service: f makes the
// Spec from the text behind it, which may be empty. It is called by whoever launches, a handler
// perhaps, and must not wait. A second one for a kind replaces the first; nil
// takes it away. Kinds have no spaces, or nobody can launch them.
func (rt *Runtime) Factory(kind string, f func(args string) (Spec, error)) {
	if f == nil {
		rt.texts().factories.Delete(kind)
		return
	}
	rt.texts().factories.Store(kind, f)
}

// Launch starts a service of a registered kind and waits for its Start, as
// Runtime.Start does. Errors: an unknown kind, the factory's, those of Start. Not for handlers.
func (rt *Runtime) Launch(ctx context.Context, kind, args string) (PID, error) {
	spec, err := rt.texts().spec(kind, args)
	if err != nil {
		return PID{}, fmt.Errorf("launch: %w", err)
	}
	return rt.Start(ctx, spec)
}

// Resolve returns the PID that text is, or whose name it is. It does not ask whether
// somebody has the PID. Errors: ErrNoService for a name that nobody has. Any
// goroutine may call it.
func (rt *Runtime) Resolve(text string) (PID, error) {
	if strings.ContainsAny(text, ":/") {
		return ParsePID(text)
	}
	if p, ok := rt.Lookup(text); ok {
		return p, nil
	}
	return PID{}, fmt.Errorf("name %q: %w; want a name or a PID such as :1f", text, ErrNoService)
}

// texts is what the text commands keep for a runtime: in its env, under the key
// textsKey, beside the settings, whose keys are strings.
type texts struct {
	began     time.Time
	timeouts  atomic.Uint64
	factories sync.Map // of func(args string) (Spec, error), by kind
}

type textsKey struct{}

var processBegan = time.Now()

func (rt *Runtime) texts() *texts {
	if t, ok := rt.env.Load(textsKey{}); ok {
		return t.(*texts)
	}
	began := processBegan
	if now := time.Now(); now.Before(began) { // the clock of a bubble
		began = now
	}
	t, _ := rt.env.LoadOrStore(textsKey{}, &texts{began: began})
	return t.(*texts)
}

// spec calls the factory of a kind.
func (t *texts) spec(kind, args string) (spec Spec, err error) {
	f, ok := t.factories.Load(kind)
	if !ok {
		return Spec{}, fmt.Errorf("kind %q: want one that Runtime.Factory knows", kind)
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("kind %q: %w", kind, &PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	spec, err = f.(func(string) (Spec, error))(args)
	if err != nil {
		err = fmt.Errorf("kind %q: arguments %q: %w", kind, args, err)
	}
	return spec, err
}

// A command is one that runs.
type command struct {
	rt  *Runtime
	by  PID
	own *Context // the caller's; nil for another goroutine
	arg string   // the line behind the command
}

// commandNames is for errors: as in the documentation.
const commandNames = "TIMEOUT REG NAME QUERY EXIT KILL LAUNCH GETENV SETENV STARTTIME NOW ABORT MONITOR STAT SIGNAL"

var commandTable = map[string]func(*command) (string, error){
	"TIMEOUT": (*command).timeout, "REG": (*command).reg, "NAME": (*command).name, "QUERY": (*command).query,
	"EXIT": (*command).exit, "KILL": (*command).kill, "LAUNCH": (*command).launch,
	"GETENV": (*command).getenv, "SETENV": (*command).setenv, "STARTTIME": (*command).startTime, "NOW": (*command).now,
	"ABORT": (*command).abort, "MONITOR": (*command).monitor, "STAT": (*command).stat, "SIGNAL": (*command).signal,
	"LOGON": (*command).log, "LOGOFF": (*command).log,
}

func (x *command) run(line string) (string, error) {
	word, arg := cutWord(strings.TrimSpace(line))
	name := strings.ToUpper(word)
	f := commandTable[name]
	if f == nil {
		return "", fmt.Errorf("command %.40q: want one of %s", word, commandNames)
	}
	x.arg = arg
	v, err := f(x)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// cutWord returns the first word of a line that begins with one, and the rest.
func cutWord(line string) (word, rest string) {
	if i := strings.IndexAny(line, " \t\r\n"); i >= 0 {
		return line[:i], strings.TrimSpace(line[i:])
	}
	return line, ""
}

// want says what is wrong with the argument.
func (x *command) want(what string) error { return fmt.Errorf("argument %q: want %s", x.arg, what) }

// alone refuses an argument.
func (x *command) alone() error {
	if x.arg != "" {
		return x.want("none")
	}
	return nil
}

// caller returns the service that the command is for.
func (x *command) caller() (*service, error) {
	s, _ := x.rt.local(x.by)
	if s == nil || s.kind != ordinary {
		return nil, fmt.Errorf("caller %v: %w: want one of this process", x.by, ErrNoService)
	}
	return s, nil
}

// target reads an argument that is a TARGET and nothing else.
func (x *command) target(text string) (PID, error) {
	if text == "" || strings.ContainsAny(text, " \t") {
		return PID{}, x.want("a name or a PID such as :1f")
	}
	return x.rt.Resolve(text)
}
