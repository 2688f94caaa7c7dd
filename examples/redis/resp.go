// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strconv"
)

// What a reply is made of, in RESP2, Redis's protocol: a string is a string of either sort, an
// int64 a number, nil no value, Failure an error, and []any several of these.
//
// https://redis.io/docs/latest/develop/reference/protocol-spec
type Failure string

func (f Failure) Error() string { return string(f) }

// Bounds for what comes from the other side.
const (
	maxLine  = 64 << 10
	maxBulk  = 64 << 20 // bytes of a string
	maxItems = 1 << 20  // of a list
	maxDepth = 16       // of lists in lists
)

var errProtocol = errors.New("not RESP")

// A source is what values are read from. Both functions wait until they have all.
type source interface {
	line() ([]byte, error)          // up to "\r\n", without that
	bytes(size int) ([]byte, error) // so many
}

// parse reads one value.
func parse(s source) (any, error) { return parseAt(s, 0) }

func parseAt(s source, depth int) (any, error) {
	line, err := s.line()
	if err != nil {
		return nil, err
	}
	if len(line) == 0 {
		return nil, fmt.Errorf("%w: an empty line, want a type", errProtocol)
	}
	text := string(line[1:])
	switch line[0] {
	case '+':
		return text, nil
	case '-':
		return Failure(text), nil
	case ':':
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: the number %q", errProtocol, text)
		}
		return n, nil
	case '$':
		return parseBulk(s, text)
	case '*':
		return parseList(s, text, depth)
	}
	return nil, fmt.Errorf("%w: type %q, want one of + - : $ *", errProtocol, line[0])
}

// length reads how long something is; ok is false for "no value".
func length(text string, most int) (n int, ok bool, err error) {
	n, err = strconv.Atoi(text)
	switch {
	case err != nil || n < -1 || n > most:
		return 0, false, fmt.Errorf("%w: the length %q, want -1 to %d", errProtocol, text, most)
	case n == -1:
		return 0, false, nil
	}
	return n, true, nil
}

func parseBulk(s source, text string) (any, error) {
	n, ok, err := length(text, maxBulk)
	if !ok {
		return nil, err
	}
	b, err := s.bytes(n + 2)
	if err != nil {
		return nil, err
	}
	if string(b[n:]) != "\r\n" {
		return nil, fmt.Errorf("%w: %q behind a string of %d bytes", errProtocol, b[n:], n)
	}
	return string(b[:n]), nil
}

func parseList(s source, text string, depth int) (any, error) {
	n, ok, err := length(text, maxItems)
	if !ok {
		return nil, err
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("%w: lists in lists, %d deep", errProtocol, depth)
	}
	list := []any{} // grows with what comes
	for range n {
		v, err := parseAt(s, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// appendCommand appends a command as clients send it: a list of strings.
func appendCommand(b []byte, args []string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, a := range args {
		b = appendBulk(b, a)
	}
	return b
}

func appendBulk(b []byte, s string) []byte {
	b = strconv.AppendInt(append(b, '$'), int64(len(s)), 10)
	return append(append(append(b, "\r\n"...), s...), "\r\n"...)
}

// appendValue appends a reply as servers send it.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "$-1\r\n"...)
	case Failure:
		return fmt.Appendf(b, "-%s\r\n", string(v))
	case int64:
		return fmt.Appendf(b, ":%d\r\n", v)
	case []any:
		b = fmt.Appendf(b, "*%d\r\n", len(v))
		for _, item := range v {
			b = appendValue(b, item)
		}
		return b
	}
	return appendBulk(b, fmt.Sprint(v))
}
