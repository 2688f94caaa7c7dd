// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// An AnswerError is the ERROR of a console.
type AnswerError struct{ Text string }

func (e *AnswerError) Error() string { return e.Text }

// longestAnswer bounds what a client holds of one, in bytes.
const longestAnswer = 64 << 20

// A Client is a program's connection with a console. Any goroutine may call its
// methods; commands run one after the other.
type Client struct {
	greeting string

	mu   sync.Mutex // held while a command runs
	conn net.Conn
	r    *bufio.Reader
	err  error // why the connection is of no use any more
}

// Dial connects with the console at an address as for ParseAddress. ctx bounds
// that, the greeting among it. Errors: *AnswerError when there are too many
// connections, what the system says.
func Dial(ctx context.Context, address string) (*Client, error) {
	network, at, err := ParseAddress(address)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, at)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	c := &Client{conn: conn, r: bufio.NewReader(conn)}
	if c.greeting, err = c.exchange(ctx, ""); err != nil {
		return nil, errors.Join(fmt.Errorf("console at %s: %w", address, err), conn.Close())
	}
	return c, nil
}

// Greeting returns what the console has said at first.
func (c *Client) Greeting() string { return c.greeting }

// Close ends the connection; a command that runs fails.
func (c *Client) Close() error { return c.conn.Close() }

// Do runs a command and returns its output, also together with an error, whole lines without
// the last one's end. Errors: *AnswerError is the console's, and the
// connection goes on; after all others, also ctx's, it is of no use.
func (c *Client) Do(ctx context.Context, line string) (string, error) {
	word, _ := cutWord(line)
	if err := checkLine(line); err != nil {
		return "", fmt.Errorf("console: %w", err)
	}
	switch {
	case word == "":
		return "", errors.New("console: the line is empty: want a command")
	case word == "prompt":
		return "", errors.New("console: command prompt: a Client has no prompt")
	}
	out, err := c.exchange(ctx, line+"\n")
	var answer *AnswerError
	if err != nil && !errors.As(err, &answer) {
		err = fmt.Errorf("console: %w", err)
	}
	return out, err
}

// exchange sends a line, unless it is empty, and returns the answer.
func (c *Client) exchange(ctx context.Context, line string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return "", c.err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() && c.err == nil { // the deadline may be set at any time now
			c.err = context.Cause(ctx)
		}
	}()
	if line != "" {
		_, c.err = io.WriteString(c.conn, line)
	}
	var out strings.Builder
	for c.err == nil {
		text, err := c.line()
		switch {
		case err != nil:
			c.err = err
		case text == statusOK:
			return strings.TrimSuffix(out.String(), "\n"), nil
		case isStatus(text):
			text = strings.TrimPrefix(strings.TrimPrefix(text, statusError), " ")
			return strings.TrimSuffix(out.String(), "\n"), &AnswerError{text}
		case out.Len()+len(text) > longestAnswer:
			c.err = fmt.Errorf("an answer of more than %d bytes", longestAnswer)
		default:
			if strings.HasPrefix(text, " ") && isStatus(strings.TrimLeft(text, " ")) {
				text = text[1:]
			}
			out.WriteString(text + "\n")
		}
	}
	if ctx.Err() != nil {
		c.err = context.Cause(ctx)
	}
	return out.String(), c.err
}

// line reads one, without its end.
func (c *Client) line() (string, error) {
	var b []byte
	for {
		part, err := c.r.ReadSlice('\n')
		b = append(b, part...)
		switch {
		case err == nil:
			return string(b[:len(b)-1]), nil
		case errors.Is(err, io.EOF):
			return "", fmt.Errorf("the console has ended the connection: %w", io.ErrUnexpectedEOF)
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		case len(b) > longestAnswer:
			return "", fmt.Errorf("a line of more than %d bytes", longestAnswer)
		}
	}
}
