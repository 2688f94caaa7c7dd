// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
)

// completion is what cobra asks for the words that a shell may put.
type completion func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// complete sets what completes a flag. That the flag exists, tests show.
func complete(cmd *cobra.Command, flag string, f completion) {
	_ = cmd.RegisterFlagCompletionFunc(flag, f)
}

// oneOf completes with words that are always the same.
func oneOf(words ...string) completion {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// completeKeys offers the domains that are there, each with a word about it.
func (a *app) completeKeys(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var words []string
	keys, _ := a.keys()
	for _, k := range keys {
		if strings.HasPrefix(k.String(), begun) {
			words = append(words, k.String()+"\t"+a.readDomain(k).summary())
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completeAddresses offers the addresses of the domain for the first n arguments.
func (a *app) completeAddresses(n int) completion {
	return func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.addresses(begun, args), cobra.ShellCompDirectiveNoFileComp
	}
}

// addresses lists what the domain knows, without what was named already.
func (a *app) addresses(begun string, named []string) []string {
	d, err := a.openExisting()
	if err != nil {
		return nil
	}
	defer d.Close()
	skip := map[string]bool{}
	for _, n := range named {
		skip[n] = true
	}
	var words []string
	offer := func(v addr.Addr, about string) {
		text := d.FormatAddr(v)
		if strings.HasPrefix(text, begun) && !skip[text] {
			words = append(words, text+"\t"+about)
		}
		skip[text] = true
	}
	for _, e := range d.Table().Endpoints() {
		offer(e.Addr, who(e))
	}
	for _, v := range addressesFar(d) {
		offer(v, "on another host")
	}
	return words
}

// addressesFar lists the addresses on other hosts with which there are lanes.
func addressesFar(d *skybus.Domain) []addr.Addr {
	var list []addr.Addr
	for _, l := range d.Table().Lanes() {
		if l.Remote {
			list = append(list, l.Dst)
		}
		if l.Mirror {
			list = append(list, l.Src)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
