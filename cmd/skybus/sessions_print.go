// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/gate"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/vault"
)

// homeObject is a home in JSON.
type homeObject struct {
	Home      string               `json:"home"`
	Gate      string               `json:"gate"` // alive, dead or closed
	Process   uint32               `json:"process,omitzero"`
	Program   string               `json:"program,omitzero"`
	Made      time.Time            `json:"made"`
	Room      int                  `json:"room"` // for sessions
	Ring      int                  `json:"ring_bytes"`
	Written   uint64               `json:"written_bytes"`
	Evicted   uint64               `json:"evicted"`
	Forgotten uint64               `json:"forgotten"`
	Sessions  []sessionObject      `json:"sessions"`
	Damage    []sessionDamage      `json:"damage"`
	count     map[vault.State]uint // of Sessions
}

// sessionObject is a session in JSON. Of Identity and IdentityBase64 one is there: Identity where it is UTF-8.
type sessionObject struct {
	Session        string    `json:"session"`
	State          string    `json:"state"`
	AwaySince      time.Time `json:"away_since,omitzero"`
	Code           uint32    `json:"code,omitzero"` // why it has ended
	Epoch          uint32    `json:"epoch"`
	In             uint64    `json:"packets_in"`
	Out            uint64    `json:"packets_out"`
	Kept           int       `json:"packets_kept"`
	KeptBytes      int       `json:"bytes_kept"`
	Service        string    `json:"service"`
	Groups         []string  `json:"groups"`
	Identity       string    `json:"identity,omitzero"`
	IdentityBase64 []byte    `json:"identity_base64,omitzero"`
	Remote         string    `json:"remote"`
}

type sessionDamage struct {
	Slot    int    `json:"slot"`
	Session string `json:"session,omitzero"`
	What    string `json:"what"`
}

// homeOf says what a vault has, and who has the home.
func homeOf(d *skybus.Domain, s *vault.Snapshot) homeObject {
	home := d.FormatAddr(s.Home)
	o := homeObject{
		Home: home, Gate: "closed", Made: s.Made, Room: s.Limits.Sessions, Ring: s.Limits.Ring, Written: s.Written,
		Evicted: s.Evicted, Forgotten: s.Forgotten, Sessions: []sessionObject{}, Damage: []sessionDamage{}, count: map[vault.State]uint{},
	}
	e, _ := d.Table().Endpoint(s.Home)
	switch {
	case s.Owned:
		o.Gate, o.Process, o.Program = "alive", e.PID, e.Program
	case e.Crashed:
		o.Gate = "dead"
	}
	for i := range s.Sessions {
		o.Sessions = append(o.Sessions, sessionOf(d, home, &s.Sessions[i]))
		o.count[s.Sessions[i].State]++
	}
	for _, v := range s.Damage {
		o.Damage = append(o.Damage, sessionDamage{v.Slot, sessionName(home, v.ID), v.What})
	}
	return o
}

// sessionName writes a session as services know it; "" for one whose number is not known.
func sessionName(home string, id uint64) string {
	if id == 0 {
		return ""
	}
	return home + "#" + strconv.FormatUint(id, 16)
}

func sessionOf(d *skybus.Domain, home string, i *vault.Info) sessionObject {
	o := sessionObject{
		Session: sessionName(home, i.ID), State: i.State.String(), Code: i.Reason, Epoch: i.Epoch, In: i.Accepted, Out: i.Sent,
		Kept: i.Kept, KeptBytes: i.KeptBytes, Service: boundTo(d, i.Binding), Groups: i.Groups, Remote: i.Remote,
	}
	if o.Groups == nil {
		o.Groups = []string{} // null would be no list
	}
	if i.State == vault.Away {
		o.AwaySince = time.UnixMilli(i.AwaySince)
	}
	if utf8.Valid(i.Identity) {
		o.Identity = string(i.Identity)
	} else {
		o.IdentityBase64 = i.Identity
	}
	return o
}

// boundTo writes the service that a session is bound to, with the address the domain's way.
func boundTo(d *skybus.Domain, binding []byte) string {
	var t gate.Target
	if err := t.UnmarshalBinary(binding); err != nil {
		return fmt.Sprintf("unknown: %x", binding)
	}
	at := d.FormatAddr(t.PID.Node)
	if t.Name != "" {
		return at + "/" + t.Name
	}
	return fmt.Sprintf("%s/%x", at, uint64(t.PID.Handle))
}

// identityShown is how many bytes of an identity the table has at most.
const identityShown = 24

// printHomes shows the homes, and then their sessions.
func (a *app) printHomes(homes []homeObject) error {
	if a.json {
		return a.object(homes, "  ")
	}
	if len(homes) == 0 {
		return nil // what is wrong has been said
	}
	now := time.Now()
	gates := newTable("HOME", "GATE", ">PROCESS", "PROGRAM", ">LIVE", ">AWAY", ">ENDED", ">DAMAGED", ">ROOM", ">RING", ">AGE")
	sessions := newTable("SESSION", "STATE", ">AWAY", ">EPOCH", ">IN", ">OUT", ">KEPT", ">BYTES", "SERVICE", "REMOTE", ">GROUPS", "IDENTITY")
	for i := range homes {
		h := &homes[i]
		process := "-"
		if h.Process != 0 {
			process = strconv.FormatUint(uint64(h.Process), 10)
		}
		number := func(s vault.State) string { return strconv.FormatUint(uint64(h.count[s]), 10) }
		gates.row(h.Home, h.Gate, process, orDash(h.Program), number(vault.Live), number(vault.Away), number(vault.Ended),
			strconv.Itoa(len(h.Damage)), strconv.Itoa(h.Room), size(uint64(h.Ring)), ago(h.Made, now))
		for j := range h.Sessions {
			sessions.row(h.Sessions[j].cells(now)...)
		}
	}
	a.print(gates)
	if len(sessions.rows) > 0 {
		a.printf("\n")
		a.print(sessions)
	}
	return nil
}

// cells is the session's row of the table.
func (o *sessionObject) cells(now time.Time) []string {
	state := o.State
	if o.State == vault.Ended.String() {
		state += ": " + frame.Code(o.Code).String()
	}
	identity, more := append([]byte(o.Identity), o.IdentityBase64...), ""
	if len(identity) > identityShown {
		identity, more = identity[:identityShown], "..."
	}
	return []string{
		o.Session, state, ago(o.AwaySince, now), strconv.FormatUint(uint64(o.Epoch), 10), strconv.FormatUint(o.In, 10), strconv.FormatUint(o.Out, 10),
		strconv.Itoa(o.Kept), strconv.Itoa(o.KeptBytes), o.Service, orDash(o.Remote), strconv.Itoa(len(o.Groups)), orDash(excerpt(identity) + more),
	}
}
