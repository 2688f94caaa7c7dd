// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// What each command does, in the order of Context.Command's list as far as they do not
// belong together.

func (x *command) timeout() (string, error) {
	d, err := hundredths(x.arg)
	if err != nil {
		return "", x.want("hundredths of a second from 0, or a duration such as 1.5s")
	}
	if _, err := x.caller(); err != nil {
		return "", err
	}
	n := x.rt.texts().timeouts.Add(1)
	x.rt.SendAfter(d, x.by, Timeout(n))
	return strconv.FormatUint(n, 10), nil
}

var errNegative = errors.New("less than 0")

// hundredths reads a number of hundredths of a second, or a duration with its unit.
func hundredths(text string) (time.Duration, error) {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * 10 * time.Millisecond, nil
	}
	d, err := time.ParseDuration(text)
	if d < 0 {
		err = errNegative
	}
	return d, err
}

func (x *command) reg() (string, error) {
	s, err := x.caller()
	switch {
	case err != nil:
		return "", err
	case x.arg == "":
		return x.by.String(), nil
	}
	return x.register(x.arg, s)
}

// register gives a service a name, which may be written with skynet's dot.
func (x *command) register(name string, s *service) (string, error) {
	if old := s.name(); old != "" {
		return "", fmt.Errorf("name %q: %v has the name %q already: want a service without one", name, s.pid(), old)
	}
	name = strings.TrimPrefix(name, ".")
	return name, x.rt.names.take(x.rt, name, s)
}

func (x *command) name() (string, error) {
	name, text := cutWord(x.arg)
	if text == "" {
		return "", x.want("a name and a target")
	}
	p, err := x.target(text)
	if err != nil {
		return "", err
	}
	s, here := x.rt.local(p)
	if !here || s == nil || s.kind == external {
		return "", fmt.Errorf("target %v: %w: want one of this process", p, ErrNoService)
	}
	return x.register(name, s)
}

func (x *command) query() (string, error) {
	if x.arg == "" || strings.ContainsAny(x.arg, " \t:/") {
		return "", x.want("a name")
	}
	p, err := x.rt.Resolve(x.arg)
	if err != nil {
		return "", err
	}
	return p.String(), nil
}

func (x *command) exit() (string, error) {
	if err := x.alone(); err != nil {
		return "", err
	}
	s, err := x.caller()
	switch {
	case err != nil:
		return "", err
	case x.own != nil:
		x.own.Exit(nil)
	default:
		x.rt.end(s, nil)
	}
	return "", nil
}

func (x *command) kill() (string, error) {
	p, err := x.target(x.arg)
	if err != nil {
		return "", err
	}
	return "", x.rt.Kill(p)
}

func (x *command) launch() (string, error) {
	kind, args := cutWord(x.arg)
	if kind == "" {
		return "", x.want("a kind that Runtime.Factory knows, and its arguments")
	}
	spec, err := x.rt.texts().spec(kind, args)
	if err != nil {
		return "", err
	}
	p, err := x.rt.Spawn(spec)
	if err != nil {
		return "", err
	}
	return p.String(), nil
}

func (x *command) getenv() (string, error) {
	if x.arg == "" {
		return "", x.want("a key")
	}
	v, ok := x.rt.env.Load(x.arg)
	if !ok {
		return "", x.want("a key that SETENV has set")
	}
	return v.(string), nil
}

func (x *command) setenv() (string, error) {
	key, value := cutWord(x.arg)
	if value == "" {
		return "", x.want("a key and a value")
	}
	if old, is := x.rt.env.LoadOrStore(key, value); is {
		return "", fmt.Errorf("key %q: it is %q already: want one that is not set", key, old)
	}
	return "", nil
}

func (x *command) startTime() (string, error) {
	return strconv.FormatInt(x.rt.texts().began.Unix(), 10), x.alone()
}

func (x *command) now() (string, error) {
	return strconv.FormatInt(int64(time.Since(x.rt.texts().began)/(10*time.Millisecond)), 10), x.alone()
}

func (x *command) abort() (string, error) {
	if err := x.alone(); err != nil {
		return "", err
	}
	x.rt.closing.Store(true)
	x.rt.table.each(func(s *service) bool {
		if s.kind == ordinary {
			x.rt.end(s, ErrKilled)
		}
		return true
	})
	return "", nil
}

func (x *command) monitor() (string, error) {
	if _, err := x.caller(); err != nil {
		return "", err
	}
	p, err := x.target(x.arg)
	if err != nil {
		return "", err
	}
	_, err = x.rt.Monitor(x.by, p)
	return "", err
}

func (x *command) stat() (string, error) {
	what, text := cutWord(x.arg)
	s, err := x.statOf(text)
	if err != nil {
		return "", err
	}
	i := s.info()
	switch what {
	case "mqlen":
		return strconv.Itoa(i.Waiting), nil
	case "message":
		return strconv.FormatUint(i.Handled, 10), nil
	case "cpu":
		return strconv.FormatFloat(i.Time.Seconds(), 'f', 6, 64), nil
	case "endless":
		if x.rt.stuck(s) {
			return "1", nil
		}
		return "0", nil
	}
	return "", x.want("mqlen, message, cpu or endless, and perhaps a target")
}

// statOf returns the service whose STAT is wanted.
func (x *command) statOf(text string) (*service, error) {
	if text == "" {
		return x.caller()
	}
	p, err := x.target(text)
	if err != nil {
		return nil, err
	}
	s, here := x.rt.local(p)
	if !here || s == nil || s.kind == external {
		return nil, fmt.Errorf("target %v: %w: want one of this process", p, ErrNoService)
	}
	return s, nil
}

// stuck reports whether the watch has found a handler of s that does not get on, and
// that is still so.
func (rt *Runtime) stuck(s *service) bool {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for w := range rt.workers {
		seen := &w.seen
		if seen.told && w.running.Load() == seen.c.number && seen.c.of.Load() == uint64(s.handle) && seen.c.turns.Load() == seen.turns {
			return true
		}
	}
	return false
}

func (x *command) signal() (string, error) {
	text, number := cutWord(x.arg)
	n := int64(0)
	if number != "" {
		var err error
		if n, err = strconv.ParseInt(number, 10, 32); err != nil {
			return "", x.want(fmt.Sprintf("a target and a number up to %d", math.MaxInt32))
		}
	}
	p, err := x.target(text)
	if err != nil {
		return "", err
	}
	s, here := x.rt.local(p)
	if !here || s == nil || s.kind != ordinary {
		return "", fmt.Errorf("target %v: %w: want one of this process", p, ErrNoService)
	}
	return "", x.rt.deliver(nil, p, &Message{Kind: KindNotice, From: x.by, Value: Signal(n)})
}

func (x *command) log() (string, error) {
	return "", fmt.Errorf("argument %q: there is no log of messages: want Events, or a handler that writes them", x.arg)
}
