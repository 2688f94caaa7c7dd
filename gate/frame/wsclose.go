// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"fmt"
	"unicode/utf8"
)

// The codes of close frames that this package and its users send or know
// (RFC 6455, section 7.4, and IANA's registry).
const (
	CloseNormal      = 1000
	CloseGoingAway   = 1001
	CloseProtocol    = 1002 // a rule of RFC 6455 is broken
	CloseUnsupported = 1003 // text where bytes were expected, or the other way round
	CloseNoStatus    = 1005 // never sent: the close frame has no code
	CloseAbnormal    = 1006 // never sent: there was no close frame
	CloseInvalid     = 1007 // text that is not UTF-8
	ClosePolicy      = 1008
	CloseTooBig      = 1009
	CloseInternal    = 1011
	CloseRestart     = 1012
	CloseTryAgain    = 1013
)

// MaxWSReason is how many bytes the reason of a close frame may have.
const MaxWSReason = MaxWSControl - 2

// A WSError means that the peer has broken a rule, and the connection has to be
// closed with Code. It wraps ErrTooLarge where that is CloseTooBig, and
// ErrMalformed otherwise.
type WSError struct {
	Code uint16 // what the close frame shall say
	Text string // what was found, and what was expected; fit for its reason
}

// Error has the code and the text.
func (e *WSError) Error() string { return fmt.Sprintf("WebSocket, code %d: %s", e.Code, e.Text) }

// Unwrap returns ErrTooLarge or ErrMalformed.
func (e *WSError) Unwrap() error {
	if e.Code == CloseTooBig {
		return ErrTooLarge
	}
	return ErrMalformed
}

func protocolf(text string, args ...any) error {
	return &WSError{Code: CloseProtocol, Text: fmt.Sprintf(text, args...)}
}

// ValidClose reports whether a close frame may carry the code: those of the RFC
// and of IANA's registry, of libraries (3000 to 3999) and of programs (4000 to 4999).
func ValidClose(code uint16) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code < 1000 || code > 1014:
		return false
	}
	return code != 1004 && code != CloseNoStatus && code != CloseAbnormal
}

// ParseClose reads the payload of a close frame. One of no bytes has the code
// CloseNoStatus. The reason lies in b. Errors are *WSError: a single byte,
// a code that must not be sent, and a reason that is not UTF-8.
func ParseClose(b []byte) (code uint16, reason []byte, err error) {
	switch len(b) {
	case 0:
		return CloseNoStatus, nil, nil
	case 1:
		return 0, nil, protocolf("a close frame of 1 byte, want none or a code of 2")
	}
	code = be.Uint16(b)
	reason = b[2:len(b):len(b)]
	switch {
	case !ValidClose(code):
		return 0, nil, protocolf("the close code %d, which must not be sent", code)
	case !utf8.Valid(reason):
		return 0, nil, &WSError{Code: CloseInvalid, Text: "the reason of a close frame is not UTF-8"}
	}
	return code, reason, nil
}

// AppendClose appends the payload of a close frame: nothing for CloseNoStatus and 0,
// and CloseProtocol for any other code that must not be sent. A reason above MaxWSReason bytes is cut between two
// characters; one that is not UTF-8 is left out.
func AppendClose(dst []byte, code uint16, reason string) []byte {
	if code == CloseNoStatus || code == 0 {
		return dst
	}
	if !ValidClose(code) {
		code = CloseProtocol
	}
	return append(be.AppendUint16(dst, code), clip(reason, MaxWSReason)...)
}

// AppendWSClose appends a whole close frame of a server, with what AppendClose has.
func AppendWSClose(dst []byte, code uint16, reason string) []byte {
	var buf [MaxWSControl]byte
	payload := AppendClose(buf[:0], code, reason)
	return append(AppendWSHeader(dst, true, false, OpClose, len(payload)), payload...)
}

// clip cuts text to at most limit bytes, between two characters; text that is not UTF-8
// becomes none.
func clip(text string, limit int) string {
	if !utf8.ValidString(text) {
		return ""
	}
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// utf8Prefix returns how many bytes of b are whole characters. ok is false if
// what follows them begins no character.
func utf8Prefix(b []byte) (n int, ok bool) {
	if utf8.Valid(b) {
		return len(b), true
	}
	for n = len(b) - 1; n > len(b)-utf8.UTFMax && n > 0 && !utf8.RuneStart(b[n]); {
		n--
	}
	return n, !utf8.FullRune(b[n:]) && utf8.Valid(b[:n])
}
