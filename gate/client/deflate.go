// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
)

// Messages are compressed as RFC 7692 says, each by itself.

// deflateFrom is from how many bytes on packets are compressed: below, it does not pay.
const deflateFrom = 128

// emptyBlock ends what a deflate stream has flushed. It is not sent (RFC 7692, section 7.2.1); whoever inflates
// puts it back, here with a last block behind it, so that there is an end.
var (
	emptyBlock = []byte{0, 0, 0xff, 0xff}
	streamEnd  = []byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}
)

var (
	binaryForm   = webMessage(frame.OpBinary)
	textForm     = webMessage(frame.OpText)
	deflatedForm = &queue.Form{Make: deflated(frame.OpBinary)}
	deflatedText = &queue.Form{Make: deflated(frame.OpText)}
)

// webForm returns the form of packets to a WebSocket client.
func webForm(text, compressed bool) *queue.Form {
	switch {
	case text && compressed:
		return deflatedText
	case compressed:
		return deflatedForm
	case text:
		return textForm
	}
	return binaryForm
}

func webMessage(op frame.Opcode) *queue.Form {
	return &queue.Form{Head: func(dst, b []byte) ([]byte, error) {
		return frame.AppendWSHeader(dst, true, false, op, len(b)), nil
	}}
}

var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // the level is a good one
	return w
}}

// deflated makes compressed messages, of packets that get smaller by it.
func deflated(op frame.Opcode) func(dst, b []byte) ([]byte, error) {
	return func(dst, b []byte) ([]byte, error) {
		if len(b) >= deflateFrom {
			if small, ok := deflate(b); ok {
				return append(frame.AppendWSHeader(dst, true, true, op, len(small)), small...), nil
			}
		}
		return append(frame.AppendWSHeader(dst, true, false, op, len(b)), b...), nil
	}
}

func deflate(b []byte) (small []byte, ok bool) {
	var out bytes.Buffer
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&out)
	_, werr := w.Write(b)
	if err := errors.Join(werr, w.Flush()); err != nil {
		return nil, false
	}
	small = bytes.TrimSuffix(out.Bytes(), emptyBlock)
	return small, len(small) < len(b)
}

// An inflater is what flate.NewReader returns.
type inflater interface {
	io.Reader
	flate.Resetter
}

var inflaters sync.Pool

func newInflater(src io.Reader) (inflater, error) {
	f, ok := inflaters.Get().(inflater)
	if !ok {
		f, ok = flate.NewReader(src).(inflater)
		if !ok {
			return nil, errors.New("a reader that cannot be used again")
		}
	}
	return f, f.Reset(src, nil)
}

// inflate returns a message of at most limit bytes. Errors are *frame.WSError.
func inflate(b []byte, limit int, text bool) ([]byte, error) {
	f, err := newInflater(io.MultiReader(bytes.NewReader(b), bytes.NewReader(streamEnd)))
	if err != nil {
		return nil, notDeflate(err)
	}
	defer func() {
		if f.Reset(bytes.NewReader(nil), nil) == nil { // b is not held
			inflaters.Put(f)
		}
	}()
	var out bytes.Buffer
	n, err := out.ReadFrom(io.LimitReader(f, int64(limit)+1))
	switch {
	case err != nil:
		return nil, notDeflate(err)
	case n > int64(limit):
		return nil, &frame.WSError{Code: frame.CloseTooBig, Text: fmt.Sprintf("a compressed message of more than %d bytes", limit)}
	case text && !utf8.Valid(out.Bytes()):
		return nil, &frame.WSError{Code: frame.CloseInvalid, Text: "a text message is not UTF-8"}
	}
	return out.Bytes(), nil
}

func notDeflate(err error) error {
	return &frame.WSError{Code: frame.CloseInvalid, Text: "a compressed message: " + err.Error()}
}
