// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
)

// The environment that stands in for flags.
const (
	envKey  = "SKYBUS_KEY"
	envRoot = "SKYBUS_ROOT"
)

// app is what all commands share: the flags that each of them has, and where
// they read and write. A command gets it when it is made and looks at the flags
// when it runs.
type app struct {
	name    string    // how the program was called; errors begin with it
	key     domainKey // -k; 0 while no domain is named
	root    string    // --root; empty means the environment's, or /dev/shm
	json    bool      // --json
	verbose bool      // -v
	in      io.Reader
	out     io.Writer
	errOut  io.Writer
	log     *slog.Logger
}

func newApp(name string, in io.Reader, out, errOut io.Writer) *app {
	a := &app{name: name, in: in, out: out, errOut: errOut}
	a.log = slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: a}))
	return a
}

// Level makes -v count for a logger that was made before flags were read.
func (a *app) Level() slog.Level {
	if a.verbose {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// domainKey is the value of -k: decimal, or hexadecimal as tbus writes keys.
type domainKey uint32

// Set reads a key. A leading zero does not make it octal.
func (k *domainKey) Set(s string) error {
	digits, base := strings.ToLower(s), 10
	if hex, ok := strings.CutPrefix(digits, "0x"); ok {
		digits, base = hex, 16
	}
	v, err := strconv.ParseUint(digits, base, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("key %q: want a number such as 1000 or 0x3e8", s)
	}
	if v < 1 || v > 1<<31-1 {
		return fmt.Errorf("key %s: want 1 to 2147483647", s)
	}
	*k = domainKey(v)
	return nil
}

func (k *domainKey) String() string {
	if *k == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(*k), 10)
}

// Type is what help calls the value.
func (k *domainKey) Type() string { return "KEY" }

// domainKey returns the key of -k or of the environment, 0 if neither names one.
func (a *app) domainKey() (domainKey, error) {
	if a.key != 0 || os.Getenv(envKey) == "" {
		return a.key, nil
	}
	var k domainKey
	if err := k.Set(os.Getenv(envKey)); err != nil {
		return 0, usagef("%s: %w", envKey, err)
	}
	return k, nil
}

// needKey is domainKey for commands that cannot do without.
func (a *app) needKey() (domainKey, error) {
	k, err := a.domainKey()
	if k == 0 && err == nil {
		return 0, usagef("which domain? name its key with -k KEY or in %s; %s", envKey, a.domainsHere())
	}
	return k, err
}

// rootDir returns the folder that holds the domains.
func (a *app) rootDir() string {
	switch {
	case a.root != "":
		return a.root
	case os.Getenv(envRoot) != "":
		return os.Getenv(envRoot)
	}
	return channel.DefaultRoot
}

// open opens the domain that the flags name. What opts says about making it
// counts unless MustExist is set.
func (a *app) open(opts skybus.Options) (*skybus.Domain, error) {
	k, err := a.needKey()
	if err != nil {
		return nil, err
	}
	opts.Root, opts.Logger = a.rootDir(), a.log
	d, err := skybus.Open(int(k), opts)
	if errors.Is(err, skybus.ErrNoDomain) {
		err = hinted(err, "%s", a.domainsHere())
	}
	return d, err
}

// openExisting opens the domain that the flags name, for a command that would
// be of no use in a new one.
func (a *app) openExisting() (*skybus.Domain, error) {
	return a.open(skybus.Options{MustExist: true})
}

// address reads an address the domain's way. What it names stands in the error.
func address(d *skybus.Domain, what, s string) (addr.Addr, error) {
	v, err := d.ParseAddr(s)
	switch {
	case err != nil:
		return 0, usagef("%s: %w", what, err)
	case v.IsNone():
		return 0, usagef("%s: %s is no address, nothing can be bound to it", what, s)
	}
	return v, nil
}

// printf writes to the standard output, warnf one line to the standard error. A
// failing output shows in the exit of whoever reads it.
func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }

func (a *app) warnf(format string, args ...any) {
	fmt.Fprintf(a.errOut, a.name+": "+format+"\n", args...)
}
