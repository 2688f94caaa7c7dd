// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus/internal/tbusxml"
	"github.com/skybus-io/skybus/route"
	"github.com/skybus-io/skybus/shm"
)

// trelaymgrName is the name by which the binary is that tool.
const trelaymgrName = "trelaymgr"

const trelaymgrHelp = `trelaymgr writes, lists and tends the route table of this host: which addresses
live behind which other host. It reads trelaymgr.xml files as they are. The
table is named by its relay key: -k, or else the RelayShmKey of the file of -C.
Without -C and --delete it lists.

-C alone checks the file and shows what would change. With --write the rules of
the table become those of the file, at once for all domains that follow it. If
anything is wrong with the file, nothing is changed. The host that the domains
are on, which skybusd has named, stays named. Their daemons are told. One whose
own configuration lists routes writes those again: leave them out of it.

A file names no hosts: each is called by its HOST:PORT, with a _ for what a name
cannot have, so 10.0.0.2:7100 is host 10.0.0.2_7100. Relays with the same
HOST:PORT are of one host. A description keeps its first 95 bytes.

The number of --delete is that of the list; the numbers behind close up. A host
that no rule names any more goes with its last rule.`

// followRoutes tells the domains under root that name relayKey that the route
// table of that key was changed: their daemons have to look again. Processes
// read the table anew by themselves when they next ask for a way. It is called after
// every write that has succeeded, also one that changed nothing: the write before
// may have been cut off here.
var followRoutes = (*app).tellDaemons

// trelaymgr is one run of the tool.
type trelaymgr struct {
	*app
	relayKey domainKey // -k, or that of the file
	file     string
	write    bool
	delete   int

	cmd *cobra.Command
	xml *tbusxml.GRM // of file, or nil
}

func newTrelaymgrCommand(a *app) *cobra.Command {
	t := &trelaymgr{app: a}
	t.cmd = &cobra.Command{
		Use:   "trelaymgr [-C FILE | -k KEY] [action]",
		Short: "Tend the route table, with the options of tbus",
		Long:  trelaymgrHelp,
		Example: `  trelaymgr -C trelaymgr.xml
  trelaymgr -C trelaymgr.xml --write
  trelaymgr -k 2000
  trelaymgr -k 2000 --delete 2`,
		Args:              takes(0, 0, ""),
		ValidArgsFunction: oneOf(),
		RunE:              func(*cobra.Command, []string) error { return t.run() },
	}
	f := t.cmd.Flags()
	f.SortFlags = false
	f.VarP(&t.relayKey, "key", "k", "relay `KEY` of the table, 2000 or 0x7d0 (default that of the file)")
	f.StringVarP(&t.file, "conf-file", "C", "", "configuration `FILE`, which also names the relay key")
	f.BoolVarP(&t.write, "write", "W", false, "make the table's rules those of the file")
	f.IntVar(&t.delete, "delete", 0, "delete rule `N`")
	complete(t.cmd, "key", t.completeRelayKeys)
	return t.cmd
}

func (t *trelaymgr) run() error {
	if err := exclusive(t.cmd, "write", "delete"); err != nil {
		return err
	}
	if t.write && t.file == "" {
		return usagef("--write wants a file: -C FILE")
	}
	if err := t.readFile(); err != nil {
		return err
	}
	if t.relayKey == 0 {
		return usagef("which route table? name its relay key with -k KEY, or its file with -C FILE; %s", t.tablesHere())
	}
	switch {
	case t.cmd.Flags().Changed("delete"):
		return t.deleteRule()
	case t.xml != nil:
		return t.writeRules()
	}
	return t.listRules()
}

// key is the relay key, as package route has it.
func (t *trelaymgr) key() uint32 { return uint32(t.relayKey) }

// readFile reads the file, if one is named, and takes the key from it unless -k
// gives another.
func (t *trelaymgr) readFile() error {
	if t.file == "" {
		return nil
	}
	data, err := os.ReadFile(t.file)
	if err != nil {
		return fmt.Errorf("-C: %w", err)
	}
	if t.xml, err = tbusxml.ParseRelay(t.file, data); err != nil {
		return err
	}
	for _, w := range t.xml.Warnings {
		t.warnf("%s", printable(w.String()))
	}
	if t.relayKey == 0 {
		t.relayKey = domainKey(t.xml.Key)
	}
	return nil
}

// relayKeys lists the route tables of the root folder by their keys.
func (t *trelaymgr) relayKeys() []domainKey {
	entries, _ := os.ReadDir(t.rootDir()) // a folder that is not there has none
	var list []domainKey
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), "skybus-routes-")
		n, err := strconv.ParseUint(text, 10, 31)
		if ok && err == nil && n > 0 && e.IsDir() && strconv.FormatUint(n, 10) == text {
			list = append(list, domainKey(n))
		}
	}
	slices.Sort(list)
	return list
}

// tablesHere says which tables there are, for whoever named a wrong one.
func (t *trelaymgr) tablesHere() string {
	keys := t.relayKeys()
	if len(keys) == 0 {
		return "there is no route table in " + t.rootDir()
	}
	var names []string
	for _, k := range keys[:min(len(keys), maxNamed)] {
		names = append(names, k.String())
	}
	if len(keys) > maxNamed {
		names = append(names, fmt.Sprintf("%d more", len(keys)-maxNamed))
	}
	return fmt.Sprintf("in %s there is %s", t.rootDir(), strings.Join(names, ", "))
}

// completeRelayKeys offers the tables that are there, each with a word about it.
func (t *trelaymgr) completeRelayKeys(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var words []string
	for _, k := range t.relayKeys() {
		if !strings.HasPrefix(k.String(), begun) {
			continue
		}
		about := "cannot be read"
		if tab, err := route.Load(t.rootDir(), uint32(k)); err == nil {
			about = count(len(tab.Rules), "rule")
		}
		words = append(words, k.String()+"\t"+about)
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// hint adds to an error of package route what the user can do next.
func (t *trelaymgr) hint(err error) error {
	switch {
	case errors.Is(err, route.ErrNoTable):
		return hinted(err, "%s", t.tablesHere())
	case errors.Is(err, route.ErrDamaged):
		return hinted(err, "-C FILE --write makes it anew")
	}
	return err
}

// tellDomains lets the domains know of a table that is written.
func (t *trelaymgr) tellDomains() error {
	if err := followRoutes(t.app, t.rootDir(), t.key()); err != nil {
		return fmt.Errorf("route table %d is written, but not all domains know: %w", t.key(), err)
	}
	return nil
}

// deleteRule is --delete.
func (t *trelaymgr) deleteRule() error {
	if _, err := route.Load(t.rootDir(), t.key()); err != nil {
		return t.hint(err) // Update would make a folder for a table that is not there
	}
	var gone ruleObject
	err := route.Update(t.rootDir(), t.key(), shm.Keep, func(tab *route.Table) error {
		n := len(tab.Rules)
		switch {
		case n == 0:
			return fmt.Errorf("--delete %d: route table %d has no rules", t.delete, tab.Key)
		case t.delete < 1 || t.delete > n:
			return fmt.Errorf("--delete %d: route table %d has the rules 1 to %d", t.delete, tab.Key, n)
		}
		gone = ruleOf(tab.Clone(), t.delete, tab.Rules[t.delete-1])
		tab.Rules = slices.Delete(tab.Rules, t.delete-1, t.delete)
		if !slices.ContainsFunc(tab.Rules, func(r route.Rule) bool { return r.Host == gone.Host }) {
			tab.Hosts = slices.DeleteFunc(tab.Hosts, func(h route.Host) bool { return h.Name == gone.Host })
		}
		return nil
	})
	if err != nil {
		return t.hint(err)
	}
	if err := t.tellDomains(); err != nil {
		return err
	}
	return t.done(gone, "deleted rule %d, %s behind %s", gone.Number, gone.Prefix, gone.Host)
}
