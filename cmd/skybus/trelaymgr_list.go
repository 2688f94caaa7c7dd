// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"

	"github.com/skybus-io/skybus/route"
)

// ruleObject is a rule of a route table in JSON.
type ruleObject struct {
	Number   int    `json:"number,omitzero"` // in the list
	Prefix   string `json:"prefix"`
	Host     string `json:"host"`
	Address  string `json:"address,omitzero"` // that is dialled
	Local    bool   `json:"local"`            // the host is the one that the domains are on
	Release  string `json:"release"`          // consumed, stored
	Priority uint8  `json:"priority"`
	Desc     string `json:"desc,omitzero"`
}

// ruleOf describes a rule of tab, which must not be changed after that.
func ruleOf(tab *route.Table, number int, r route.Rule) ruleObject {
	o := ruleObject{
		Number: number, Prefix: tab.Template.FormatPrefix(r.Prefix), Host: r.Host, Local: tab.Self != "" && r.Host == tab.Self,
		Release: r.Release.String(), Priority: r.Priority, Desc: r.Desc,
	}
	h, _ := tab.Host(r.Host) // the host that this is need not be listed
	o.Address = h.Address
	return o
}

// listRules is what the tool does without an action.
func (t *trelaymgr) listRules() error {
	tab, err := route.Load(t.rootDir(), t.key())
	if err != nil {
		return t.hint(err)
	}
	lines := newTable(">NO", "PREFIX", "HOST", "ADDRESS", "RELEASE", "DESC")
	objects := []ruleObject{}
	for i, r := range tab.Rules {
		o := ruleOf(tab, i+1, r)
		objects = append(objects, o)
		lines.row(strconv.Itoa(o.Number), o.Prefix, o.Host, orDash(o.Address), o.Release, o.Desc)
	}
	if !t.json {
		self := "host not named"
		if tab.Self != "" {
			self = "host " + tab.Self
		}
		t.printf("route table %d (0x%x), %s, template %s, %s, generation %d, in %s\n", tab.Key, tab.Key, self, tab.Template,
			count(len(tab.Rules), "rule"), tab.Generation, route.Dir(t.rootDir(), tab.Key))
		if len(tab.Rules) == 0 {
			return nil
		}
	}
	return list(t.app, objects, lines)
}
