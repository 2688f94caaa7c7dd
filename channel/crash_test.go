// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/internal/testutil"
)

// A scenario is a protocol in which a process is killed at each of its steps.
type scenario struct {
	name    string
	damaged bool           // there is a damaged lane
	durable bool           // lanes are durable
	setup   func(w *world) // in the test's process, which may keep a side open
	run     func(w *world) // in the process that is killed; it may have been begun before
	redo    func(w *world) // in the test's process: somebody completes what was cut off
}

func init() { children["crash"] = crashChild }

// crashChild runs scenario args[0] in the folder args[1] and dies before step
// args[2]; 0 is never, and then it prints the steps that it has passed.
func crashChild(args []string) {
	at, err := strconv.ParseUint(args[2], 10, 64)
	fatal(err)
	w := newWorld(args[1])
	w.durable = scenarioNamed(args[0]).durable
	var passed []string
	steps := uint64(0)
	invariant.SetHook(func(site string) {
		steps++
		w.led.set(ledgerSteps, steps)
		passed = append(passed, site)
		if steps == at {
			w.led.died(site)
			fatal(syscall.Kill(os.Getpid(), syscall.SIGKILL))
			select {}
		}
	})
	scenarioNamed(args[0]).run(w)
	invariant.SetHook(nil)
	if at == 0 {
		fmt.Println(strings.Join(passed, "\n"))
	}
}

func scenarioNamed(name string) *scenario {
	for i := range scenarios {
		if scenarios[i].name == name {
			return &scenarios[i]
		}
	}
	panic("no scenario " + name)
}

// TestKilledAtEveryStep kills a process before every single store of every
// protocol; then the others go on, a successor completes the work, and nothing
// is lost, doubled, torn or out of order.
func TestKilledAtEveryStep(t *testing.T) {
	top := testutil.Dir(t)
	visited := &sites{died: map[string]int{}}
	rng := testutil.Rand(t)
	ran := 0
	for i := range scenarios {
		s := &scenarios[i]
		t.Run(s.name, func(t *testing.T) {
			ran++
			c := &crash{t: t, scenario: s, top: filepath.Join(top, s.name), visited: visited}
			check(t, os.Mkdir(c.top, 0o700))
			c.all(rng)
		})
	}
	if !t.Failed() && ran == len(scenarios) { // -run may have picked some
		visited.complete(t)
	}
}

// sites counts the deaths at each step.
type sites struct {
	mu   sync.Mutex
	died map[string]int
}

func (s *sites) add(site string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.died[site]++
}

// A crash runs one scenario over and over.
type crash struct {
	t        *testing.T
	scenario *scenario
	top      string
	visited  *sites
}

// A death is where the process dies, and where the next one dies that runs the
// same again; 0 is never.
type death struct{ first, second int }

func (c *crash) all(rng *rand.Rand) {
	steps := c.one(death{})
	list := []death{}
	for n := 1; n <= steps; n++ {
		list = append(list, death{n, 0})
		again := 2
		if os.Getenv("SKYBUS_SOAK") != "" {
			again = 50
		}
		for range again {
			list = append(list, death{n, 1 + rng.IntN(steps)})
		}
	}
	work := make(chan death)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for d := range work {
				c.one(d)
			}
		})
	}
	for _, d := range list {
		work <- d
	}
	close(work)
	all.Wait()
	c.t.Logf("%d steps, %d runs", steps, len(list)+1)
}

// one runs the scenario once and returns how many steps it has.
func (c *crash) one(d death) (steps int) {
	place := ""
	defer func() {
		if p := recover(); p != nil {
			c.t.Errorf("killed at step %d%s: %v", d.first, place, p)
		}
	}()
	root, err := os.MkdirTemp(c.top, "")
	fatal(err)
	defer os.RemoveAll(root)
	w := newWorld(root)
	w.durable = c.scenario.durable
	defer w.led.close()
	defer w.leave()
	if c.scenario.setup != nil {
		c.scenario.setup(w)
	}
	steps = c.kill(w, d.first)
	place = " (" + w.led.site() + ")"
	if d.second != 0 {
		c.kill(w, d.second)
		place += " and " + strconv.Itoa(d.second) + " (" + w.led.site() + ")"
	}
	aftermath(w, c.scenario)
	return steps
}

// kill runs the scenario's process until it dies before step n.
func (c *crash) kill(w *world, n int) (steps int) {
	w.led.died("")
	var out, errs bytes.Buffer
	cmd := child("crash", c.scenario.name, w.root, strconv.Itoa(n))
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	if err != nil && !killed {
		panic(fmt.Sprintf("the process failed by itself: %v\n%s", err, errs.Bytes()))
	}
	if killed {
		c.visited.add(w.led.site())
	}
	return len(strings.Fields(out.String()))
}
