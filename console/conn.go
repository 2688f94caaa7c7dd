// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
)

// A conn is a connection. Its goroutine alone uses it, but for what netstat reads.
type conn struct {
	k       *Console
	nc      net.Conn
	at      net.Addr // of the listener
	in      *lines
	timeout time.Duration // of calls
	prompt  bool          // wanted

	// For netstat.
	number   uint64
	since    time.Time
	doing    atomic.Pointer[string] // the command that runs
	commands atomic.Uint64
	received atomic.Uint64
	sent     atomic.Uint64
}

func (k *Console) newConn(nc net.Conn, at net.Addr) *conn {
	c := &conn{k: k, nc: nc, at: at, timeout: k.cfg.Timeout, since: time.Now()}
	c.in = newLines(c, k.cfg.MaxLine)
	return c
}

// Read counts what comes.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.nc.Read(p)
	c.received.Add(uint64(n))
	return n, err
}

// serve runs commands until the other side or ctx ends that.
func (c *conn) serve(ctx context.Context) {
	defer c.nc.Close()
	defer context.AfterFunc(ctx, func() { _ = c.nc.Close() })()
	out := &output{max: c.k.cfg.MaxOutput}
	out.printf("%s, process %d: help lists the commands\n", c.k.cfg.Name, os.Getpid())
	for more := c.send(out, "", nil); more; {
		more = c.step(ctx)
	}
}

// step takes a line and answers it. It reports whether the connection goes on.
func (c *conn) step(ctx context.Context) (more bool) {
	if c.k.cfg.Idle > 0 {
		_ = c.nc.SetReadDeadline(time.Now().Add(c.k.cfg.Idle))
	}
	line, err := c.in.next()
	var long *lineTooLong
	out := &output{max: c.k.cfg.MaxOutput}
	switch {
	case errors.As(err, &long):
		return c.send(out, "", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c.bye(out, fmt.Errorf("no line came for %v: the connection ends", c.k.cfg.Idle))
	case err != nil:
		return false
	case strings.Trim(line, blanks) == "":
		return c.write(c.promptText())
	case c.commands.Load() == 0 && isHTTP(line):
		return c.bye(out, errors.New("a web browser, or what speaks HTTP, is not served"))
	}
	name, err := c.run(ctx, out, line)
	if errors.Is(err, errExit) {
		return c.bye(out, nil)
	}
	return c.send(out, name, err)
}

// isHTTP reports whether a first line is that of a web request: a page that a browser
// shows could make it talk to a loopback port.
func isHTTP(line string) bool {
	method, _ := cutWord(line)
	return method == strings.ToUpper(method) && strings.HasPrefix(line[strings.LastIndexByte(line, ' ')+1:], "HTTP/")
}

// run runs a command. name is who reports an error, if there is one.
func (c *conn) run(ctx context.Context, out *output, line string) (name string, err error) {
	c.commands.Add(1)
	if err := checkLine(line); err != nil {
		return "", err
	}
	name, rest := cutWord(line)
	c.doing.Store(&name)
	defer c.doing.Store(nil)
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v, at %s", v, panicPlace(string(debug.Stack())))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if b := builtin(name); b != nil {
		return name, b.run(&request{ctx: ctx, k: c.k, c: c, out: out, rest: rest})
	}
	p, ok := c.k.program(name)
	if !ok {
		return "", fmt.Errorf("there is no command %.40q: help lists them", name)
	}
	args, err := split(rest)
	if err != nil {
		return name, err
	}
	return name, p.Run(ctx, out, args)
}

// panicPlace returns where the panic of a stack trace was: file and line of the first
// function that is not the Go runtime's.
func panicPlace(stack string) string {
	_, below, _ := strings.Cut(stack, "\npanic(")
	lines := strings.Split(below, "\n")
	for i := 2; i+1 < len(lines); i += 2 {
		if !strings.HasPrefix(lines[i], "runtime.") {
			place, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " +0x")
			return place
		}
	}
	return "an unknown place"
}

// send sends an answer. It reports whether that went out in time.
func (c *conn) send(out *output, name string, err error) bool {
	return c.write(append(out.answer(name, err, c.end()), c.promptText()...))
}

// bye sends the last answer. It reports false, for the connection does not go on.
func (c *conn) bye(out *output, err error) bool {
	c.write(out.answer("", err, c.end()))
	return false
}

// end is how lines end, as the other side has it.
func (c *conn) end() string {
	if c.in.crlf {
		return "\r\n"
	}
	return "\n"
}

// promptText is the prompt if the other side is somebody who wants it.
func (c *conn) promptText() []byte {
	if !c.prompt && !c.in.telnet {
		return nil
	}
	return []byte(c.k.cfg.Name + "> ")
}

func (c *conn) write(p []byte) bool {
	if len(p) == 0 {
		return true
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(c.k.cfg.Patience))
	n, err := c.nc.Write(p)
	c.sent.Add(uint64(n))
	return err == nil
}

// attachment is what netstat says of the connection.
func (c *conn) attachment() Attachment {
	a := Attachment{
		Kind: "console", Local: c.at.String(), Remote: c.nc.RemoteAddr().String(), State: "waits",
		Since: c.since, Received: c.received.Load(), Sent: c.sent.Load(),
		Note: fmt.Sprintf("#%d, %d commands", c.number, c.commands.Load()),
	}
	if name := c.doing.Load(); name != nil {
		a.State = "runs " + *name
	}
	return a
}
