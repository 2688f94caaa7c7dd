// SPDX-License-Identifier: Apache-2.0

package files

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// decodeJSON decodes one JSON text into value, which is a pointer. Numbers are
// kept as they are written for a tree.
func decodeJSON(data []byte, value any, isTree bool) *fault {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if isTree {
		d.UseNumber()
	}
	if err := d.Decode(value); err != nil {
		return jsonFault(data, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		at := int(d.InputOffset())
		return syntax(lineAt(data, at), "want one value, after it begins something else")
	}
	return checkJSON(data)
}

func jsonFault(data []byte, err error) *fault {
	if errors.Is(err, io.EOF) {
		return syntax(1, "has no content")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return syntax(lineAt(data, len(data)), "ends too early")
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return caused(ErrSyntax, lineAt(data, int(e.Offset)), err)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return caused(ErrValue, lineAt(data, int(e.Offset)), err)
	}
	return caused(ErrValue, lineOfField(data, err), err)
}

// lineOfField returns where the field is that the decoder does not know. It
// tells the name alone: there is no line if several maps have such a key.
func lineOfField(data []byte, err error) int {
	_, quoted, found := strings.Cut(err.Error(), "unknown field ")
	name, notQuoted := strconv.Unquote(quoted)
	if !found || notQuoted != nil {
		return 0
	}
	line, times := 0, 0
	_ = scanJSON(data, func(_ *level, key string, at int) *fault {
		if key == name {
			line, times = lineAt(data, at), times+1
		}
		return nil
	})
	if times != 1 {
		return 0
	}
	return line
}

// checkJSON refuses what the decoder lets pass: a key twice, and deep nesting.
func checkJSON(data []byte) *fault {
	return scanJSON(data, func(in *level, key string, at int) *fault {
		if first, twice := in.keys[key]; twice {
			return syntax(lineAt(data, at), "key %s is there twice, first in line %d", quote(key), lineAt(data, first))
		}
		in.keys[key] = at
		return nil
	})
}

// A level is a map or a list that is open.
type level struct {
	isMap bool
	keys  map[string]int // offsets
}

// open begins a map or a list in place of one that is closed. Its keys are
// cleared when they are few: clearing costs what the map once held.
func (l *level) open(isMap bool) {
	l.isMap = isMap
	if l.keys == nil || len(l.keys) > 64 {
		l.keys = make(map[string]int)
	}
	clear(l.keys)
}

// scanJSON calls visit with each key of a JSON text and its offset. The text has
// passed the decoder's check, apart from what may come after the value.
func scanJSON(data []byte, visit func(in *level, key string, at int) *fault) *fault {
	levels := make([]level, MaxDepth)
	depth, key := 0, false // key: a text is one
	for i := 0; i < len(data); i++ {
		switch c := data[i]; c {
		case '{', '[':
			if depth == MaxDepth {
				return syntax(lineAt(data, i), "is nested deeper than %d", MaxDepth)
			}
			levels[depth].open(c == '{')
			depth, key = depth+1, c == '{'
		case '}', ']':
			depth, key = max(depth-1, 0), false
		case ',':
			key = depth > 0 && levels[depth-1].isMap
		case '"':
			end := endOfText(data, i)
			if key {
				if bad := visit(&levels[depth-1], textOf(data[i:end]), i); bad != nil {
					return bad
				}
			}
			key, i = false, end-1
		}
	}
	return nil
}

// endOfText returns the offset after the text that begins at an offset.
func endOfText(data []byte, at int) int {
	for i := at + 1; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

// textOf returns what a JSON text with its quotes stands for.
func textOf(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 && len(quoted) >= 2 {
		return string(quoted[1 : len(quoted)-1])
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // valid, or after the value, where it does not matter
	return text
}
