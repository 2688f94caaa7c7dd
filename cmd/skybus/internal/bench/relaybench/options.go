// SPDX-License-Identifier: Apache-2.0

package relaybench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/cmd/skybus/internal/ipcbench"
)

// Options say what to measure, and with what.
type Options struct {
	ipcbench.Options

	// Daemon is the relay daemon's binary; default: skybusd next to this
	// program's own.
	Daemon string
	// Links are the arguments that make this program print the state of a
	// domain's links as JSON; -k and --root are added.
	Links []string
	// TLS makes the daemons prove themselves, with certificates made for this.
	TLS bool

	// What RunMemory fills, in messages of each of Sizes.
	Lanes  int      // at most maxLanes
	Queued int64    // payload bytes in all lanes together
	Hold   []string // arguments that make this program call HoldPart
}

// maxLanes is how many RunMemory can address: so many destinations for each of
// its sources.
const maxLanes = sources * destinations

// Check says what is wrong with the options of Run.
func (o *Options) Check() error {
	if err := o.Options.Check(); err != nil {
		return err
	}
	return o.checkDaemon()
}

// CheckMemory says what is wrong with the options of RunMemory.
func (o *Options) CheckMemory() error {
	as := o.Options
	as.Mode, as.Rate = ipcbench.Throughput, 0
	if err := as.Check(); err != nil {
		return err
	}
	switch {
	case o.Lanes < 1 || o.Lanes > maxLanes:
		return fmt.Errorf("lanes %d: want 1 to %d", o.Lanes, maxLanes)
	case o.Queued < int64(o.Lanes):
		return fmt.Errorf("queued %d: want the bytes that wait in all %d lanes, at least one in each", o.Queued, o.Lanes)
	}
	return o.checkDaemon()
}

// checkDaemon finds the daemon, and an error that says where it was looked for
// is better than that of starting it.
func (o *Options) checkDaemon() error {
	path := o.Daemon
	if path == "" {
		exe, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find skybusd: %w", err)
		}
		path = filepath.Join(filepath.Dir(exe), "skybusd")
	}
	if !filepath.IsAbs(path) && filepath.Base(path) == path {
		path = "." + string(filepath.Separator) + path // a file, not something in PATH
	}
	path, err := exec.LookPath(path)
	if err != nil {
		return fmt.Errorf("skybusd: want the path of the relay daemon: %w", err)
	}
	o.Daemon = path
	return nil
}

func (o *Options) setDefaults() {
	if o.Warmup <= 0 {
		o.Warmup = max(o.Duration/5, 20*time.Millisecond)
	}
	if o.Root == "" {
		o.Root = channel.DefaultRoot
	}
}

// tls is how results call the state of the link.
func (o *Options) tls() string {
	if o.TLS {
		return "1.3"
	}
	return "off"
}

var errNoResult = errors.New("one of the processes ended before the measurement did")
