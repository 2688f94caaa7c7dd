// SPDX-License-Identifier: Apache-2.0

package files

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Bounds of what the aliases of a YAML file stand for, written out.
const (
	MaxExpanded = 64 << 20 // bytes of texts, 16 added for each value
	MaxAliased  = 2 << 20  // values
)

// decodeYAML decodes one YAML document into value, which is a pointer.
//
// The decoder's own search for keys that come twice takes time with the square
// of their number: 2 s for 10,000. It is switched off, since checkYAML has them
// in linear time.
func decodeYAML(data []byte, value any) *fault {
	limits := loaderlimits.New(loaderlimits.DepthValue(MaxDepth), loaderlimits.AliasValue(MaxAliased))
	var doc yaml.Node
	if err := yaml.Load(data, &doc, yaml.WithPlugin(limits)); err != nil {
		return yamlFault(ErrSyntax, data, err)
	}
	if len(doc.Content) != 1 {
		return syntax(1, "has no content")
	}
	if bad := checkYAML(doc.Content[0]); bad != nil {
		return bad
	}
	if err := doc.Load(value, yaml.WithKnownFields(), yaml.WithUniqueKeys(false), yaml.WithPlugin(limits)); err != nil {
		return yamlFault(ErrValue, data, err)
	}
	return nil
}

func yamlFault(kind error, data []byte, err error) *fault {
	if all, ok := errors.AsType[*yaml.LoadErrors](err); ok && len(all.Errors) > 0 {
		first := all.Errors[0]
		reason := first.Message
		if more := len(all.Errors) - 1; more > 0 {
			reason = fmt.Sprintf("%s (and %d more)", cut(reason, maxReason/2), more)
		}
		return &fault{line: yamlLine(data, first), reason: reason, kind: kind, cause: first}
	}
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		return &fault{line: yamlLine(data, e), reason: e.Message, kind: kind, cause: e}
	}
	return caused(kind, 0, err)
}

// yamlLine returns the line of an error. Those of bytes have only an offset,
// those of the number of documents nothing.
func yamlLine(data []byte, e *yaml.LoadError) int {
	if e.Mark.Line == 0 && e.Mark.Index > 0 {
		return lineAt(data, e.Mark.Index)
	}
	return e.Mark.Line
}

// checkYAML refuses keys that come twice or are no scalars, and bounds what
// aliases stand for before anything is made of it.
func checkYAML(root *yaml.Node) *fault {
	c := yamlCheck{anchored: make(map[*yaml.Node]extent)}
	_, bad := c.node(root)
	return bad
}

type yamlCheck struct {
	anchored map[*yaml.Node]extent // of those that are complete
}

// An extent is how much a node is with its aliases written out.
type extent struct {
	bytes   int
	aliased int // of the bytes, those that an alias stands for
	depth   int
}

func (c *yamlCheck) node(n *yaml.Node) (extent, *fault) {
	if n.Kind == yaml.AliasNode {
		e, complete := c.anchored[n.Alias]
		if !complete {
			return e, syntax(n.Line, "alias %s stands for something that contains it", quote(n.Value))
		}
		e.aliased = e.bytes
		return e, nil
	}
	if n.Kind == yaml.MappingNode {
		if bad := checkKeys(n); bad != nil {
			return extent{}, bad
		}
	}
	e := extent{bytes: 16 + len(n.Value)}
	for _, child := range n.Content {
		inner, bad := c.node(child)
		if bad != nil {
			return e, bad
		}
		e.bytes += inner.bytes
		e.aliased += inner.aliased
		e.depth = max(e.depth, inner.depth+1)
		switch {
		case e.aliased > MaxExpanded:
			return e, &fault{line: child.Line, reason: fmt.Sprintf("its aliases stand for more than %d bytes", MaxExpanded), kind: ErrTooLarge}
		case e.depth > MaxDepth:
			return e, syntax(child.Line, "is nested deeper than %d with its aliases written out", MaxDepth)
		}
	}
	if n.Anchor != "" {
		c.anchored[n] = e
	}
	return e, nil
}

// checkKeys compares keys as they are written: 1 and "1" are the same, as they
// are to a map with keys of texts.
func checkKeys(n *yaml.Node) *fault {
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return syntax(n.Content[i].Line, "a key is a map or a list, want a text or a number")
		}
		if first, twice := lines[key.Value]; twice {
			return syntax(n.Content[i].Line, "key %s is there twice, first in line %d", quote(key.Value), first)
		}
		lines[key.Value] = n.Content[i].Line
	}
	return nil
}
