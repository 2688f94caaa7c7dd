// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus/console"
	"github.com/skybus-io/skybus/internal/sys"
)

// answerPatience is how long a process may take to say what services it has.
const answerPatience = time.Second

const servicesHelp = `services asks the consoles of this host for their processes and services. Without an
ADDRESS it asks those in $` + console.EnvRun + `, or else in $XDG_RUNTIME_DIR/skybus and in
/tmp/skybus-UID: there a program puts the socket of a console that it gives no
address, console.Listen(ctx, ""). The one in ` + envConsole + ` is asked, too. The
superuser's command asks those of all users. An ADDRESS is the path of a socket or
HOST:PORT, as for skybus console.

PROCESS is the number of the process, as it sees itself; with skybus console its socket
PROCESS.sock in that folder can be asked for more. PROGRAM is what the process calls
itself, NODE the address in its PIDs, if it has one. WAITING counts messages in the
mailbox, HANDLED those that were taken from it.

A process that does not answer within a second is told on the standard error, and
does not hold up the others; if none answers, the exit code is 1. Of very many
services of a process the first are listed; the command list of its console picks
some.`

func newServicesCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "services [ADDRESS...]",
		Short:             "List the processes and services of this host",
		Long:              servicesHelp,
		Example:           "  skybus services\n  skybus services --json\n  skybus services /run/arena/console.sock 127.0.0.1:8000",
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.consoles(args)
			if err != nil {
				return err
			}
			processes := p.ask(cmd.Context(), "")
			switch {
			case cmd.Context().Err() != nil:
				return errInterrupted
			case len(processes) == 0 && !a.json:
				a.printf("%s\n", p.empty())
				return nil
			}
			return a.listServices(processes)
		},
	}
}

// completeFiles leaves the completion to the shell: sockets are files.
func completeFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// places are the consoles to ask.
type places struct {
	named []string // by the user
	found []string // in dirs
	dirs  []string
}

// consoles returns the consoles that are named, or all that are where they should be.
func (a *app) consoles(named []string) (places, error) {
	for _, address := range named {
		if _, _, err := console.ParseAddress(address); err != nil {
			return places{}, usagef("ADDRESS: %w", err)
		}
	}
	if len(named) > 0 {
		return places{named: named}, nil
	}
	p := places{dirs: console.Dirs()}
	if address := os.Getenv(envConsole); address != "" {
		if _, _, err := console.ParseAddress(address); err != nil {
			return places{}, usagef("%s: %w", envConsole, err)
		}
		p.named = []string{address}
	}
	for _, dir := range p.dirs {
		found, err := console.Sockets(dir)
		if err != nil {
			a.warnf("%s", printable(err.Error()))
		}
		p.found = append(p.found, found...)
	}
	p.found = slices.DeleteFunc(p.found, func(f string) bool { return slices.Contains(p.named, f) })
	return p, nil
}

// empty says that there is nothing, and what to do.
func (p places) empty() string {
	return fmt.Sprintf("no program has a console in %s; one is there when the program calls console.Listen with an empty address, "+
		"and others can be named by their ADDRESS", strings.Join(p.dirs, " or "))
}

// process is what a console says of its process.
type process struct {
	console.Process
	address string
	err     error
}

// ask asks all consoles at once for all services, or for the one that is meant. The answers
// are in the order of the addresses, without those of the dead: a process that was
// killed leaves its socket behind.
func (p places) ask(ctx context.Context, target string) []process {
	list := make([]process, len(p.named)+len(p.found))
	var all sync.WaitGroup
	for i, address := range slices.Concat(p.named, p.found) {
		all.Go(func() { list[i] = askOne(ctx, address, target) })
	}
	all.Wait()
	alive := slices.DeleteFunc(list[len(p.named):], func(v process) bool {
		return sys.Refused(v.err) || errors.Is(v.err, fs.ErrNotExist)
	})
	return list[:len(p.named)+len(alive)]
}

func askOne(ctx context.Context, address, target string) process {
	v := process{address: address}
	bounded, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	c, err := console.Dial(bounded, address)
	if err == nil {
		defer c.Close()
		v.Process, err = c.Process(bounded, target)
	}
	if err == nil && target != "" && len(v.Services) != 1 {
		err = fmt.Errorf("it lists %s for the one that is asked for: is it a console?", count(len(v.Services), "service"))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v: it is stopped, or no console", answerPatience)
	}
	if v.err = err; err != nil {
		v.Services = []console.Service{} // null would be no list
	}
	return v
}

// title is what a process calls itself, or else the name of its program.
func (v *process) title() string {
	if v.Name == console.DefaultName {
		return v.Program
	}
	return v.Name
}

// serviceProcess is a process in JSON.
type serviceProcess struct {
	Address string `json:"address"` // of the console
	console.Process
	Error string `json:"error,omitzero"` // why nothing else is known
}

func (a *app) listServices(processes []process) error {
	t := newTable(">PROCESS", "PROGRAM", "NODE", "SERVICE", "NAME", "STATE", ">WAITING", ">HANDLED")
	objects := []serviceProcess{}
	for i := range processes {
		v := &processes[i]
		objects = append(objects, serviceProcess{v.address, v.Process, errorText(v.err)})
		number := strconv.Itoa(v.PID)
		switch {
		case v.err != nil:
			a.warnf("%s: %s", printable(v.address), printable(v.err.Error()))
			continue
		case len(v.Services) == 0:
			t.row(number, v.title(), orDash(v.Node), "-", "-", "-", "-", "-")
		}
		for _, s := range v.Services {
			t.row(number, v.title(), orDash(v.Node), s.PID, orDash(s.Name), s.State, strconv.Itoa(s.Waiting), strconv.FormatUint(s.Handled, 10))
		}
		if more := v.Total - len(v.Services); more > 0 {
			a.warnf("process %d has %d more services: skybus console %s -c 'list WORD' picks some", v.PID, more, printable(v.address))
		}
	}
	mute := len(processes) > 0 && len(t.rows) == 0 // all of them
	if mute && !a.json {
		return errShown
	}
	if err := list(a, objects, t); err != nil || !mute {
		return err
	}
	return errShown
}
