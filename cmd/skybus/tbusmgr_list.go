// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

// channelObject is a configured channel in JSON. Send is from the first address
// to the second.
type channelObject struct {
	Number      int       `json:"number,omitzero"` // in the list
	Addresses   [2]string `json:"addresses"`
	Key         string    `json:"key"`
	SendSize    uint64    `json:"send_size"` // asked for
	RecvSize    uint64    `json:"recv_size"`
	SendMade    uint64    `json:"send_made,omitzero"` // as made
	RecvMade    uint64    `json:"recv_made,omitzero"`
	SendWaiting uint64    `json:"send_waiting"` // messages
	RecvWaiting uint64    `json:"recv_waiting"`
	SendPath    string    `json:"send_path,omitzero"`
	RecvPath    string    `json:"recv_path,omitzero"`
	Priority    uint8     `json:"priority"`
	Created     time.Time `json:"created,omitzero"`
	Desc        string    `json:"desc,omitzero"`
}

func (t *tbusmgr) object(d *skybus.Domain, number int, c channel.Channel) channelObject {
	o := channelObject{
		Number: number, Addresses: [2]string{d.FormatAddr(c.A), d.FormatAddr(c.B)}, Key: fmt.Sprintf("0x%x", d.Key()),
		SendSize: c.SendSize, RecvSize: c.RecvSize, SendMade: c.SizeA2B, RecvMade: c.SizeB2A,
		SendWaiting: c.HoldsA2B, RecvWaiting: c.HoldsB2A, Priority: c.Priority, Desc: c.Desc,
		SendPath: lanePath(d, c.A, c.B), RecvPath: lanePath(d, c.B, c.A),
	}
	if c.CreatedNanos != 0 {
		o.Created = time.Unix(0, c.CreatedNanos)
	}
	return o
}

// listChannels is what the tool does without an action.
func (t *tbusmgr) listChannels(d *skybus.Domain) error {
	channels := d.Table().Channels()
	tab := newTable(">NO", "ADDRESS", "ADDRESS", "KEY", ">SEND", ">RECV", "CREATED", "PATH", "DESC")
	objects := []channelObject{}
	for i, c := range channels {
		o := t.object(d, i+1, c)
		objects = append(objects, o)
		tab.row(strconv.Itoa(i+1), o.Addresses[0], o.Addresses[1], o.Key, sizes(c.SendSize, c.SizeA2B), sizes(c.RecvSize, c.SizeB2A),
			moment(o.Created), filepath.Base(o.SendPath), c.Desc)
	}
	if !t.json {
		i := d.Table().Info()
		v := domain{info: i}
		t.printf("domain %d (0x%x), %s, template %s, %s, in %s\n", i.Key, i.Key, v.kind(), i.Template, count(len(channels), "channel"), i.Dir)
		if len(channels) == 0 {
			return nil
		}
	}
	return list(t.app, objects, tab)
}

// numbered returns the channel with a number of the list.
func (t *tbusmgr) numbered(d *skybus.Domain, flag string, n int) (channel.Channel, error) {
	channels := d.Table().Channels()
	switch {
	case n >= 1 && n <= len(channels):
		return channels[n-1], nil
	case len(channels) == 0:
		return channel.Channel{}, fmt.Errorf("--%s %d: domain %d has no channels", flag, n, d.Key())
	}
	return channel.Channel{}, fmt.Errorf("--%s %d: domain %d has the channels 1 to %d", flag, n, d.Key(), len(channels))
}

func (t *tbusmgr) cleanChannel(d *skybus.Domain) error {
	c, err := t.numbered(d, "clean", t.clean)
	if err != nil {
		return err
	}
	return t.cleanAll(d, []channel.Pair{{Src: c.A, Dst: c.B}, {Src: c.B, Dst: c.A}})
}

func (t *tbusmgr) deleteChannel(d *skybus.Domain) error {
	c, err := t.numbered(d, "delete", t.delete)
	if err != nil {
		return err
	}
	gone := t.object(d, t.delete, c)
	if err := d.Table().Delete(c, t.force); err != nil {
		return removeHint(fmt.Errorf("channel %d: %w", t.delete, err))
	}
	return t.done(gone, "deleted channel %d, %s, with %s", t.delete, joined(d, c), count(c.HoldsA2B+c.HoldsB2A, "message"))
}

// joined names a channel by its addresses.
func joined(d *skybus.Domain, c channel.Channel) string {
	return d.FormatAddr(c.A) + " <-> " + d.FormatAddr(c.B)
}
