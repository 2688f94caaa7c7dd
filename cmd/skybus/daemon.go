// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/relay"
)

// What a daemon can be asked, and what the state of a link can be.
const (
	askStatus = "status"
	askReload = "reload"
	askRoutes = "routes"
	askStop   = "stop"

	linkUp  = "up"
	linkOut = "out"
)

const daemonHelp = `skybusd is the daemon that relays a domain's messages to other hosts. It answers
questions at a socket in the folder of its domain, to whoever may use the
domain. Local messages need no daemon.`

func newDaemonCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "daemon",
		Short: "Tend the relay daemon of the domain, and make certificates for it",
		Long:  daemonHelp,
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDaemonStatusCommand(a), newDaemonReloadCommand(a), newDaemonStopCommand(a), newDaemonCertsCommand(a))
	return cmd
}

// ask puts a question to the daemon of a domain. The answer is nil where the
// question is a request.
func ask(d *skybus.Domain, do string) (*relay.Status, error) {
	s, err := relay.Ask(d.Table().Folder(), do)
	switch {
	case err != nil:
		return nil, noAnswer(d, err)
	case s == nil && do == askStatus:
		return nil, fmt.Errorf("the relay daemon of domain %d says nothing of itself", d.Key())
	}
	return s, nil
}

// noAnswer says why the daemon of a domain has not answered.
func noAnswer(d *skybus.Domain, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the relay daemon of domain %d cannot be asked: %w", d.Key(), cause(err))
	case errors.Is(err, relay.ErrNoDaemon) && d.Table().RelayBound():
		return fmt.Errorf("the relay of domain %d does not answer, it begins or ends: %w", d.Key(), cause(err))
	case errors.Is(err, relay.ErrNoDaemon):
		return &noDaemonError{d.Key()}
	}
	return askFailed(d.Key(), err)
}

// askFailed names the daemon that did not answer, or not with what it should.
func askFailed(key int, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the relay daemon of domain %d is there and does not answer: %w", key, cause(err))
	}
	return fmt.Errorf("domain %d: %w", key, err)
}

// cause returns the innermost error along the last ones that errors wrap: what the
// system said.
func cause(err error) error {
	for {
		switch e := err.(type) { //nolint:errorlint // it unwraps
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			list := e.Unwrap()
			err = list[len(list)-1]
		default:
			return err
		}
	}
}

// noDaemonError says how to start one.
type noDaemonError struct{ key int }

func (e *noDaemonError) Error() string {
	return fmt.Sprintf("no relay daemon runs for domain %d; start one: skybusd --config skybusd.yaml (skybusd --example writes such a file)", e.key)
}

func (e *noDaemonError) Is(err error) bool { return err == relay.ErrNoDaemon }

func newDaemonStatusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say who the relay daemon of the domain is",
		Long: `status says which process is the relay daemon of the domain, which host it is
for the others, and how many of its links are up. skybus links tells about
each of them. Without a daemon the exit code is 1.`,
		Example:           "  skybus daemon status -k 1000",
		Args:              takes(0, 0, ""),
		ValidArgsFunction: oneOf(),
		RunE: func(*cobra.Command, []string) error {
			d, err := a.openExisting()
			if err != nil {
				return err
			}
			defer d.Close()
			return a.daemonStatus(d)
		},
	}
}

// daemonObject is a daemon in JSON.
type daemonObject struct {
	Domain  int    `json:"domain"`
	PID     int    `json:"pid"`
	Host    string `json:"host"`
	Listen  string `json:"listen"` // empty: no other host can connect
	Key     uint32 `json:"relay_key"`
	Routes  uint64 `json:"routes_generation"` // 0: there is no route table
	Refused uint64 `json:"refused_connections"`
	Up      int    `json:"links_up"`    // connections to other hosts
	Links   int    `json:"links"`       // those that there are to be
	Guests  int    `json:"links_in_up"` // connections from other hosts
	Lanes   int    `json:"lanes"`       // that it carries to other hosts
}

func (a *app) daemonStatus(d *skybus.Domain) error {
	s, err := ask(d, askStatus)
	if err != nil {
		return err
	}
	o := daemonObject{Domain: d.Key(), PID: s.PID, Host: s.Host, Listen: s.Listen, Key: s.RelayKey, Routes: s.Routes, Refused: s.Refused, Lanes: len(s.Hops)}
	o.Up, o.Links, o.Guests = linksUp(s)
	if a.json {
		return a.object(o, "  ")
	}
	routes := fmt.Sprintf("relay key %d, generation %d", o.Key, o.Routes)
	if o.Routes == 0 {
		routes = fmt.Sprintf("relay key %d, no table is there", o.Key)
	}
	a.fields(
		"daemon", fmt.Sprintf("PID %d, for domain %d", o.PID, o.Domain),
		"host", o.Host,
		"listens at", orDash(o.Listen),
		"routes", routes,
		"links", fmt.Sprintf("%d of %d up, %d from other hosts", o.Up, o.Links, o.Guests),
		"lanes", fmt.Sprintf("%d to other hosts", o.Lanes),
		"refused", count(o.Refused, "connection"))
	return nil
}

// linksUp counts the connections to other hosts that are up, all of those, and
// those from other hosts that are up.
func linksUp(s *relay.Status) (up, of, in int) {
	for i := range s.Links {
		l := &s.Links[i]
		switch {
		case l.Direction != linkOut && l.State == linkUp:
			in++
		case l.Direction == linkOut && l.State == linkUp:
			up++
			of++
		case l.Direction == linkOut:
			of++
		}
	}
	return up, of, in
}

func newDaemonReloadCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have the relay daemon read its configuration again",
		Long: `reload has the daemon of the domain read its configuration, its routes and its
certificates again, as SIGHUP does. What is wrong with them stands in the daemon's
log; then it goes on with what it had.`,
		Example:           "  skybus daemon reload -k 1000",
		Args:              takes(0, 0, ""),
		ValidArgsFunction: oneOf(),
		RunE: func(*cobra.Command, []string) error {
			d, err := a.openExisting()
			if err != nil {
				return err
			}
			defer d.Close()
			s, err := ask(d, askStatus)
			if err != nil {
				return err
			}
			if _, err := ask(d, askReload); err != nil {
				return err
			}
			return a.done(askedObject{d.Key(), s.PID}, "the daemon of domain %d (PID %d) reads its configuration again; its log says what comes of it", d.Key(), s.PID)
		},
	}
}

// askedObject says in JSON which daemon has done what it was asked for.
type askedObject struct {
	Domain int `json:"domain"`
	PID    int `json:"pid"`
}

func newDaemonStopCommand(a *app) *cobra.Command {
	patience := 10 * time.Second
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "End the relay daemon of the domain",
		Long: `stop ends the daemon of the domain in good order, as SIGTERM does, and waits until
it has gone. What waits in the lanes stays there and goes on with the next daemon.`,
		Example:           "  skybus daemon stop -k 1000",
		Args:              takes(0, 0, ""),
		ValidArgsFunction: oneOf(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if patience < 0 {
				return usagef("--timeout %s: want 0s or more", patience)
			}
			d, err := a.openExisting()
			if err != nil {
				return err
			}
			defer d.Close()
			return a.daemonStop(cmd.Context(), d, patience)
		},
	}
	cmd.Flags().DurationVar(&patience, "timeout", patience, "how `LONG` to wait for its end; 0s does not wait")
	return cmd
}

func (a *app) daemonStop(ctx context.Context, d *skybus.Domain, patience time.Duration) error {
	s, err := ask(d, askStatus)
	if err != nil {
		return err
	}
	if _, err := ask(d, askStop); err != nil {
		return err
	}
	if patience == 0 {
		return a.done(askedObject{d.Key(), s.PID}, "the daemon of domain %d (PID %d) was told to end", d.Key(), s.PID)
	}
	for end := time.Now().Add(patience); d.Table().RelayBound(); {
		if time.Now().After(end) {
			return fmt.Errorf("the daemon of domain %d (PID %d) was told to end, and has not after %s", d.Key(), s.PID, patience)
		}
		select {
		case <-ctx.Done():
			return errInterrupted
		case <-time.After(10 * time.Millisecond):
		}
	}
	return a.done(askedObject{d.Key(), s.PID}, "the daemon of domain %d (PID %d) has ended", d.Key(), s.PID)
}

// tellDaemons has the daemon of each domain under root that follows the route
// table relayKey look at it at once. A domain without a daemon is none to tell, one
// that this user may not use is warned of. The daemons would see the change by
// themselves, a second later.
func (a *app) tellDaemons(root string, relayKey uint32) error {
	here := *a
	here.root = root
	keys, err := here.keys()
	if err != nil {
		return err
	}
	var errs []error
	for _, k := range keys {
		err := here.tellDaemon(k, relayKey)
		if errors.Is(err, fs.ErrPermission) {
			a.warnf("domain %s was not told of the change: %s", k.String(), printable(err.Error()))
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (a *app) tellDaemon(k domainKey, relayKey uint32) error {
	folder := channel.Dir(a.rootDir(), uint32(k))
	if _, err := os.Stat(filepath.Join(folder, channel.DaemonSocket)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	d, err := skybus.Open(int(k), skybus.Options{Root: a.rootDir(), MustExist: true, Logger: a.log})
	if errors.Is(err, skybus.ErrNoDomain) {
		return nil // removed meanwhile
	}
	if err != nil {
		return fmt.Errorf("domain %s: %w", k.String(), err)
	}
	defer d.Close()
	if d.Table().RelayKey() != relayKey {
		return nil
	}
	_, err = relay.Ask(folder, askRoutes)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return cause(err)
	case err == nil, errors.Is(err, relay.ErrNoDaemon):
		return nil
	}
	return askFailed(int(k), err)
}
