// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
)

// Where the messages of send come from. Each source yields messages, or an
// error that ends it. The bytes are the receiver's until it asks for the next.

func argMessages(texts []string, isHex bool) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for i, text := range texts {
			m, err := payload([]byte(text), isHex)
			if err != nil {
				err = usagef("message %d: %w", i+1, err)
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// payload turns a text into the bytes to be sent.
func payload(text []byte, isHex bool) ([]byte, error) {
	if !isHex {
		return text, nil
	}
	m, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		return nil, fmt.Errorf("%q: want pairs of hexadecimal digits", shortened(text))
	}
	return m, nil
}

// shortened is how errors quote what may be long.
func shortened(text []byte) []byte {
	const most = 40
	if len(text) <= most {
		return text
	}
	return append(bytes.Clone(text[:most]), "…"...)
}

// fileMessage is the whole of a file. It reads no more than one byte beyond limit.
func fileMessage(in io.Reader, name string, limit int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		m, err := readFile(in, name, limit)
		yield(m, err)
	}
}

func readFile(in io.Reader, name string, limit int) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		defer f.Close()
		in = f
	}
	m, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("--file %s: %w", name, err)
	case len(m) > limit:
		return nil, fmt.Errorf("--file %s: it is larger than the domain's largest message, %d bytes", name, limit)
	}
	return m, nil
}

// repeated yields all of the messages n times. Where one is wrong, it yields none.
func repeated(messages iter.Seq2[[]byte, error], n int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var list [][]byte
		for m, err := range messages {
			if err != nil {
				yield(nil, err)
				return
			}
			list = append(list, m)
		}
		for range n {
			for _, m := range list {
				if !yield(m, nil) {
					return
				}
			}
		}
	}
}

// line is one line read, or how the reading ended.
type line struct {
	text []byte
	err  error
}

// lineMessages yields each line as soon as it is there. A read cannot be broken
// off, so that it happens on a goroutine, which an interrupt leaves behind.
func lineMessages(ctx context.Context, in io.Reader, isHex bool, limit int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := make(chan line)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go readLines(ctx, in, limit, lines)
		for number := 1; ; number++ {
			var l line
			select {
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			case l = <-lines:
			}
			if errors.Is(l.err, io.EOF) {
				return
			}
			m, err := l.text, l.err
			if err == nil {
				m, err = payload(m, isHex)
			}
			if err != nil {
				err = fmt.Errorf("line %d: %w", number, err)
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// readLines hands out copies of the lines, without their line feeds and with
// all else, a carriage return too: a message is what was written.
func readLines(ctx context.Context, in io.Reader, limit int, lines chan<- line) {
	s := bufio.NewScanner(in)
	s.Buffer(nil, limit+1)
	s.Split(splitLine)
	for {
		l := line{err: io.EOF}
		if s.Scan() {
			l = line{text: bytes.Clone(s.Bytes())}
		} else if errors.Is(s.Err(), bufio.ErrTooLong) {
			l.err = fmt.Errorf("it is longer than the domain's largest message, %d bytes", limit)
		} else if s.Err() != nil {
			l.err = s.Err()
		}
		select {
		case <-ctx.Done():
			return
		case lines <- l:
		}
		if l.err != nil {
			return
		}
	}
}

func splitLine(data []byte, end bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if end && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
