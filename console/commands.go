// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// A request is a command line that runs.
type request struct {
	ctx  context.Context // over when the connection's timeout is
	k    *Console
	c    *conn
	out  *output
	rest string // of the line, behind the command
}

// A builtinCommand is one that every console has.
type builtinCommand struct {
	name, takes, help string
	run               func(r *request) error
}

// builtins returns the commands in the order in which help shows them.
func builtins() []builtinCommand {
	return []builtinCommand{
		{"help", "[COMMAND]", "list the commands, or say what one takes", help},
		{"list", "[WORD|all]", "the services: the first 1000, or those whose PID or name has WORD in it", list},
		{"json", "[TARGET]", "the process and its services, or one of them, for programs: an object a line", describe},
		{"stat", "[TARGET]", "the counters of the runtime, or of a service; a TARGET is a PID or a name", stat},
		{"task", "[TARGET] [stack]", "what waiting handlers wait for, and where; FOR how long, while trace is on", task},
		{"names", "[PREFIX]", "the names, and whose they are", names},
		{"netstat", "", "what is attached, and the connections of the console", netstat},
		{"mem", "", "memory, goroutines, contexts and timers", mem},
		{"ping", "TARGET", "call a service with a console.Ping, and tell how long that takes", ping},
		{"call", "TARGET METHOD|VALUE", "call a method with ARGS, or a service with JSON, or a text, and show what comes back; an object is PID#NUMBER", call},
		{"send", "TARGET VALUE", "send JSON, or a text, to a service", send},
		{"launch", "KIND [ARGS]", "start a service of a kind that the program has registered", launch},
		{"stop", "TARGET", "end a service when it has done its work; kill it after the timeout", stop},
		{"kill", "TARGET", "end a service now", kill},
		{"cmd", "LINE", "one of skynet's text commands, such as STAT mqlen .boss", cmd},
		{"profile", "on|off", "whether the times of handlers are measured; list and stat show them, else -", profile},
		{"trace", "on|off", "whether waits note when they began; task shows that, else -", trace},
		{"gc", "", "collect garbage, and tell what that freed", gc},
		{"timeout", "[TIME]", "how long commands of this connection may take, such as 500ms", timeout},
		{"prompt", "on|off", "whether this connection gets a prompt", prompt},
		{"quit", "", "as exit", exit},
		{"exit", "", "end this connection", exit},
	}
}

func builtin(name string) *builtinCommand {
	all := builtins()
	if i := slices.IndexFunc(all, func(b builtinCommand) bool { return b.name == name }); i >= 0 {
		return &all[i]
	}
	return nil
}

// want says what the command takes, and what it got.
func (r *request) want(what string) error {
	return fmt.Errorf("argument %.80q: want %s", r.rest, what)
}

// words returns the arguments: most at most, and at least so many.
func (r *request) words(least, most int, names string) ([]string, error) {
	words := strings.FieldsFunc(r.rest, func(c rune) bool { return strings.ContainsRune(blanks, c) })
	if len(words) < least || len(words) > most {
		return nil, r.want(names)
	}
	return words, nil
}

// onOff reads an argument that is one of the two.
func (r *request) onOff() (bool, error) {
	if r.rest != "on" && r.rest != "off" {
		return false, r.want("on or off")
	}
	return r.rest == "on", nil
}

// target returns the service that the only argument names.
func (r *request) target() (actor.PID, error) {
	words, err := r.words(1, 1, "a PID such as :1f, or a name")
	if err != nil {
		return actor.PID{}, err
	}
	return r.k.rt.Resolve(words[0])
}

// info describes a service, which is one of this process and has not ended.
func (r *request) info(p actor.PID) (actor.ServiceInfo, error) {
	s, ok := r.k.rt.Info(p)
	if !ok {
		return s, fmt.Errorf("%v: %w: want one of this process", p, actor.ErrNoService)
	}
	return s, nil
}

// targetValue reads a target and the value behind it.
func (r *request) targetValue() (actor.PID, any, error) {
	word, text := cutWord(r.rest)
	if text == "" {
		return actor.PID{}, nil, r.want("a PID or a name, and a value")
	}
	p, err := r.k.rt.Resolve(word)
	if err != nil {
		return actor.PID{}, nil, err
	}
	parse := r.k.cfg.Value
	if parse == nil {
		parse = parseValue
	}
	v, err := parse(text)
	if err != nil {
		return actor.PID{}, nil, fmt.Errorf("value %.80q: %w", text, err)
	}
	return p, v, nil
}

func help(r *request) error {
	word, _ := cutWord(r.rest)
	t := newTable(r.out, "COMMAND", "TAKES", "WHAT")
	known := word == ""
	show := func(name, takes, what string) {
		if word == "" || word == name {
			t.row(name, takes, what)
			known = true
		}
	}
	for _, b := range builtins() {
		show(b.name, b.takes, b.help)
	}
	for _, p := range r.k.programs() {
		show(p.Name, "", p.Help)
	}
	if !known {
		return fmt.Errorf("there is no command %.40q: help alone lists them", word)
	}
	t.end()
	return nil
}

// Ping is what the command ping calls services with. Whoever answers it in any way
// is known to be alive, an error is an answer too: but a handler that panics for values that
// it does not know does so.
type Ping struct{}

// away are the errors of a call that nobody has answered.
var away = []error{actor.ErrNoService, actor.ErrStopped, actor.ErrMailboxFull, actor.ErrDropped, actor.ErrNoRemote}

func ping(r *request) error {
	p, err := r.target()
	if err != nil {
		return err
	}
	began := time.Now()
	_, err = r.k.rt.Call(r.ctx, p, Ping{})
	took := time.Since(began)
	switch {
	case err == nil:
		r.out.printf("%v answered in %v\n", p, took)
	case r.ctx.Err() != nil:
		return fmt.Errorf("%v did not answer within %v: %w", p, r.c.timeout, err)
	case slices.ContainsFunc(away, func(e error) bool { return errors.Is(err, e) }):
		return err
	default:
		r.out.printf("%v is alive: it answered in %v, but not to a ping: %v\n", p, took, err)
	}
	return nil
}

func call(r *request) error {
	if done, err := r.callMethod(); done || err != nil {
		return err
	}
	p, v, err := r.targetValue()
	if err != nil {
		return err
	}
	answer, err := r.k.rt.Call(r.ctx, p, v)
	if err != nil {
		return err
	}
	r.out.printf("%s\n", formatValue(answer))
	return nil
}

func send(r *request) error {
	p, v, err := r.targetValue()
	if err != nil {
		return err
	}
	return r.k.rt.Send(r.ctx, p, v)
}

func launch(r *request) error {
	kind, args := cutWord(r.rest)
	if kind == "" {
		return r.want("a kind of service, and its arguments")
	}
	p, err := r.k.rt.Launch(r.ctx, kind, args)
	if err != nil {
		return err
	}
	r.out.printf("%v\n", p)
	return nil
}

func stop(r *request) error {
	p, err := r.target()
	if err != nil {
		return err
	}
	s, err := r.info(p)
	if err != nil {
		return err
	}
	if s.Kind != "service" {
		return fmt.Errorf("%v is a %s, which only the program ends: want a service", s.PID, s.Kind)
	}
	return r.k.rt.Stop(r.ctx, s.PID)
}

func kill(r *request) error {
	p, err := r.target()
	if err != nil {
		return err
	}
	return r.k.rt.Kill(p)
}

func cmd(r *request) error {
	answer, err := r.k.rt.Command(actor.PID{}, r.rest)
	if err == nil && answer != "" {
		r.out.printf("%s\n", answer)
	}
	return err
}

func profile(r *request) error {
	on, err := r.onOff()
	if err == nil {
		r.k.rt.Profile(on)
	}
	return err
}

func trace(r *request) error {
	on, err := r.onOff()
	if err == nil {
		r.k.rt.Trace(on)
	}
	return err
}

func gc(r *request) error {
	if _, err := r.words(0, 0, "none"); err != nil {
		return err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	runtime.GC()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	r.out.printf("heap %s before, %s after %v\n", size(before.HeapAlloc), size(after.HeapAlloc), took.Round(time.Microsecond))
	return nil
}

// longestTimeout bounds what a connection may set.
const longestTimeout = 24 * time.Hour

func timeout(r *request) error {
	if r.rest != "" {
		d, err := time.ParseDuration(r.rest)
		if err != nil || d <= 0 || d > longestTimeout {
			return r.want("a time from 1ns to 24h, such as 500ms")
		}
		r.c.timeout = d
	}
	r.out.printf("%v\n", r.c.timeout)
	return nil
}

func prompt(r *request) error {
	on, err := r.onOff()
	if err == nil {
		r.c.prompt = on
		r.c.in.telnet = r.c.in.telnet && on
	}
	return err
}

// errExit ends the connection.
var errExit = errors.New("exit")

func exit(r *request) error {
	if _, err := r.words(0, 0, "none"); err != nil {
		return err
	}
	return errExit
}
