// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"fmt"
	"unicode/utf8"
)

// A WSReader makes messages of WebSocket frames. It is one end of one
// connection; the zero value is that of a server without compression. One goroutine at a time uses it.
//
// It holds the fragments of one message at most, copied as they come: no more bytes than have been
// received, and not above the limit. Between messages it holds nothing.
type WSReader struct {
	Client  bool // this end is the client: frames come without a mask. Set before the first Next
	Deflate bool // messages may be compressed (RFC 7692): the caller inflates them. Set before the first Next

	op         Opcode // of the message whose fragments are in held; 0 for none
	compressed bool
	closed     bool // a close frame has come
	whole      int  // bytes of held that are whole characters
	held       []byte
}

// A WSMessage is a message, or a control frame.
type WSMessage struct {
	Opcode     Opcode // OpText, OpBinary, OpClose, OpPing or OpPong; OpContinuation if there is none
	Compressed bool   // Payload has to be inflated first; it is not known to be UTF-8
	Code       uint16 // of an OpClose: CloseNoStatus if it has none
	Payload    []byte // of an OpClose its reason
}

// Next takes frames from the beginning of b and returns the first message, or control
// frame, that is whole. n is how many bytes of b have been taken: they are not given again. If
// m.Opcode is OpContinuation there is no message: n may be above 0 all the same, for
// fragments, and more bytes are needed behind what is left of b.
//
// limit is how many bytes a message may have, with all its fragments; a control frame is not
// bound by it. Next writes to the bytes it takes: it takes the mask away. Payload
// lies in b if the message is one frame or m is a control frame, and is memory of its own, which the caller has from then on,
// if it came in fragments. Text is valid UTF-8 unless it is compressed; each fragment is checked as it comes.
//
// Behind a close frame all bytes are taken and thrown away. Errors are *WSError; the
// WSReader is of no use then. Next allocates only for fragments, or an error.
func (r *WSReader) Next(b []byte, limit int) (m WSMessage, n int, err error) {
	for {
		if r.closed {
			return WSMessage{}, len(b), nil
		}
		h, head, err := parseHeader(b[n:], r.rules())
		if err != nil || head == 0 {
			return WSMessage{}, n, err
		}
		if err := r.admit(&h, limit); err != nil {
			return WSMessage{}, n, err
		}
		if uint64(len(b)-n-head) < h.Length {
			return WSMessage{}, n, nil
		}
		begin, end := n+head, n+head+int(h.Length)
		payload := b[begin:end:end]
		if h.Masked {
			Unmask(h.Key, 0, payload)
		}
		n = end
		m, err := r.take(&h, payload)
		if err != nil || m.Opcode != OpContinuation {
			return m, n, err
		}
	}
}

// Held returns how many bytes of fragments r holds.
func (r *WSReader) Held() int { return len(r.held) }

// Pending reports whether a message has begun whose last fragment has not come.
func (r *WSReader) Pending() bool { return r.op != OpContinuation }

// Closed reports whether a close frame has come.
func (r *WSReader) Closed() bool { return r.closed }

func (r *WSReader) rules() rules {
	what := mustMask
	if r.Client {
		what = mustNotMask
	}
	if !r.Deflate {
		what |= noRsv1
	}
	return what
}

// admit says whether the frame may come now, and whether its message stays below
// the limit, before its payload is there.
func (r *WSReader) admit(h *WSHeader, limit int) error {
	switch {
	case h.Opcode.Control():
		return nil
	case h.Opcode == OpContinuation && !r.Pending():
		return protocolf("a continuation frame, and no message has begun")
	case h.Opcode != OpContinuation && r.Pending():
		return protocolf("a %v frame inside a message, want its continuation", h.Opcode)
	}
	if total := uint64(len(r.held)) + h.Length; total > uint64(max(limit, 0)) {
		return &WSError{Code: CloseTooBig, Text: fmt.Sprintf("a message of at least %d bytes, want at most %d", total, max(limit, 0))}
	}
	return nil
}

// take makes a message of a frame, if it is the last of one.
func (r *WSReader) take(h *WSHeader, payload []byte) (WSMessage, error) {
	switch {
	case h.Opcode == OpClose:
		code, reason, err := ParseClose(payload)
		r.closed = err == nil
		if err != nil {
			return WSMessage{}, err
		}
		r.drop()
		return WSMessage{Opcode: OpClose, Code: code, Payload: reason}, nil
	case h.Opcode.Control():
		return WSMessage{Opcode: h.Opcode, Payload: payload}, nil
	case h.Fin && !r.Pending():
		if h.Opcode == OpText && !h.Rsv1 && !utf8.Valid(payload) {
			return WSMessage{}, errNotUTF8
		}
		return WSMessage{Opcode: h.Opcode, Compressed: h.Rsv1, Payload: payload}, nil
	}
	return r.fragment(h, payload)
}

var errNotUTF8 = &WSError{Code: CloseInvalid, Text: "a text message is not UTF-8"}

func (r *WSReader) fragment(h *WSHeader, payload []byte) (WSMessage, error) {
	if !r.Pending() {
		r.op, r.compressed = h.Opcode, h.Rsv1
	}
	r.held = append(r.held, payload...)
	if r.op == OpText && !r.compressed {
		n, ok := utf8Prefix(r.held[r.whole:])
		if r.whole += n; !ok || h.Fin && r.whole < len(r.held) {
			return WSMessage{}, errNotUTF8
		}
	}
	if !h.Fin {
		return WSMessage{}, nil
	}
	m := WSMessage{Opcode: r.op, Compressed: r.compressed, Payload: r.held}
	r.drop()
	return m, nil
}

// drop forgets the message that has begun.
func (r *WSReader) drop() {
	r.op, r.compressed, r.whole, r.held = OpContinuation, false, 0, nil
}
