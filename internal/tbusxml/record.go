// SPDX-License-Identifier: Apache-2.0

package tbusxml

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/skybus-io/skybus/addr"
)

// notPlain is said of an element that should hold a value.
const notPlain = "has an element inside, want a value"

// record gives access to the fields of one record.
type record struct {
	*item
	rep *report
	bad bool // something was wrong: the record is not a value
}

// open starts reading a record that has fields of the known names.
func (r *reader) open(it *item, known ...string) *record {
	for _, f := range it.fields {
		if !slices.Contains(known, f.name) {
			r.rep.warn(f.line, f.name, "is not known in <%s>, ignored", it.name)
		}
	}
	if it.text != "" {
		r.rep.warn(it.line, it.name, "text between the elements, ignored")
	}
	return &record{item: it, rep: r.rep}
}

func (rec *record) fail(line int, element, format string, args ...any) {
	rec.bad = true
	rec.rep.fail(line, element, format, args...)
}

// named returns the fields of a name, in the order of the file.
func (rec *record) named(name string) []*field {
	var list []*field
	for i := range rec.fields {
		if f := &rec.fields[i]; f.name == name {
			list = append(list, f)
		}
	}
	return list
}

// optional returns the field of a name, or nil if there is none that can be
// read.
func (rec *record) optional(name string) *field {
	list := rec.named(name)
	if len(list) == 0 {
		return nil
	}
	if len(list) > 1 {
		rec.fail(list[1].line, name, "is given twice in this <%s>, first in line %d", rec.name, list[0].line)
		return nil
	}
	return rec.plain(list[0])
}

// required is like optional for a field that every record has.
func (rec *record) required(name string) *field {
	if len(rec.named(name)) == 0 {
		rec.fail(rec.line, name, "is missing in this <%s>", rec.name)
		return nil
	}
	return rec.optional(name)
}

// plain returns the field if it has no elements inside.
func (rec *record) plain(f *field) *field {
	if f.nested {
		rec.fail(f.line, f.name, notPlain)
		return nil
	}
	return f
}

// desc reads the text that every kind of record may have.
func (rec *record) desc() string {
	f := rec.optional("Desc")
	if f == nil {
		return ""
	}
	if strings.ContainsRune(f.text, utf8.RuneError) {
		rec.rep.warn(f.line, f.name, "has bytes that are no character in the encoding of the file")
	}
	return f.text
}

// address reads an address that an endpoint can have.
func (rec *record) address(f *field, t addr.Template) addr.Addr {
	if f = rec.plain(f); f == nil {
		return addr.None
	}
	a, err := t.Parse(f.text)
	if err != nil {
		rec.fail(f.line, f.name, "%v", err)
	} else if a.IsNone() {
		rec.fail(f.line, f.name, "%s is no address, nothing can be bound to it", f.text)
	}
	return a
}
