// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// The groups of commands in the help.
const (
	groupLook = "look"
	groupMove = "move"
	groupTend = "tend"
)

const rootHelp = `skybus shows and tends the message domains of this host.

A domain is one bus, named by a key. Processes bind addresses in it and send to
addresses; the messages from one address to another wait in a lane, which is a
file in shared memory and belongs to no process. No server runs: this tool maps
what the processes map, also after they have crashed. To other hosts messages go
through skybusd, one a host, which links, hosts, trace, cluster and daemon ask.

Try it, in two terminals:

  skybus recv -k 1000 --follow 0.0.0.2
  skybus send -k 1000 --src 0.0.0.1 0.0.0.2 hello

The domain is named by -k or ` + envKey + `; domains are looked for in --root,
` + envRoot + `, or /dev/shm. Addresses are written the way the domain writes
them, such as 0.0.0.1.

With --json, a listing is one array and one thing is one object, with exact
numbers; what goes on without end (recv, tail, --watch) is one object a line.
Sizes in text are short: 64K is 65536 bytes.

Exit codes: 0 done, 1 failed, 2 the command line was wrong, 130 interrupted
before it was done.`

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "skybus",
		Short: "Show and tend the message domains of this host",
		Long:  rootHelp,
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	asRoot(a, root)
	root.AddGroup(
		&cobra.Group{ID: groupLook, Title: "Look (nobody is disturbed):"},
		&cobra.Group{ID: groupMove, Title: "Send and receive:"},
		&cobra.Group{ID: groupTend, Title: "Tend:"})
	addGroup(root, groupLook, newLsCommand(a), newShowCommand(a), newStatCommand(a), newTopCommand(a), newTailCommand(a), newCheckCommand(a),
		newLinksCommand(a), newTraceCommand(a), newRoutesCommand(a), newHostsCommand(a), newServicesCommand(a), newNamesCommand(a), newSessionsCommand(a))
	addGroup(root, groupMove, newSendCommand(a), newRecvCommand(a), newCallCommand(a), newDemoCommand(a), newBenchCommand(a))
	addGroup(root, groupTend, newTbusmgrCommand(a), newTrelaymgrCommand(a), newDaemonCommand(a), newClusterCommand(a), newConsoleCommand(a), newGenCommand(a), newCleanCommand(a), newRmCommand(a))
	return root
}

func addGroup(root *cobra.Command, id string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = id
		root.AddCommand(c)
	}
}

// noSuchCommand is asked when the first word is no command.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef("there is no command %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return usagef("there is no command %q", args[0])
}

func addGlobalFlags(a *app, cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.VarP(&a.key, "key", "k", "`KEY` of the domain, 1000 or 0x3e8 (default $"+envKey+")")
	f.StringVar(&a.root, "root", "", "`FOLDER` that holds the domains (default $"+envRoot+", or /dev/shm)")
	f.BoolVar(&a.json, "json", false, "write JSON")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "write what the library logs")
	complete(cmd, "key", a.completeKeys)
}

// version tells which build this is, as far as the Go command noted it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && !strings.Contains(text, s.Value[:min(12, len(s.Value))]) {
			text += " " + s.Value
		}
	}
	return fmt.Sprintf("%s %s", text, info.GoVersion)
}
