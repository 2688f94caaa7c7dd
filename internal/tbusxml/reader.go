// SPDX-License-Identifier: Apache-2.0

package tbusxml

import "github.com/skybus-io/skybus/addr"

// elemTemplate is spelt as tbus spells it.
const elemTemplate = "AddrTemplet"

// maxKey is the largest key: System V keys are signed and negative ones were
// never given out.
const maxKey = 1<<31 - 1

// layout names the elements that the two formats call differently.
type layout struct {
	rootElem, keyElem, recordElem string
}

// reader reads the header of a file and hands on its records, those before the
// AddrTemplet as soon as that is known.
type reader struct {
	layout
	rep    *report
	record func(*item)

	seen      map[string]int // header elements and their lines
	template  addr.Template
	templated bool // template is valid
	key       uint32
	pending   []*item
}

// read fills the reader from a file and returns all that is wrong with it.
func (r *reader) read(data []byte) error {
	r.seen = make(map[string]int)
	rootLine, whole := walk(r.rep, r.rootElem, data, r.item)
	if whole {
		r.need(rootLine, elemTemplate, "it says how addresses are written, such as 8.8.8.8")
		r.need(rootLine, r.keyElem, "it names the shared memory")
	}
	r.flush()
	return r.rep.err()
}

func (r *reader) need(line int, element, why string) {
	if r.seen[element] == 0 {
		r.rep.fail(line, element, "is missing; %s", why)
	}
}

// item takes one element of the root.
func (r *reader) item(it *item) {
	switch it.name {
	case r.recordElem:
		r.queue(it)
	case elemTemplate:
		if r.header(it) {
			r.readTemplate(it)
		}
	case r.keyElem:
		if r.header(it) {
			r.readKey(it)
		}
	case "BussinessID", "BusinessID": // both spellings occur; a bus is known by its key alone
		r.header(it)
	default:
		r.rep.warn(it.line, it.name, "is not known in <%s>, ignored", r.rootElem)
	}
}

// header checks that a header element has text in it and comes once.
func (r *reader) header(it *item) bool {
	if first := r.seen[it.name]; first > 0 {
		r.rep.fail(it.line, it.name, "is given twice, first in line %d", first)
		return false
	}
	r.seen[it.name] = it.line
	if it.nested {
		r.rep.fail(it.line, it.name, notPlain)
	}
	return !it.nested
}

func (r *reader) readTemplate(it *item) {
	t, err := addr.ParseTemplate(it.text)
	if err != nil {
		r.rep.fail(it.line, it.name, "%v", err)
		return
	}
	r.template, r.templated = t, true
	r.flush()
}

func (r *reader) readKey(it *item) {
	v, ok := number(it.text)
	if !ok || v < 1 || v > maxKey {
		r.rep.fail(it.line, it.name, "%s is not a key, a number 1..%d or 0x1..%#x", quote(it.text), maxKey, maxKey)
		return
	}
	r.key = uint32(v)
}

// queue hands a record on, or keeps it until its addresses can be read.
func (r *reader) queue(it *item) {
	if r.templated {
		r.record(it)
		return
	}
	r.pending = append(r.pending, it)
}

// flush hands on the records that were kept. Without a template, their other
// values are checked all the same.
func (r *reader) flush() {
	pending := r.pending
	r.pending = nil
	for _, it := range pending {
		r.record(it)
	}
}
