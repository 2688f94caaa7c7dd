// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// The bytes of telnet's commands, RFC 854.
const (
	telnetSE   = 240 // the end of a subnegotiation
	telnetSB   = 250 // its beginning
	telnetWill = 251 // from here to DONT an option follows
	telnetDont = 254
	telnetIAC  = 255 // begins a command; two of them are a byte of text
)

// A lineTooLong is a line that was passed over.
type lineTooLong struct{ max int }

func (e *lineTooLong) Error() string {
	return fmt.Sprintf("the line is longer than %d bytes", e.max)
}

// lines reads lines, without their ends and telnet's commands.
type lines struct {
	r      *bufio.Reader
	max    int // bytes of a line
	buf    []byte
	cr     bool // the last byte was \r: \n or NUL behind it belongs to it
	crlf   bool // the last line ended with \r
	telnet bool // a command of telnet has come
}

func newLines(r io.Reader, longest int) *lines {
	return &lines{r: bufio.NewReader(r), max: longest}
}

// next returns the next line, the last one also without its end. Errors:
// *lineTooLong, after which it goes on, and those of the reader.
func (l *lines) next() (string, error) {
	l.buf = l.buf[:0]
	long := false
	for {
		b, err := l.text()
		after := l.cr
		l.cr = false
		switch {
		case errors.Is(err, io.EOF) && (long || len(l.buf) > 0):
			return l.line(long)
		case err != nil:
			return "", err
		case after && (b == '\n' || b == 0):
		case b == '\n' || b == '\r':
			l.cr = b == '\r'
			l.crlf = l.cr
			return l.line(long)
		case len(l.buf) == l.max:
			long = true
		default:
			l.buf = append(l.buf, b)
		}
	}
}

func (l *lines) line(long bool) (string, error) {
	if long {
		return "", &lineTooLong{l.max}
	}
	return string(l.buf), nil
}

// text returns the next byte that is none of a telnet command.
func (l *lines) text() (byte, error) {
	for {
		b, err := l.r.ReadByte()
		if err != nil || b != telnetIAC {
			return b, err
		}
		l.telnet = true
		if b, err = l.r.ReadByte(); err != nil || b == telnetIAC {
			return b, err
		}
		if err := l.skip(b); err != nil {
			return 0, err
		}
	}
}

// skip passes over what belongs to the telnet command b.
func (l *lines) skip(b byte) error {
	switch {
	case b >= telnetWill && b <= telnetDont:
		_, err := l.r.ReadByte()
		return err
	case b != telnetSB:
		return nil
	}
	for last := byte(0); ; {
		b, err := l.r.ReadByte()
		switch {
		case err != nil:
			return err
		case last == telnetIAC && b == telnetSE:
			return nil
		case last == telnetIAC:
			b = 0 // two of them are none
		}
		last = b
	}
}

// checkLine refuses what no terminal and no program means.
func checkLine(line string) error {
	if !utf8.ValidString(line) {
		return errors.New("the line is no UTF-8: want text")
	}
	if i := strings.IndexFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
		return fmt.Errorf("the line has the control character %q at byte %d: want text", line[i], i)
	}
	return nil
}

// blanks separate words.
const blanks = " \t"

// cutWord returns the first word of a line, and the rest without blanks around it.
func cutWord(line string) (word, rest string) {
	line = strings.Trim(line, blanks)
	if i := strings.IndexAny(line, blanks); i >= 0 {
		return line[:i], strings.TrimLeft(line[i:], blanks)
	}
	return line, ""
}

// split returns the words of a line. Quotes keep blanks, and may be in the middle of
// a word: '...' takes what is inside as it is; in "..." and outside, a backslash takes the next
// character as it is.
func split(line string) (words []string, err error) {
	var word []byte
	begun, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		b := line[i]
		switch {
		case b == '\\' && quote != '\'':
			if i++; i == len(line) {
				return nil, errors.New("the line ends with a backslash: want a character behind it")
			}
			word, begun = append(word, line[i]), true
		case quote != 0 && b == quote:
			quote = 0
		case quote != 0:
			word = append(word, b)
		case b == '"' || b == '\'':
			quote, begun = b, true
		case strings.IndexByte(blanks, b) < 0:
			word, begun = append(word, b), true
		case begun:
			words, word, begun = append(words, string(word)), word[:0], false
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is open: want another one", quote)
	}
	if begun {
		words = append(words, string(word))
	}
	return words, nil
}
