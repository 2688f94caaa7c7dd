// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// What YAML takes a scalar for.
const (
	tagText  = "!!str"
	tagTime  = "!!timestamp" // text that looks like a date
	tagInt   = "!!int"
	tagFloat = "!!float"
	tagBool  = "!!bool"
	tagNull  = "!!null"
)

// value is a node of the file, and what errors call it.
type value struct {
	rep  *report
	node *yaml.Node
	path string
}

func (v value) fail(format string, args ...any) { v.rep.fail(v.node.Line, v.path, format, args...) }

// want reports that v is something else.
func (v value) want(what string) { v.fail("want %s, got %s", what, v.kind()) }

// kind says what v is.
func (v value) kind() string {
	switch v.node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias, which is not taken here; write the value itself"
	}
	switch tag := v.node.ShortTag(); tag {
	case tagNull:
		return "nothing"
	case tagInt, tagFloat:
		return "the number " + shorten(v.node.Value)
	case tagBool:
		return v.node.Value
	case tagText, tagTime:
		return quote(v.node.Value)
	default:
		return "a value with the tag " + shorten(tag)
	}
}

// is tells whether v is a scalar with one of the tags.
func (v value) is(tags ...string) bool {
	if v.node.Kind != yaml.ScalarNode {
		return false
	}
	have := v.node.ShortTag()
	for _, tag := range tags {
		if have == tag {
			return true
		}
	}
	return false
}

// text reads a text. It is not empty and has no control character: all texts
// here are names, paths and words that end up in messages and logs.
func (v value) text(what string) (string, bool) {
	if v.is(tagInt, tagFloat, tagBool) {
		v.fail("want %s, got %s; text that looks like this is put in quotes", what, v.kind())
		return "", false
	}
	return v.written(what)
}

// written reads a text that YAML may take for a number, as it is written.
func (v value) written(what string) (string, bool) {
	s := v.node.Value
	switch {
	case !v.is(tagText, tagTime, tagInt, tagFloat):
		v.want(what)
	case s == "":
		v.fail("want %s, got an empty text", what)
	case strings.ContainsFunc(s, unicode.IsControl):
		v.fail("want %s, got %s, which has a control character", what, quote(s))
	default:
		return s, true
	}
	return "", false
}

// field is a key that a mapping may have.
type field struct {
	name string
	need string // why it may not be missing, or empty
	read func(value)
}

// fields reads a mapping. Values are read in the order of the fields, whatever
// their order in the file: some are needed to read others.
func (v value) fields(list []field) {
	if v.node.Kind != yaml.MappingNode {
		v.want("a mapping with " + names(list))
		return
	}
	given := v.pairs(list)
	for _, f := range list {
		if node := given[f.name]; node != nil {
			f.read(value{v.rep, node, v.child(f.name)})
		} else if f.need != "" {
			v.rep.fail(v.node.Line, v.child(f.name), "is missing; %s", f.need)
		}
	}
}

// pairs returns the mapping's values by their keys, and reports keys that are
// not known or come again.
func (v value) pairs(list []field) map[string]*yaml.Node {
	given, lines := map[string]*yaml.Node{}, map[string]int{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		at := value{v.rep, key, v.path}
		switch {
		case key.Kind != yaml.ScalarNode:
			at.want("a key, one of " + names(list))
		case !known(list, key.Value):
			at.fail("key %s is not known; known here: %s", quote(key.Value), names(list))
		case lines[key.Value] > 0:
			at.path = v.child(key.Value)
			at.fail("is given twice, first in line %d", lines[key.Value])
		default:
			lines[key.Value] = key.Line
			given[key.Value] = v.node.Content[i+1]
		}
	}
	return given
}

// child is what errors call the value of a key.
func (v value) child(name string) string {
	if v.path == "" {
		return name
	}
	return v.path + "." + name
}

// each reads a list.
func (v value) each(what string, read func(value)) {
	if v.node.Kind != yaml.SequenceNode {
		v.want("a list of " + what)
		return
	}
	for _, node := range v.node.Content {
		read(value{v.rep, node, v.path})
	}
}

func known(list []field, name string) bool {
	for _, f := range list {
		if f.name == name {
			return true
		}
	}
	return false
}

func names(list []field) string {
	var all []string
	for _, f := range list {
		all = append(all, f.name)
	}
	return strings.Join(all, ", ")
}

// maxQuoted is how much of a refused text an error shows, in characters.
const maxQuoted = 64

func quote(s string) string { return fmt.Sprintf("%q", shorten(s)) }

// shorten keeps the start of a text.
func shorten(s string) string {
	n := 0
	for i := range s {
		if n++; n > maxQuoted {
			return s[:i] + "…"
		}
	}
	return s
}
