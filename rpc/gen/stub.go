// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"strings"
)

// plain reports whether a call of m is answered at once, and with all there is.
func (m *method) plain() bool { return m.err && m.item == nil }

// stubType writes the type of the stub, with what it keeps for each method.
func (w *writer) stubType(prefix string, i *iface) {
	w.f("\n// %sStub calls a %s that is elsewhere.\ntype %sStub struct {\n\ts %sStub\n", prefix, i.name, prefix, w.rpc)
	for n, m := range i.methods {
		if m.plain() {
			w.f("\tm%d %sSlot%s\n", n, w.rpc, w.exchanged(prefix, m))
		}
	}
	w.f("}\n")
}

// exchanged is the types of a method's Exchange.
func (w *writer) exchanged(prefix string, m *method) string {
	if m.item != nil {
		return fmt.Sprintf("[%s%sArgs, %sOpened]", prefix, m.name, w.rpc)
	}
	return fmt.Sprintf("[%s%sArgs, %s%sResults]", prefix, m.name, prefix, m.name)
}

// stub writes the method that calls.
func (w *writer) stub(prefix string, n int, m *method) {
	w.f("\nfunc (s *%sStub) %s(%s) %s {\n", prefix, m.name, w.params(m), w.results(m))
	types := w.exchanged(prefix, m)
	var args []string
	for _, p := range m.params {
		args = append(args, p.field+": "+p.name)
	}
	given := fmt.Sprintf("%s%sArgs{%s}", prefix, m.name, strings.Join(args, ", "))
	ctx := "nil"
	if m.ctx {
		ctx = "ctx"
	}
	switch {
	case !m.err:
		w.f("\tx := &%sExchange%s{Args: %s}\n\ts.s.Send(%s, %d, x)\n", w.rpc, types, given, ctx, n)
	case m.item != nil:
		w.f("\tx := &%sExchange%s{Args: %s, Results: s.s.Holder()}\n", w.rpc, types, given)
		w.f("\tif err := s.s.Call(%s, %d, x); err != nil {\n\t\treturn nil, err\n\t}\n", ctx, n)
		w.f("\treturn %sConsume[%s](%s, &s.s, %d, x.Results), nil\n", w.rpc, w.typ(m.item), ctx, n)
	default:
		w.near(prefix, m, ctx, n, given)
		w.f("\tx := &%sExchange%s{Args: %s}\n", w.rpc, types, given)
		w.f("\tif err := s.s.Call(%s, %d, x); err != nil {\n\t\treturn %serr\n\t}\n", ctx, n, fields(prefix+m.name+"Results{}", m))
		w.f("\treturn %snil\n", fields("x.Results", m))
	}
	w.f("}\n")
}

// near writes the call of a handler within the process. After an error the object may still write to x: the caller
// has given up.
func (w *writer) near(prefix string, m *method, ctx string, n int, given string) {
	w.f("\tif s.s.Near(%s) {\n\t\tx := s.m%d.Begin(&s.s, %d)\n\t\tx.Args = %s\n", ctx, n, n, given)
	w.f("\t\tif err := x.Back(s.s.Handler().Call(s.s.To(), &x.Frame)); err != nil {\n")
	w.f("\t\t\treturn %serr\n\t\t}\n", fields(prefix+m.name+"Results{}", m))
	if len(m.results) == 0 {
		w.f("\t\tx.End()\n\t\treturn nil\n\t}\n")
		return
	}
	w.f("\t\tr := x.End()\n\t\treturn %snil\n\t}\n", fields("r", m))
}

// fields lists the results, each with a comma behind it.
func fields(of string, m *method) string {
	var b strings.Builder
	for i := range m.results {
		fmt.Fprintf(&b, "%s.R%d, ", of, i)
	}
	return b.String()
}

func (w *writer) params(m *method) string {
	var list []string
	if m.ctx {
		list = append(list, "ctx "+w.imports["context"]+".Context")
	}
	for _, p := range m.params {
		list = append(list, p.name+" "+w.typ(p.typ))
	}
	return strings.Join(list, ", ")
}

func (w *writer) results(m *method) string {
	if !m.err {
		return ""
	}
	var list []string
	for _, t := range m.results {
		list = append(list, w.typ(t))
	}
	if len(list) == 0 {
		return "error"
	}
	return "(" + strings.Join(append(list, "error"), ", ") + ")"
}
