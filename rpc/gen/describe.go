// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"go/token"
	"go/types"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An iface is an interface that code is written for.
type iface struct {
	name    string
	path    string // of its package
	hash    uint64
	methods []*method
}

// A method is one of its methods.
type method struct {
	name    string
	ctx     bool
	params  []param
	results []types.Type // without the error
	err     bool
	item    types.Type // of the sequence; nil: it is none
}

// A param is a parameter after the context.
type param struct {
	name  string // in the stub
	field string // of the arguments' struct
	typ   types.Type
}

// describe finds out what an interface is, or all that is wrong with it.
func (p *pkg) describe(obj *types.TypeName) (*iface, error) {
	if named, ok := obj.Type().(*types.Named); ok && named.TypeParams().Len() > 0 {
		return nil, fmt.Errorf("%s: %s has type parameters: objects have interfaces without", p.at(obj), obj.Name())
	}
	set := types.NewMethodSet(obj.Type())
	if set.Len() == 0 {
		return nil, fmt.Errorf("%s: %s has no methods", p.at(obj), obj.Name())
	}
	i := &iface{name: obj.Name(), path: p.types.Path()}
	var errs []error
	for s := range set.Methods() {
		f := s.Obj().(*types.Func)
		m, err := describeMethod(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s.%s: %w", p.at(f), obj.Name(), f.Name(), err))
		}
		i.methods = append(i.methods, m)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	i.hash = i.sum()
	return i, nil
}

// sum is the interface's hash: the first eight bytes of the SHA-256 of its methods, sorted, one a line; never 0.
func (i *iface) sum() uint64 {
	h := sha256.New()
	for _, m := range i.methods {
		fmt.Fprintf(h, "%s(", m.name)
		for _, p := range m.params {
			fmt.Fprintf(h, "%s,", types.TypeString(p.typ, nil))
		}
		fmt.Fprint(h, ")(")
		for _, t := range m.results {
			fmt.Fprintf(h, "%s,", types.TypeString(t, nil))
		}
		fmt.Fprintf(h, ")%t\n", m.err)
	}
	return max(binary.BigEndian.Uint64(h.Sum(nil)), 1)
}

func describeMethod(f *types.Func) (*method, error) {
	sig := f.Signature()
	m := &method{name: f.Name()}
	switch {
	case !f.Exported():
		return nil, errors.New("it is not exported, so no other package can call it")
	case sig.Variadic():
		return nil, errors.New("it is variadic; take a slice")
	}
	for i, v := range vars(sig.Params()) {
		if i == 0 && isNamed(v.Type(), "context", "Context") {
			m.ctx = true
			continue
		}
		if err := carried(v.Type(), 0); err != nil {
			return nil, fmt.Errorf("parameter %s: %w", paramName(v, i), err)
		}
		m.params = append(m.params, param{name: v.Name(), typ: v.Type()})
	}
	return m, m.describeResults(vars(sig.Results()))
}

func vars(t *types.Tuple) []*types.Var {
	list := make([]*types.Var, 0, t.Len())
	for v := range t.Variables() {
		list = append(list, v)
	}
	return list
}

func paramName(v *types.Var, i int) string {
	if v.Name() != "" && v.Name() != "_" {
		return v.Name()
	}
	return fmt.Sprint(i + 1)
}

func (m *method) describeResults(list []*types.Var) error {
	if len(list) == 0 {
		return nil // one-way
	}
	last := list[len(list)-1]
	if !types.Identical(last.Type(), types.Universe.Lookup("error").Type()) {
		return errors.New("its last result is no error: a call can fail")
	}
	m.err = true
	for i, v := range list[:len(list)-1] {
		m.results = append(m.results, v.Type())
		if item := itemOf(v.Type()); item != nil {
			if len(list) != 2 {
				return errors.New("a sequence is its only result beside the error")
			}
			m.item = item
			continue
		}
		if isNamed(v.Type(), "iter", "Seq") || isNamed(v.Type(), "iter", "Seq2") {
			return errors.New("a sequence is an iter.Seq2[T, error]: it can fail at each item")
		}
		if err := carried(v.Type(), 0); err != nil {
			return fmt.Errorf("result %d: %w", i+1, err)
		}
	}
	if m.item != nil {
		if err := carried(m.item, 0); err != nil {
			return fmt.Errorf("items: %w", err)
		}
	}
	return nil
}

// itemOf returns T of an iter.Seq2[T, error], else nil.
func itemOf(t types.Type) types.Type {
	named, ok := types.Unalias(t).(*types.Named)
	if !ok || !isNamed(t, "iter", "Seq2") || named.TypeArgs().Len() != 2 {
		return nil
	}
	if !types.Identical(named.TypeArgs().At(1), types.Universe.Lookup("error").Type()) {
		return nil
	}
	return named.TypeArgs().At(0)
}

func isNamed(t types.Type, path, name string) bool {
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == path && named.Obj().Name() == name
}

// carried says why values of t cannot go to another process. It looks through pointers, lists and maps; what
// a named struct has is its author's business.
func carried(t types.Type, depth int) error {
	if depth > 8 {
		return nil
	}
	if named, ok := types.Unalias(t).(*types.Named); ok {
		switch {
		case isNamed(t, "context", "Context"):
			return errors.New("a context is the first parameter or none")
		case isNamed(t, "github.com/skybus-io/skybus/actor", "Context"):
			return errors.New("an actor.Context belongs to its handler; a method has its own: rpc.FromContext(ctx)")
		case named.Obj().Pkg() == nil && named.Obj().Name() == "error":
			return errors.New("an error is only the last result; pass its text")
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Chan, *types.Signature:
		return fmt.Errorf("a %s stays in its process", kind(u))
	case *types.Basic:
		switch u.Kind() {
		case types.Invalid:
			return errors.New("its type is not known: the package does not compile")
		case types.UnsafePointer, types.Uintptr:
			return fmt.Errorf("%s stays in its process", u)
		}
	case *types.Pointer:
		return carried(u.Elem(), depth+1)
	case *types.Slice:
		return carried(u.Elem(), depth+1)
	case *types.Array:
		return carried(u.Elem(), depth+1)
	case *types.Map:
		return errors.Join(carried(u.Key(), depth+1), carried(u.Elem(), depth+1))
	}
	return nil
}

func kind(t types.Type) string {
	if _, ok := t.(*types.Chan); ok {
		return "channel"
	}
	return "function"
}

// nameParams gives parameters the names that the generated code uses: their own, where these do not clash.
func (m *method) nameParams(clashes func(string) bool) {
	names, fields := map[string]bool{}, map[string]bool{}
	for i := range m.params {
		p := &m.params[i]
		if p.name == "" || p.name == "_" || names[p.name] || clashes(p.name) || token.IsKeyword(p.name) {
			p.name = fmt.Sprintf("a%d", i)
		}
		for names[p.name] || clashes(p.name) {
			p.name += "_"
		}
		names[p.name] = true
		p.field = exported(p.name)
		if fields[p.field] {
			p.field = fmt.Sprintf("%s%d", p.field, i)
		}
		fields[p.field] = true
	}
}

// exported is a name with a capital; one that cannot have it gets an A before it.
func exported(name string) string {
	name = strings.TrimLeft(name, "_")
	r, n := utf8.DecodeRuneInString(name)
	if up := unicode.ToUpper(r); unicode.IsUpper(up) {
		return string(up) + name[n:]
	}
	return "A" + name
}

// private is the interface's name as a prefix of names that are not exported.
func (i *iface) private() string {
	r, n := utf8.DecodeRuneInString(i.name)
	return string(unicode.ToLower(r)) + i.name[n:]
}
