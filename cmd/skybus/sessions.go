// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/vault"
)

func newSessionsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "sessions [HOME...]",
		Short: "List the client sessions that gates keep for a resume",
		Long: `sessions shows what the gates of a domain keep in shared memory so that clients which
have lost their connection can come back, also after the gate's process was killed. It
reads that memory, asks nobody, and stops nobody. HOME is the address of a gate; without
it all are shown. A gate without resume keeps nothing; its console knows its sessions.

First the homes: GATE is alive, dead (its process ended without closing it) or closed;
PROCESS is the one that has the home now, which may be another gate that has adopted
it. LIVE sessions had a connection when their gate last said so, AWAY ones may come
back, ENDED ones are over, and their service is still to be told. DAMAGED places cost
their session; the exit code is 1 then. AGE is that of the memory.

Then the sessions: AWAY is for how long the client has been away; EPOCH grows with each
resume; IN counts packets of the client that its service was sent, OUT numbered
packets for the client. KEPT of these, of BYTES, can be sent again. When a session
began is not kept.`,
		Example:           "  skybus sessions -k 1000\n  skybus sessions -k 1000 0.0.1.1 --json",
		ValidArgsFunction: a.completeHomes,
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := a.openExisting()
			if err != nil {
				return err
			}
			defer d.Close()
			homes, err := homesOf(d, args)
			if err != nil {
				return err
			}
			return a.listSessions(d, homes, len(args) > 0)
		},
	}
}

// homesOf returns the homes that are named, or all that have a vault.
func homesOf(d *skybus.Domain, named []string) ([]addr.Addr, error) {
	if len(named) == 0 {
		return vault.Homes(d.Table().Folder())
	}
	var list []addr.Addr
	for _, s := range named {
		at, err := address(d, "HOME", s)
		if err != nil {
			return nil, err
		}
		list = append(list, at)
	}
	return list, nil
}

// listSessions shows the homes that can be read, and says what is wrong with the others.
func (a *app) listSessions(d *skybus.Domain, homes []addr.Addr, named bool) error {
	objects, wrong := []homeObject{}, false
	for _, at := range homes {
		s, err := vault.Inspect(d.Table().Folder(), at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !named:
			continue // it was removed just now
		case errors.Is(err, fs.ErrNotExist):
			err = fmt.Errorf("no gate keeps sessions at %s; %s", d.FormatAddr(at), homesHere(d))
		}
		if err != nil {
			a.warnf("%s", printable(err.Error()))
			wrong = true
			continue
		}
		o := homeOf(d, s)
		for _, v := range o.Damage {
			a.warnf("%s: slot %d, session %s: %s", o.Home, v.Slot, orDash(v.Session), printable(v.What))
			wrong = true
		}
		objects = append(objects, o)
	}
	if len(homes) == 0 && !a.json {
		a.printf("no gate of domain %d keeps sessions: those that are started with a gate.Config.Resume do\n", d.Key())
		return nil
	}
	err := a.printHomes(objects)
	if err == nil && wrong {
		return errShown
	}
	return err
}

// homesHere says where there are vaults, for who has asked for another one.
func homesHere(d *skybus.Domain) string {
	homes, err := vault.Homes(d.Table().Folder())
	if err != nil || len(homes) == 0 {
		return fmt.Sprintf("none of domain %d does", d.Key())
	}
	var list []string
	for _, at := range homes[:min(len(homes), 8)] {
		list = append(list, d.FormatAddr(at))
	}
	if more := len(homes) - len(list); more > 0 {
		list = append(list, fmt.Sprintf("%d more", more))
	}
	return "gates do at " + strings.Join(list, ", ")
}

// completeHomes offers the homes that have a vault.
func (a *app) completeHomes(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	d, err := a.openExisting()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer d.Close()
	var words []string
	homes, _ := vault.Homes(d.Table().Folder())
	for _, at := range homes {
		text := d.FormatAddr(at)
		if strings.HasPrefix(text, begun) && !slices.Contains(args, text) {
			words = append(words, text)
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
