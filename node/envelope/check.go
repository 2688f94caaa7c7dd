// SPDX-License-Identifier: Apache-2.0

package envelope

import "fmt"

// check says what the fields before the body must not be; the writer and the
// reader have the same rules. Offsets are those of the head.
func (e *Envelope) check() error {
	switch {
	case !e.Kind.known():
		return formatf(atKind, e.Kind.String(), "1 to %d, or %d", kindEnd-1, Cancel)
	case e.Encoding >= encodingEnd:
		return formatf(atEncoding, e.Encoding.String(), "0 to %d", encodingEnd-1)
	case e.Encoding != EncodingNone && !e.Kind.is(hasPayload):
		return formatf(atEncoding, fmt.Sprintf("encoding %v of a %v", e.Encoding, e.Kind), "none: it has no payload")
	case e.Type != 0 && !e.Encoding.Typed():
		return formatf(HeadSize, fmt.Sprintf("type %#x with encoding %v", e.Type, e.Encoding), "0")
	case e.Type == 0 && e.Encoding == EncodingProto:
		return formatf(HeadSize, "type 0 with encoding protobuf", "the message's type")
	case e.Left < 0:
		return formatf(HeadSize, fmt.Sprintf("%d microseconds left", e.Left), "more than 0")
	case e.Session == 0 && e.Kind.is(needsSession):
		return formatf(atSession, fmt.Sprintf("session 0 of a %v", e.Kind), "another one")
	}
	return e.checkReceiver()
}

func (e *Envelope) checkReceiver() error {
	switch n := len(e.Name); {
	case n > MaxName:
		return formatf(HeadSize, fmt.Sprintf("a name of %d bytes", n), "at most %d", MaxName)
	case n > 0 && !e.Kind.is(mayName):
		return formatf(atFlags, fmt.Sprintf("a %v to the name %q", e.Kind, e.Name), "a handle")
	case n > 0 && e.To != 0:
		return formatf(atTo, fmt.Sprintf("handle %#x and the name %q", e.To, e.Name), "one of them")
	case n == 0 && e.To == 0 && e.Kind.is(needsTo):
		return formatf(atTo, fmt.Sprintf("a %v to handle 0", e.Kind), "a receiver")
	}
	return nil
}

// checkPayload looks at the body, which begins at offset at.
func (e *Envelope) checkPayload(at int) error {
	switch n := len(e.Payload); {
	case !e.Kind.known() || e.Kind.is(hasReport):
		return nil // check has the first, ParseReport looks at the other
	case n > 0 && !e.Kind.is(hasPayload):
		return formatf(at, fmt.Sprintf("a %v with %d bytes behind it", e.Kind, n), "none")
	case n > 0 && e.Encoding == EncodingNone:
		return formatf(at, fmt.Sprintf("%d bytes with encoding none", n), "none")
	case n == 0 && e.Encoding == EncodingCBOR:
		return formatf(at, "no bytes with encoding CBOR", "at least one")
	}
	return nil
}
