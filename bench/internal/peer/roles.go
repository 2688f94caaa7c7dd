// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// StartRole runs this program again as another process of a measurement of more than two: a server, or
// something in the way. It gets --child, --role and the same flags, and tells by Tell when it is ready. It
// ends as the second process does.
func StartRole(role string, lead ...string) *Second {
	cmd := again(lead, "--child", "--role", role)
	stdout, err := cmd.StdoutPipe()
	Must("pipe", err)
	s := launch(cmd)
	s.out = bufio.NewReader(stdout)
	return s
}

// Tell is how a role hands one line to whoever started it.
func Tell(line string) { fmt.Println(line) }

// Told returns the next line that the role tells; the program ends if it ends without one.
func (s *Second) Told() string {
	line, err := s.out.ReadString('\n')
	Must("hear from "+strings.Join(s.cmd.Args[1:], " "), err)
	return strings.TrimSpace(line)
}

// again is this program with the same flags and more.
func again(lead []string, more ...string) *exec.Cmd {
	args := append(append([]string{}, lead...), os.Args[1+len(lead):]...)
	cmd := exec.Command(os.Args[0], append(args, more...)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// launch starts a process that ends when its standard input does.
func launch(cmd *exec.Cmd) *Second {
	stdin, err := cmd.StdinPipe()
	Must("pipe", err)
	Must("start another process", cmd.Start())
	return &Second{cmd: cmd, stdin: stdin}
}
