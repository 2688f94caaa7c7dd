// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"slices"
	"strings"
)

// bind writes the function that calls the methods of an object.
func (w *writer) bind(prefix string, i *iface) {
	if !slices.ContainsFunc(i.methods, func(m *method) bool { return m.item == nil }) {
		w.f("\t\tnil,\n")
		return
	}
	context := w.imports["context"]
	w.f("\t\tfunc(o %s) func(%s.Context, *%sFrame) error {\n", i.name, context, w.rpc)
	w.f("\t\t\treturn func(ctx %s.Context, f *%sFrame) (err error) {\n\t\t\t\tswitch f.Method() {\n", context, w.rpc)
	for n, m := range i.methods {
		if m.item == nil {
			w.served(prefix, n, m)
		}
	}
	w.f("\t\t\t\t}\n\t\t\t\treturn err\n\t\t\t}\n\t\t},\n")
}

// served writes how the method is called.
func (w *writer) served(prefix string, n int, m *method) {
	w.f("\t\t\t\tcase %d:\n", n)
	if len(m.params)+len(m.results) > 0 {
		w.f("\t\t\t\t\tx := %sIn%s(f)\n", w.rpc, w.exchanged(prefix, m))
	}
	w.f("\t\t\t\t\t%s", fields("x.Results", m))
	if m.err {
		w.f("err = ")
	}
	w.f("%s\n", m.call("x.Args"))
}

// call is the call of the object, with arguments that are fields of a struct.
func (m *method) call(of string) string {
	var args []string
	if m.ctx {
		args = append(args, "ctx")
	}
	for _, p := range m.params {
		args = append(args, of+"."+p.field)
	}
	return fmt.Sprintf("o.%s(%s)", m.name, strings.Join(args, ", "))
}

// method writes what is to be known of a method.
func (w *writer) method(prefix string, i *iface, m *method) {
	if m.item == nil {
		types := fmt.Sprintf("[%s, %s%sArgs, %s%sResults]", i.name, prefix, m.name, prefix, m.name)
		w.f("\t\t%sPlain%s(name, %q),\n", w.rpc, types, m.name)
		return
	}
	w.f("\t\t%sStreaming(name, %q, func(ctx %s.Context, o %s, a *%s%sArgs) %s {\n", w.rpc, m.name, w.imports["context"], i.name, prefix, m.name, w.results(m))
	w.f("\t\t\treturn %s\n\t\t}),\n", m.call("a"))
}
