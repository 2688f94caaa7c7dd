// SPDX-License-Identifier: Apache-2.0

// Package files keeps tables of package share up to date with files in JSON,
// YAML and CBOR.
//
//	monsters, err := files.Load[map[string]Monster]("data/monsters.yaml",
//		files.Validate(checkMonsters), files.OnError(logError))
//	if err != nil {
//		return err
//	}
//	go monsters.Watch(ctx, time.Second)
//	...
//	hp := monsters.Table().Get()["orc"].HP
//
// The extension tells the format: .json, .yaml or .yml, .cbor. With T = any the
// table is a share.Tree; with any other type the file is decoded into that, by
// the rules of encoding/json, go.yaml.in/yaml and fxamacker/cbor.
//
// A file replaces the table as a whole, or not at all: whatever is wrong with it,
// the version before stays, and the error says what and where.
//
// # What a file must be
//
//   - Of the size that is allowed, and the same from the first byte read to the
//     last: a file that is written meanwhile is read again.
//   - Text in UTF-8, for JSON and YAML; a byte order mark is passed over.
//   - One document with nothing after it, nested at most [MaxDepth] deep.
//   - Without a key that comes twice in one map, in all formats.
//   - Without a field that a struct of T does not have.
//   - Accepted by the function given to [Validate].
//
// # Files that mean harm
//
// Memory is bounded by the size of a file, but a decoder takes a multiple of it.
// Measured at worst, for a tree: 65 bytes for each byte of JSON, 230 of CBOR, 150
// of YAML in blocks and 670 of YAML in brackets. The sizes that are allowed by
// default keep that near 4 GiB, and ordinary files far below; [MaxSize] sets
// another for a file. With a T of one's own, a slice of large structs takes the
// size of one for each two or three bytes.
//
// Aliases of YAML are followed, up to [MaxExpanded] bytes and [MaxAliased] values;
// one that contains itself is an error.
package files
