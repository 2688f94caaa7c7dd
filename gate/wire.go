// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/binary"
	"errors"
)

// What messages have inside that are made too often for a general encoding: numbers as LEB128, bytes behind their length.

var errWire = errors.New("cut short, or with bytes behind its end")

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// A reader takes values from bytes that may be anything. After a fault all values are zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.b, r.bad = nil, true
}

// end returns an error unless all bytes were taken.
func (r *reader) end() error {
	if r.bad || len(r.b) != 0 {
		return errWire
	}
	return nil
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// count returns how many things follow that take so many bytes each, at least: never more than can be there.
func (r *reader) count(least int) int {
	n := r.number()
	if n > uint64(len(r.b)/least) {
		r.fail()
		return 0
	}
	return int(n)
}

// bytes returns bytes that lie in what is read.
func (r *reader) bytes() []byte {
	n := r.count(1)
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) text() string { return string(r.bytes()) }

func (r *reader) client() Client {
	if len(r.b) < clientSize {
		r.fail()
		return Client{}
	}
	c := takeClient(r.b)
	r.b = r.b[clientSize:]
	return c
}
