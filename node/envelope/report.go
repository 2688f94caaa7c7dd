// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"fmt"
	"unicode/utf8"
)

// Sizes in bytes.
const (
	ReportHead = 8    // before the texts of a Report
	MaxText    = 4096 // of Report.Text
)

// A Report is the body of an Error or a Down, and the beginning of that of a Bounce.
type Report struct {
	Code     Code
	Original Kind   // of a Bounce: Send, Call or Group
	Text     string // what happened, for people; at most MaxText bytes travel
	Hop      string // where on the way, if not at the receiver; at most 255 bytes
	Name     string // of a Down: what the service was called; at most 255 bytes
}

// AppendReport appends the body of an envelope of kind k, cutting texts that are
// too long. Behind that of a Bounce the caller appends the payload. Errors wrap
// ErrFormat: k has no Report, or r is none for k.
func AppendReport(dst []byte, k Kind, r *Report) ([]byte, error) {
	if err := r.check(k); err != nil {
		return dst, err
	}
	text, hop, name := cut(r.Text, MaxText), cut(r.Hop, MaxName), cut(r.Name, MaxName)
	dst = le.AppendUint16(dst, uint16(r.Code))
	dst = le.AppendUint16(dst, uint16(len(text)))
	dst = append(dst, byte(len(hop)), byte(len(name)), byte(r.Original), 0)
	dst = append(dst, text...)
	dst = append(dst, hop...)
	return append(dst, name...), nil
}

// ParseReport reads the body of an envelope of kind k. rest is the payload of a
// Bounce and lies in body; the texts are copies. Errors wrap ErrFormat; their
// offsets count from the body's beginning.
func ParseReport(k Kind, body []byte) (r Report, rest []byte, err error) {
	if len(body) < ReportHead {
		return r, nil, short(body, 0, fmt.Sprintf("a report of at least %d bytes", ReportHead))
	}
	r.Code, r.Original = Code(le.Uint16(body)), Kind(body[6])
	text, hop, name := int(le.Uint16(body[2:])), int(body[4]), int(body[5])
	end := ReportHead + text + hop + name
	switch {
	case text > MaxText:
		return r, nil, formatf(2, fmt.Sprintf("a text of %d bytes", text), "at most %d", MaxText)
	case body[7] != 0:
		return r, nil, formatf(7, fmt.Sprintf("%#x in a reserved field", body[7]), "0")
	case len(body) < end:
		return r, nil, short(body, ReportHead, fmt.Sprintf("texts of %d bytes", end-ReportHead))
	case len(body) > end && k != Bounce:
		return r, nil, formatf(end, fmt.Sprintf("%d bytes behind the report of a %v", len(body)-end, k), "none")
	}
	r.Text = string(body[ReportHead : ReportHead+text])
	r.Hop = string(body[ReportHead+text : end-name])
	r.Name = string(body[end-name : end])
	return r, body[end:len(body):len(body)], r.check(k)
}

// check has the rules for the fields of a report.
func (r *Report) check(k Kind) error {
	switch {
	case !k.is(hasReport):
		return formatf(0, fmt.Sprintf("a report of a %v", k), "an ERROR, DOWN or BOUNCE")
	case r.Code == CodeNone && k != Down:
		return formatf(0, fmt.Sprintf("code 0 of a %v", k), "another one")
	case k == Bounce && r.Original != Send && r.Original != Call && r.Original != Group:
		return formatf(6, fmt.Sprintf("a BOUNCE of a %v", r.Original), "one of a SEND, CALL or GROUP")
	case k != Bounce && r.Original != 0:
		return formatf(6, fmt.Sprintf("a %v of a %v", k, r.Original), "0")
	case k != Down && r.Name != "":
		return formatf(5, fmt.Sprintf("a %v with the name %q", k, r.Name), "no name")
	}
	return nil
}

// cut shortens s to at most n bytes, between two characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n] // it is no UTF-8
}
