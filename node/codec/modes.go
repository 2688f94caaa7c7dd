// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// encoder is the library's, as all registries use it. Lengths and order are what
// costs least: nobody compares encodings.
var encoder = func() cbor.UserBufferEncMode {
	mode, err := cbor.EncOptions{
		Time:          cbor.TimeRFC3339Nano,
		TimeTag:       cbor.EncTagRequired,
		ByteArray:     cbor.ByteArrayToByteSlice,
		TextMarshaler: cbor.TextMarshalerTextString,
		IndefLength:   cbor.IndefLengthForbidden,
	}.UserBufferEncMode()
	if err != nil {
		panic(fmt.Sprintf("codec: options of the encoder: %v", err)) // they are constants
	}
	return mode
}()

// decMode returns the library's decoder. It checks all of the input before it
// makes anything of it.
func decMode(l Limits) cbor.DecMode {
	tags := cbor.NewTagSet()
	err := tags.Add(cbor.TagOptions{DecTag: cbor.DecTagRequired}, reflect.TypeFor[box](), boxTag)
	if err != nil {
		panic(fmt.Sprintf("codec: tag of the decoder: %v", err)) // it is a constant
	}
	mode, err := cbor.DecOptions{
		MaxNestedLevels:      l.MaxDepth,
		MaxArrayElements:     l.MaxElements,
		MaxMapPairs:          l.MaxElements,
		TimeTag:              cbor.DecTagOptional,
		IndefLength:          cbor.IndefLengthForbidden,
		IntDec:               cbor.IntDecConvertSignedOrBigInt,
		BigIntDec:            cbor.BigIntDecodePointer,
		BignumTag:            cbor.BignumTagForbidden, // the text of one takes time that is not linear
		DefaultMapType:       reflect.TypeFor[map[string]any](),
		UTF8:                 cbor.UTF8DecodeInvalid,
		FieldNameMatching:    cbor.FieldNameMatchingCaseSensitive,
		TextUnmarshaler:      cbor.TextUnmarshalerTextString,
		UnrecognizedTagToAny: cbor.UnrecognizedTagContentToAny,
		SimpleValues:         knownSimple(),
	}.DecModeWithTags(tags)
	if err != nil {
		panic(fmt.Sprintf("codec: options of the decoder: %v", err)) // withDefaults keeps them within bounds
	}
	return mode
}

// knownSimple leaves false, true, null and undefined of CBOR's simple values.
func knownSimple() *cbor.SimpleValueRegistry {
	var rules []func(*cbor.SimpleValueRegistry) error
	for v := range 256 {
		if v < 20 || v > 31 { // 24 to 31 are not even well-formed
			rules = append(rules, cbor.WithRejectedSimpleValue(cbor.SimpleValue(v)))
		}
	}
	known, err := cbor.NewSimpleValueRegistryFromDefaults(rules...)
	if err != nil {
		panic(fmt.Sprintf("codec: simple values: %v", err)) // they are constants
	}
	return known
}
