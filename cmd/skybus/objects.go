// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

// The objects of --json. Sizes are in bytes, times in RFC 3339; a field is left
// out where there is nothing to say.

type domainObject struct {
	Key             uint32    `json:"key"`
	Folder          string    `json:"folder,omitzero"`
	Kind            string    `json:"kind"` // strict, dynamic, open (takes unknown addresses), ? (see error)
	Template        string    `json:"template,omitzero"`
	Created         time.Time `json:"created,omitzero"`
	Lanes           int       `json:"lanes"`
	Addresses       int       `json:"addresses"`
	Bound           int       `json:"bound"`
	Waiting         uint64    `json:"waiting"` // messages
	Bytes           uint64    `json:"bytes"`   // of all lanes
	MaxLanes        uint32    `json:"max_lanes,omitzero"`
	MaxBytes        uint64    `json:"max_bytes,omitzero"`
	MaxMessage      int       `json:"max_message,omitzero"`
	GrowBytes       uint64    `json:"grow_bytes,omitzero"`
	IdleAfterSecond float64   `json:"idle_after_seconds,omitzero"`
	RelayKey        uint32    `json:"relay_key,omitzero"` // of the route table that it follows
	Error           string    `json:"error,omitzero"`
}

func (v *domain) object() domainObject {
	i := &v.info
	return domainObject{
		Key: uint32(v.key), Folder: i.Dir, Kind: v.kind(), Template: i.Template, Created: i.Created,
		Lanes: i.Lanes, Addresses: i.Endpoints, Bound: v.bound, Waiting: v.waiting, Bytes: i.Bytes,
		MaxLanes: i.MaxLanes, MaxBytes: i.MaxBytes, MaxMessage: i.MaxMessage, GrowBytes: i.GrowBytes,
		IdleAfterSecond: i.IdleAfter.Seconds(), RelayKey: i.RelayKey, Error: errorText(v.err),
	}
}

type laneObject struct {
	Src            string    `json:"src"`
	Dst            string    `json:"dst"`
	Configured     bool      `json:"configured"`
	Remote         bool      `json:"remote"`           // dst is on another host: the relay daemon reads it
	Mirrored       bool      `json:"mirrored"`         // src is on another host: the relay daemon writes it
	Durable        string    `json:"durable,omitzero"` // sync or async: its messages are in files on a disk
	Priority       uint32    `json:"priority"`
	Desc           string    `json:"desc,omitzero"`
	State          string    `json:"state"`
	Waiting        uint64    `json:"waiting"` // messages sent and not released
	WaitingBytes   uint64    `json:"waiting_bytes"`
	AskedSize      uint64    `json:"asked_size"` // 0 for a lane on demand
	Size           uint64    `json:"size"`       // of the ring
	Memory         uint64    `json:"memory"`     // of all its files
	Generation     uint32    `json:"generation"`
	Path           string    `json:"path"`
	Created        time.Time `json:"created"`
	LastActive     time.Time `json:"last_active,omitzero"`
	Head           uint64    `json:"head"`
	Tail           uint64    `json:"tail"`
	HeadSeq        uint64    `json:"head_seq"`
	NextSeq        uint64    `json:"next_seq"`
	Sent           uint64    `json:"sent"`
	SentBytes      uint64    `json:"sent_bytes"`
	Received       uint64    `json:"received"`
	ReceivedBytes  uint64    `json:"received_bytes"`
	Redelivered    uint64    `json:"redelivered"`
	Discarded      uint64    `json:"discarded"`
	Full           uint64    `json:"full"`
	HighWater      uint64    `json:"high_water"`
	Grown          uint64    `json:"grown"`
	ReaderWakes    uint64    `json:"reader_wakes"`
	SenderWakes    uint64    `json:"sender_wakes"`
	SenderPID      uint32    `json:"sender_pid,omitzero"`
	ReaderPID      uint32    `json:"reader_pid,omitzero"`
	ReaderSleeping bool      `json:"reader_sleeping"`
	Epoch          uint64    `json:"epoch,omitzero"`        // of a remote or mirrored lane
	ConsumedSeq    uint64    `json:"consumed_seq,omitzero"` // of a remote lane: the last one known to be received
	Error          string    `json:"error,omitzero"`
}

func (l *lane) object(d *skybus.Domain) laneObject {
	return laneObject{
		Src: d.FormatAddr(l.Src), Dst: d.FormatAddr(l.Dst), Configured: l.Configured, Remote: l.Remote, Mirrored: l.Mirror, Durable: l.durable(), Priority: l.Priority, Desc: l.Desc,
		State: l.state(), Waiting: l.Messages, WaitingBytes: l.Waiting, AskedSize: l.AskedSize, Size: l.Size, Memory: l.Bytes,
		Generation: l.Generation, Path: l.Path, Created: l.Created, LastActive: l.LastActive,
		Head: l.Head, Tail: l.Tail, HeadSeq: l.HeadSeq, NextSeq: l.NextSeq,
		Sent: l.Sent, SentBytes: l.SentBytes, Received: l.Received, ReceivedBytes: l.ReceivedBytes,
		Redelivered: l.Redelivered, Discarded: l.Discarded, Full: l.Full, HighWater: l.HighWater, Grown: l.Grown,
		ReaderWakes: l.Wakes, SenderWakes: l.SenderWake, SenderPID: livePID(l.sender), ReaderPID: livePID(l.reader),
		ReaderSleeping: l.reader.Sleeping, Epoch: l.Epoch, ConsumedSeq: l.Consumed, Error: errorText(l.trouble()),
	}
}

// laneObjects is never nil: an array is what a listing is.
func laneObjects(d *skybus.Domain, lanes []lane) []laneObject {
	list := make([]laneObject, len(lanes))
	for i := range lanes {
		list[i] = lanes[i].object(d)
	}
	return list
}

type endpointObject struct {
	Address  string    `json:"address"`
	Bound    bool      `json:"bound"`
	PID      uint32    `json:"pid,omitzero"` // of the last process that bound it
	Program  string    `json:"program,omitzero"`
	Since    time.Time `json:"since,omitzero"`
	Crashed  bool      `json:"crashed"` // it died without closing
	Sleeping bool      `json:"sleeping"`
	Binds    uint64    `json:"binds"`
	Parks    uint64    `json:"parks"`
	Sweeps   uint64    `json:"sweeps"`
}

func endpointOf(d *skybus.Domain, e channel.EndpointInfo) endpointObject {
	return endpointObject{
		Address: d.FormatAddr(e.Addr), Bound: e.Bound, PID: e.PID, Program: e.Program, Since: e.Since,
		Crashed: e.Crashed, Sleeping: e.Sleeping, Binds: e.Binds, Parks: e.Parks, Sweeps: e.Sweeps,
	}
}

func livePID(e channel.EndpointInfo) uint32 {
	if !e.Bound {
		return 0
	}
	return e.PID
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
