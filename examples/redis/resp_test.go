// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

// text is a source of bytes that are there.
type text struct{ rest []byte }

func (s *text) line() ([]byte, error) {
	line, rest, ok := bytes.Cut(s.rest, []byte("\r\n"))
	if !ok {
		return nil, io.ErrUnexpectedEOF
	}
	s.rest = rest
	return line, nil
}

func (s *text) bytes(size int) ([]byte, error) {
	if size > len(s.rest) {
		return nil, io.ErrUnexpectedEOF
	}
	b := s.rest[:size]
	s.rest = s.rest[size:]
	return b, nil
}

func TestParse(t *testing.T) {
	deep := strings.Repeat("*1\r\n", maxDepth)
	tests := []struct {
		in   string
		want any
		err  error
	}{
		{"+OK\r\n", "OK", nil},
		{"+\r\n", "", nil},
		{"-ERR no\r\n", Failure("ERR no"), nil},
		{":-42\r\n", int64(-42), nil},
		{"$5\r\na\r\nbc\r\n", "a\r\nbc", nil},
		{"$0\r\n\r\n", "", nil},
		{"$-1\r\n", nil, nil},
		{"*-1\r\n", nil, nil},
		{"*0\r\n", []any{}, nil},
		{"*3\r\n:1\r\n*1\r\n$1\r\nx\r\n$-1\r\n", []any{int64(1), []any{"x"}, nil}, nil},
		{"\r\n", nil, errProtocol},
		{"?\r\n", nil, errProtocol},
		{":x\r\n", nil, errProtocol},
		{":9223372036854775808\r\n", nil, errProtocol},
		{"$x\r\n", nil, errProtocol},
		{"$-2\r\n", nil, errProtocol},
		{"$67108865\r\n", nil, errProtocol},
		{"$1\r\nxyz", nil, errProtocol},
		{"*1048577\r\n", nil, errProtocol},
		{deep + "*1\r\n:1\r\n", nil, errProtocol},
		{"*2\r\n:1\r\n", nil, io.ErrUnexpectedEOF},
		{"$5\r\nab", nil, io.ErrUnexpectedEOF},
		{"+OK", nil, io.ErrUnexpectedEOF},
	}
	for _, test := range tests {
		got, err := parse(&text{[]byte(test.in)})
		if !reflect.DeepEqual(got, test.want) || !errors.Is(err, test.err) || test.err == nil && err != nil {
			t.Errorf("%q: got %#v, %v, want %#v, %v", test.in, got, err, test.want, test.err)
		}
	}
}

// FuzzParse sees that nothing breaks the parser, and that what it makes is written and read as the same value again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"+OK\r\n", "-ERR\r\n", ":1\r\n", "$3\r\nfoo\r\n", "$-1\r\n", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "*1\r\n*0\r\n", "*-1\r\n", "$1\r\n\r\r\n", "*1048576\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &text{data}
		v, err := parse(s)
		if err != nil {
			if v != nil {
				t.Errorf("the value %v with the error %v", v, err)
			}
			return
		}
		again, err := parse(&text{appendValue(nil, v)})
		if err != nil || !reflect.DeepEqual(again, v) {
			t.Errorf("%#v becomes %#v, %v", v, again, err)
		}
	})
}
