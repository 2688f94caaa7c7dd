// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/console"
)

const callHelp = `call calls a service of this host and writes its answer: a text as it is, all else as
JSON; several results, and the items of a stream, one a line. TARGET is a PID or a name, as skybus services lists them; the process that has it
is looked for as by that command. A name, or a PID such as :1f, may be in several
processes: then --console says which. A PID of another process, or host, is called through
a node of this host: the one of --console, or any.

If the service is an object (package rpc) with that METHOD, ARGS are its arguments:
numbers, true and false, texts, durations as the method takes them, and JSON for
lists, maps and structs. A METHOD that it has not is an error that lists what it has. PID#NUMBER is another
object of a service, as its text has it (0.0.3.1/1f#8), or of another node; number 0 is the service itself there.

For other services all words behind TARGET are one MESSAGE, with a blank between two:
JSON, with whole numbers as int, or else a text; a program may read it in a way of its
own. An object that takes messages, too, gets one where no METHOD is named.

Flags stand before TARGET: what is behind it belongs to the call. With --json the
answer is an object that says who has answered, too; the results of a method are a
list in it. The exit code is 1 if the service
answers with an error, or not within the timeout.`

// A caller is the command call with its flags.
type caller struct {
	*app
	console string
	timeout time.Duration
}

func newCallCommand(a *app) *cobra.Command {
	c := &caller{app: a}
	cmd := &cobra.Command{
		Use:   "call [--console ADDRESS] TARGET METHOD|MESSAGE [ARGS...]",
		Short: "Call a service",
		Long:  callHelp,
		Example: `  skybus call lobby '{"cmd": "count"}'
  skybus call bank Deposit 5
  skybus call bank Open '{"amount": 3, "text": "two words"}'
  skybus call --timeout 1m 0.0.3.1/1f save all
  skybus call 0.0.3.1/1f#8 Deposit 5
  skybus call --console 127.0.0.1:8000 :1f hello`,
		Args:              takes(2, -1, "TARGET METHOD|MESSAGE [ARGS...]"),
		ValidArgsFunction: c.completeTarget,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.StringVar(&c.console, "console", "", "the console at `ADDRESS`: the path of a socket or HOST:PORT")
	f.DurationVar(&c.timeout, "timeout", 5*time.Second, "how `LONG` the service may take to answer")
	return cmd
}

func (c *caller) run(ctx context.Context, args []string) error {
	target := args[0]
	if err := checkTarget(target); err != nil {
		return err
	}
	if c.timeout <= 0 || c.timeout > 24*time.Hour {
		return usagef("--timeout %v: want more than 0, and 24h at most", c.timeout)
	}
	message, wrong := callMessage(args[1:])
	if wrong != nil && !token.IsExported(args[1]) {
		return wrong
	}
	v, err := c.find(ctx, target)
	if err != nil {
		return err
	}
	method := v.Has(args[1]) || strings.Contains(target, "#")
	if method {
		message, wrong = args[1]+quoted(args[2:]), nil
	}
	if wrong != nil {
		return wrong
	}
	answer, err := c.call(ctx, v.address, target, message)
	switch {
	case err != nil:
		if !c.json { // the items of a stream that came before
			(&terminal{app: c.app}).show(answer)
		}
		return err
	case c.json:
		return c.object(answerOf(v, answer, method), "")
	}
	(&terminal{app: c.app}).show(answer)
	return nil
}

// checkTarget refuses what is no PID and can be no name.
func checkTarget(target string) error {
	target, number, is := strings.Cut(target, "#")
	if _, err := strconv.ParseUint(number, 16, 64); is && err != nil {
		return usagef("TARGET %q#%q: want a hexadecimal number behind the #", target, number)
	}
	if strings.ContainsAny(target, ":/") {
		if _, err := actor.ParsePID(target); err != nil {
			return usagef("TARGET: %w", err)
		}
	}
	if target == "" || strings.ContainsAny(target, " \t\r\n") {
		return usagef("TARGET %q: want a PID or a name", target)
	}
	return nil
}

// callMessage makes the message from what stands behind TARGET.
func callMessage(args []string) (string, error) {
	text := strings.Join(args, " ")
	if strings.ContainsAny(text, "\r\n") && json.Valid([]byte(text)) {
		var b bytes.Buffer
		if err := json.Compact(&b, []byte(text)); err != nil {
			return "", err
		}
		text = b.String()
	}
	switch {
	case strings.TrimSpace(text) == "":
		return "", usagef(`MESSAGE is empty: want a text, or JSON; "" in JSON is the empty text`)
	case strings.ContainsAny(text, "\r\n"):
		return "", usagef("MESSAGE has several lines: want one, or JSON")
	}
	return text, nil
}

// quoted is the arguments of a method with a blank before each. What is JSON stays that, on one line; what the console
// would not read as one word is a text.
func quoted(args []string) string {
	var b bytes.Buffer
	for _, arg := range args {
		b.WriteByte(' ')
		isWord := func(r rune) bool { return unicode.IsPrint(r) && r != ' ' }
		switch {
		case strings.IndexByte(`"[{`, (arg + " ")[0]) >= 0 && json.Valid([]byte(arg)):
			_ = json.Compact(&b, []byte(arg)) // it is valid
		case arg == "" || strings.IndexByte(`"[{`, arg[0]) >= 0 || strings.ContainsFunc(arg, func(r rune) bool { return !isWord(r) }):
			text, _ := json.Marshal(arg) // a string always is JSON
			b.Write(text)
		default:
			b.WriteString(arg)
		}
	}
	return b.String()
}

// only returns the consoles to ask.
func (c *caller) only() (places, error) {
	if c.console != "" {
		return c.consoles([]string{c.console})
	}
	return c.consoles(nil)
}

// find returns the process that has the service.
func (c *caller) find(ctx context.Context, target string) (*process, error) {
	p, err := c.only()
	if err != nil {
		return nil, err
	}
	target, _, _ = strings.Cut(target, "#") // whose object it is
	asked := p.ask(ctx, target)
	var have []*process
	var lacks, mute []string
	var answer *console.AnswerError
	for i := range asked {
		switch v := &asked[i]; {
		case v.err == nil:
			have = append(have, v)
		case errors.As(v.err, &answer):
			lacks = append(lacks, v.address)
		default:
			mute = append(mute, fmt.Sprintf("%s: %v", v.address, v.err))
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, errInterrupted
	case len(have) == 1:
		return have[0], nil
	case len(have) > 1:
		return nil, several(target, have)
	case len(asked) == 0:
		return nil, errors.New(p.empty())
	case len(lacks) > 0:
		if v := p.node(ctx, target); v != nil {
			return v, nil
		}
		none := fmt.Sprintf("%s: no such service in %s; skybus services lists what there is", target, count(len(lacks), "process"))
		mute = append([]string{none}, mute...)
	}
	return nil, errors.New(strings.Join(mute, "\n"))
}

// node returns a process that can call a service of another node; nil: there is none, or it is no such service.
func (p places) node(ctx context.Context, target string) *process {
	pid, err := actor.ParsePID(target)
	if err != nil || pid.Node.IsNone() {
		return nil
	}
	for _, v := range p.ask(ctx, "") {
		if v.err == nil && v.Node != "" && v.Node != pid.Node.String() {
			v.Services = []console.Service{{PID: target}}
			return &v
		}
	}
	return nil
}

// several is the error of a service that more than one process has.
func several(target string, have []*process) error {
	lines := []string{fmt.Sprintf("%s is in %s; say with --console which is meant:", target, count(len(have), "process"))}
	for _, v := range have {
		lines = append(lines, fmt.Sprintf("  --console %s  %s, process %d, service %s", v.address, v.title(), v.PID, v.Services[0].PID))
	}
	return errors.New(strings.Join(lines, "\n"))
}

// call has the console at an address call the service. What it has answered before an error comes with that.
func (c *caller) call(ctx context.Context, address, target, message string) (string, error) {
	k, err := dialConsole(ctx, address)
	if err != nil {
		return "", err
	}
	defer k.Close()
	// The console's own timeout tells more; this one is for a process that is stopped meanwhile.
	bounded, cancel := context.WithTimeout(ctx, c.timeout+answerPatience)
	defer cancel()
	if _, err = k.Do(bounded, "timeout "+c.timeout.String()); err != nil {
		return "", err
	}
	answer, err := k.Do(bounded, "call "+target+" "+message)
	var refusal *console.AnswerError
	switch {
	case errors.As(err, &refusal): // whose text says already that it is of a call
		return answer, errors.New(strings.TrimPrefix(refusal.Text, "call: "))
	case ctx.Err() != nil:
		return "", errInterrupted
	case bounded.Err() != nil:
		return "", fmt.Errorf("%s does not answer any more", address)
	}
	return answer, err
}

// callAnswer is an answer in JSON.
type callAnswer struct {
	Address string          `json:"address"` // of the console
	Process int             `json:"process"`
	Service string          `json:"service"` // its PID
	Answer  json.RawMessage `json:"answer"`  // a text that is JSON stands as that; of a method: a list of such
}

func answerOf(v *process, answer string, method bool) callAnswer {
	a := callAnswer{Address: v.address, Process: v.PID, Service: v.Services[0].PID, Answer: asJSON(answer)}
	if method {
		results := []json.RawMessage{}
		if answer != "" {
			for line := range strings.SplitSeq(answer, "\n") {
				results = append(results, asJSON(line))
			}
		}
		a.Answer, _ = json.Marshal(results) // each is valid
	}
	return a
}

func asJSON(text string) json.RawMessage {
	if raw := json.RawMessage(text); json.Valid(raw) {
		return raw
	}
	raw, _ := json.Marshal(text) // a string always is JSON
	return raw
}

// completeTarget offers the names of services, and then the methods of the one that is meant.
func (c *caller) completeTarget(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	p, err := c.only()
	if err != nil || len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	if len(args) == 1 {
		for _, v := range p.ask(cmd.Context(), args[0]) {
			for _, m := range v.Methods {
				words = append(words, fmt.Sprintf("%s\t(%s)", m.Name, strings.Join(m.Args, ", ")))
			}
		}
		return slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, begun) }), cobra.ShellCompDirectiveNoFileComp
	}
	for _, v := range p.ask(cmd.Context(), "") {
		for _, s := range v.Services {
			if s.Name != "" && strings.HasPrefix(s.Name, begun) {
				words = append(words, fmt.Sprintf("%s\tof %s, process %d", s.Name, v.title(), v.PID))
			}
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
