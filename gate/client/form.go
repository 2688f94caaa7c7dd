// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/binary"

	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
)

// The forms of framings whose frame is a head. There is one of each, so that
// connections of all Setups share what is made.
var heads = map[frame.Standard]*queue.Form{
	frame.Length2: {Head: head(frame.Length2, 1<<16-1, func(dst []byte, n int) []byte {
		return binary.BigEndian.AppendUint16(dst, uint16(n))
	})},
	frame.Length4: {Head: head(frame.Length4, 1<<32-1, func(dst []byte, n int) []byte {
		return binary.BigEndian.AppendUint32(dst, uint32(n))
	})},
	frame.Varint: {Head: head(frame.Varint, 1<<32-1, func(dst []byte, n int) []byte {
		return binary.AppendUvarint(dst, uint64(n))
	})},
	frame.Raw:  {Head: func(dst, _ []byte) ([]byte, error) { return dst, nil }},
	frame.Line: {Make: frame.Line.Append},
}

// head returns a function that appends the head of a frame.
func head(f frame.Framing, limit int, appendHead func(dst []byte, n int) []byte) func(dst, b []byte) ([]byte, error) {
	return func(dst, b []byte) ([]byte, error) {
		if len(b) > limit {
			return f.Append(dst, b) // which knows the error
		}
		return appendHead(dst, len(b)), nil
	}
}

// framed returns the form of packets in a framing.
func framed(f frame.Framing) *queue.Form {
	if s, ok := f.(frame.Standard); ok {
		if form := heads[s]; form != nil {
			return form
		}
	}
	return &queue.Form{Make: f.Append}
}
