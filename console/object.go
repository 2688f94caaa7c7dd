// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/rpc"
)

// methodsOf lists the methods of the object that a service is; none if it is none of this process.
func methodsOf(rt *actor.Runtime, p actor.PID) []Method {
	info, err := rpc.InfoOf(rt, p)
	if err != nil {
		return nil
	}
	var list []Method
	for _, m := range info.Methods {
		list = append(list, Method(m))
	}
	return list
}

// callMethod calls a method, if the service is an object. It reports whether that is so: else the
// line is a message, as it is where an object has no such method and takes messages, too.
func (r *request) callMethod() (bool, error) {
	target, text := cutWord(r.rest)
	if text == "" {
		return false, nil
	}
	if pid, number, is := strings.Cut(target, "#"); is {
		return true, r.callObject(pid, number, text)
	}
	p, err := r.k.rt.Resolve(target)
	if err != nil {
		return true, err
	}
	info, err := rpc.InfoOf(r.k.rt, p)
	if err != nil {
		return false, nil //nolint:nilerr // that there is no object is no error
	}
	name, rest := cutWord(text)
	i := slices.IndexFunc(info.Methods, func(m rpc.MethodInfo) bool { return m.Name == name })
	switch {
	case i < 0 && info.Others:
		return false, nil
	case i < 0:
		return true, fmt.Errorf("%w: %s has no %.40q; it has: %s", rpc.ErrNoMethod, info.Type, name, signatures(info.Methods))
	}
	args, err := arguments(rest, info.Methods[i].Args)
	if err != nil {
		return true, err
	}
	results, err := rpc.CallRuntime(r.ctx, r.k.rt, rpc.Object{PID: p}, name, args...)
	if err != nil {
		return true, err
	}
	return true, r.show(results)
}

// callObject calls a method of any object, here or in another process: what methods that has, and what they take, is known
// there alone.
func (r *request) callObject(pid, number, text string) error {
	p, err := r.k.rt.Resolve(pid)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(number, 16, 64)
	if err != nil {
		return fmt.Errorf("object %.80q: number %.40q: want a hexadecimal one, or 0 for the service itself", pid+"#"+number, number)
	}
	name, rest := cutWord(text)
	args, err := arguments(rest, unknown)
	if err != nil {
		return err
	}
	results, err := rpc.CallRuntime(r.ctx, r.k.rt, rpc.Object{PID: p, Number: n}, name, args...)
	if err != nil {
		return err
	}
	return r.show(results)
}

// unknown are the types of arguments that only the callee knows: words go as they are, and it makes of them what
// its method takes.
var unknown = slices.Repeat([]string{"?"}, 256)

// signatures lists methods for people.
func signatures(methods []rpc.MethodInfo) string {
	var list []string
	for _, m := range methods {
		list = append(list, fmt.Sprintf("%s(%s)", m.Name, strings.Join(m.Args, ", ")))
	}
	return strings.Join(list, ", ")
}

// show writes results, and the items of a stream, one a line.
func (r *request) show(results []any) error {
	for _, v := range results {
		items, streams := v.(iter.Seq2[any, error])
		if !streams {
			r.out.printf("%s\n", formatResult(v))
			continue
		}
		for item, err := range items {
			if err != nil {
				return err
			}
			if r.out.printf("%s\n", formatResult(item)); r.out.cut {
				return nil // that the rest is left out, the answer says
			}
		}
	}
	return nil
}

// formatResult is a result on one line: what it refers to, or as formatValue has it.
func formatResult(v any) string {
	if t, ok := v.(rpc.Target); ok {
		return fmt.Sprint(t)
	}
	text := formatValue(v)
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return strconv.Quote(text)
	}
	return text
}

// anyType is the type of arguments that may be of any.
var anyType = "interface {}"

// arguments reads the arguments of a method from a line: JSON texts, lists and objects, and words. A word is what the
// method takes: package rpc makes numbers and so on of it. types are those of the arguments; it is rpc that
// says when there are too many or too few.
func arguments(line string, types []string) ([]any, error) {
	var args []any
	for line = strings.TrimLeft(line, blanks); line != ""; line = strings.TrimLeft(line, blanks) {
		n, isJSON, err := argument(line)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", len(args)+1, err)
		}
		text, v := line[:n], any(line[:n])
		typ := anyType
		if len(args) < len(types) {
			typ = types[len(args)]
		}
		switch {
		case text == "null" && typ != "string":
			v = nil
		case isJSON || typ == anyType:
			if v, err = parseValue(text); err != nil {
				return nil, fmt.Errorf("argument %d: %w", len(args)+1, err)
			}
		}
		args, line = append(args, v), line[n:]
	}
	return args, nil
}

// argument returns how long the first argument of a line is, and whether it is JSON that may have blanks in it.
func argument(line string) (n int, isJSON bool, err error) {
	if strings.IndexByte(`"[{`, line[0]) < 0 {
		if n = strings.IndexAny(line, blanks); n < 0 {
			n = len(line)
		}
		return n, false, nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(line)))
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return 0, false, fmt.Errorf("%.80q: want JSON behind a %c: %w", line, line[0], err)
	}
	n = int(d.InputOffset())
	if n < len(line) && strings.IndexByte(blanks, line[n]) < 0 {
		return 0, false, fmt.Errorf("%.80q: want a blank behind %.40s", line, line[:n])
	}
	return n, true, nil
}
