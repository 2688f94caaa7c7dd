// SPDX-License-Identifier: Apache-2.0

package tbusxml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"unicode"
	"unicode/utf8"
)

// Bounds on what is read. The largest bus has some thousand channels of 200
// bytes each, three elements deep.
const (
	// MaxFile is the size of the largest file that is read, in bytes.
	MaxFile = 64 << 20

	maxDepth  = 16  // elements inside each other
	maxFields = 256 // elements inside one channel or relay
)

// field is an element inside an item.
type field struct {
	name   string
	line   int    // of its start tag
	text   string // without the space around it
	nested bool   // it has elements inside
}

// item is an element right inside the root: a header value or a record.
type item struct {
	field
	fields []field
}

// walker goes through a file of the form that both formats have: a root, items
// in it, fields in those. Deeper elements belong to no value and are skipped.
type walker struct {
	rep      *report
	data     []byte
	dec      *xml.Decoder
	root     string
	rootLine int // 0 until the root was seen
	each     func(*item)

	open      []string // names of the elements that are open, the root first
	item      item
	itemText  []byte
	field     field
	fieldText []byte
}

// walk hands each item of the file to each, in order. It returns the line of
// the root, and whether the file was walked to its end; if not, the report has
// the reason.
func walk(rep *report, root string, data []byte, each func(*item)) (rootLine int, whole bool) {
	if len(data) > MaxFile {
		rep.fail(0, "", "%d bytes are too many, a file has at most %d", len(data), MaxFile)
		return 0, false
	}
	if isUTF16(data) {
		rep.fail(1, "", "the file is in UTF-16, save it as UTF-8 or GBK")
		return 0, false
	}
	data, marked := bytes.CutPrefix(data, []byte("\xef\xbb\xbf"))
	w := walker{rep: rep, data: data, dec: newDecoder(data, marked), root: root, each: each}
	whole = w.run()
	return w.rootLine, whole
}

// run takes tokens until the file ends or is wrong.
func (w *walker) run() bool {
	for {
		// The decoder stands between two tokens: at the start of the next.
		line, _ := w.dec.InputPos()
		offset := w.dec.InputOffset()
		token, err := w.dec.Token()
		if err != nil {
			return w.end(err, line, offset)
		}
		ok := true
		switch token := token.(type) {
		case xml.StartElement:
			ok = w.startElement(token.Name.Local, line)
		case xml.EndElement:
			w.endElement()
		case xml.CharData:
			ok = w.text(token, line)
		}
		if !ok {
			return false
		}
	}
}

// end judges the error that ended the file, at the token that starts at a line
// and an offset.
func (w *walker) end(err error, start int, offset int64) bool {
	line, _ := w.dec.InputPos()
	switch {
	case !errors.Is(err, io.EOF):
		w.rep.fail(w.lineOf(err, line, start, offset), w.innermost(), "%s", explain(err))
	case w.rootLine == 0:
		w.rep.fail(line, "", "no element, want <%s>", w.root)
	default:
		return true
	}
	return false
}

// lineOf corrects the line of an error that encoding/xml finds only when it has
// read all of a long text. Only UTF-8 files have the error, and the offsets of
// those are offsets in data.
func (w *walker) lineOf(err error, line, start int, offset int64) int {
	se, ok := errors.AsType[*xml.SyntaxError](err)
	if !ok || se.Msg != invalidUTF8 {
		return line
	}
	for rest := w.data[offset:]; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 {
			break
		}
		if r == '\n' {
			start++
		}
		rest = rest[size:]
	}
	return start
}

// innermost is the name of the element that is open.
func (w *walker) innermost() string {
	if len(w.open) == 0 {
		return ""
	}
	return w.open[len(w.open)-1]
}

func (w *walker) startElement(name string, line int) bool {
	switch depth := len(w.open); depth {
	case 0:
		if !w.startRoot(name, line) {
			return false
		}
	case 1:
		w.item = item{field: field{name: name, line: line}}
		w.itemText = w.itemText[:0]
	case 2:
		w.field = field{name: name, line: line}
		w.fieldText = w.fieldText[:0]
	case maxDepth:
		w.rep.fail(line, name, "more than %d elements inside each other", maxDepth)
		return false
	default:
		w.field.nested = true
	}
	w.open = append(w.open, name)
	return true
}

func (w *walker) startRoot(name string, line int) bool {
	if w.rootLine > 0 {
		w.rep.fail(line, name, "stands after the end of <%s>, a file has one outermost element", w.root)
		return false
	}
	if name != w.root {
		w.rep.fail(line, name, "is the outermost element, want <%s>", w.root)
		return false
	}
	w.rootLine = line
	return true
}

func (w *walker) endElement() {
	w.open = w.open[:len(w.open)-1]
	switch len(w.open) {
	case 1:
		w.endItem()
	case 2:
		w.field.text = trimmed(w.fieldText)
		// One more than allowed is kept: it shows that there were too many.
		if len(w.item.fields) <= maxFields {
			w.item.fields = append(w.item.fields, w.field)
		}
	}
}

func (w *walker) endItem() {
	it := w.item
	it.text = trimmed(w.itemText)
	it.nested = len(it.fields) > 0
	if len(it.fields) > maxFields {
		w.rep.fail(it.line, it.name, "has more than %d elements inside", maxFields)
		it.fields = it.fields[:maxFields]
	}
	w.each(&it)
}

// text keeps the text of items and fields. It comes in pieces when comments
// stand in it.
func (w *walker) text(text []byte, line int) bool {
	switch len(w.open) {
	case 0, 1:
		return w.stray(text, line)
	case 2:
		w.itemText = append(w.itemText, text...)
	case 3:
		w.fieldText = append(w.fieldText, text...)
	}
	return true
}

// stray takes text that is the value of nothing.
func (w *walker) stray(text []byte, line int) bool {
	visible := bytes.TrimLeftFunc(text, unicode.IsSpace)
	if len(visible) == 0 {
		return true
	}
	// encoding/xml has made line feeds of lone carriage returns, too.
	end, _ := w.dec.InputPos()
	line = min(end, line+bytes.Count(text[:len(text)-len(visible)], []byte("\n")))
	if len(w.open) == 0 {
		w.rep.fail(line, "", "not XML: text outside of the outermost element")
		return false
	}
	w.rep.warn(line, w.root, "text between the elements, ignored")
	return true
}

func trimmed(text []byte) string { return string(bytes.TrimSpace(text)) }
