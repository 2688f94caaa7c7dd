// SPDX-License-Identifier: Apache-2.0

package files

import (
	"errors"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
)

// cborMode is strict as the other formats are. The decoder checks the whole file
// before it makes anything of it, so a length that is not there costs nothing.
var cborMode = cbor.DecOptions{
	DupMapKey:         cbor.DupMapKeyEnforcedAPF,
	MaxNestedLevels:   MaxDepth,
	MaxArrayElements:  1 << 27, // what the size of the file allows is allowed
	MaxMapPairs:       1 << 27,
	ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
}

// decodeCBOR decodes one CBOR item (RFC 8949) into value, which is a pointer.
func decodeCBOR(data []byte, value any) *fault {
	mode, err := cborMode.DecMode()
	if err != nil {
		return caused(ErrValue, 0, err)
	}
	err = mode.Unmarshal(data, value)
	switch {
	case err == nil:
		return nil
	case len(data) == 0:
		return syntax(0, "has no content")
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return syntax(0, "ends too early, after %d bytes", len(data))
	}
	return cborFault(err)
}

func cborFault(err error) *fault {
	if _, ok := errors.AsType[*cbor.ExtraneousDataError](err); ok {
		return caused(ErrSyntax, 0, err)
	}
	if _, ok := errors.AsType[*cbor.SyntaxError](err); ok {
		return caused(ErrSyntax, 0, err)
	}
	if _, ok := errors.AsType[*cbor.SemanticError](err); ok {
		return caused(ErrSyntax, 0, err)
	}
	if _, ok := errors.AsType[*cbor.MaxNestedLevelError](err); ok {
		return syntax(0, "is nested deeper than %d", MaxDepth)
	}
	if _, ok := errors.AsType[*cbor.MaxArrayElementsError](err); ok {
		return caused(ErrTooLarge, 0, err)
	}
	if _, ok := errors.AsType[*cbor.MaxMapPairsError](err); ok {
		return caused(ErrTooLarge, 0, err)
	}
	if e, ok := errors.AsType[*cbor.DupMapKeyError](err); ok {
		return &fault{reason: "key " + quote(fmt.Sprint(e.Key)) + " is there twice", kind: ErrSyntax, cause: err}
	}
	if e, ok := errors.AsType[*cbor.UnknownFieldError](err); ok {
		return &fault{reason: fmt.Sprintf("pair %d of a map is of a field that the type does not have", e.Index+1), kind: ErrValue, cause: err}
	}
	return caused(ErrValue, 0, err)
}
