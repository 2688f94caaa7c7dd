// SPDX-License-Identifier: Apache-2.0

package files

import (
	"bytes"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/skybus-io/skybus/share"
)

// MaxDepth is how deep maps and lists may be nested in a file, those that an
// alias of YAML stands for counted.
const MaxDepth = 256

type format int

const (
	formatJSON format = iota
	formatYAML
	formatCBOR
)

// formatOf tells the format by the extension, in letters of any case.
func formatOf(path string) (format, error) {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".json":
		return formatJSON, nil
	case ".yaml", ".yml":
		return formatYAML, nil
	case ".cbor":
		return formatCBOR, nil
	default:
		return 0, &Error{Path: path, Reason: "its extension is " + quote(ext) + ", want .json, .yaml, .yml or .cbor", Err: ErrFormat}
	}
}

// decode decodes data into value. A value of type any becomes a tree.
func decode[T any](f format, data []byte, value *T) *fault {
	tree, isTree := any(value).(*any)
	if bad := decodeInto(f, data, value, isTree); bad != nil || !isTree {
		return bad
	}
	normal, err := share.Normalize(*tree)
	if err != nil {
		return caused(ErrValue, 0, err)
	}
	*tree = normal
	return nil
}

func decodeInto(f format, data []byte, value any, isTree bool) *fault {
	if f == formatCBOR {
		return decodeCBOR(data, value)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		return syntax(lineOfInvalid(data), "is not UTF-8")
	}
	if f == formatYAML {
		return decodeYAML(data, value)
	}
	return decodeJSON(data, value, isTree)
}

// lineAt returns the line of an offset, which may lie outside of data.
func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), len(data))], []byte("\n"))
}

func lineOfInvalid(data []byte) int {
	for i := 0; i < len(data); {
		c, n := utf8.DecodeRune(data[i:])
		if c == utf8.RuneError && n == 1 {
			return lineAt(data, i)
		}
		i += n
	}
	return 0
}
