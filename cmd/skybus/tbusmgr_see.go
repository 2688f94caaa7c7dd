// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
)

// seeLanes is --see and --see-all.
func (t *tbusmgr) seeLanes(d *skybus.Domain) error {
	var args []string
	if !t.seeAll {
		args = []string{t.see}
	}
	keep, err := chosen(d, args)
	if err != nil {
		return err
	}
	lanes := readLanes(d, keep)
	if err := found(d, lanes, args); err != nil {
		return err
	}
	if t.dump {
		return t.dumpMessages(d, args)
	}
	tab := newTable("FROM", "TO", ">MsgNum", ">Bytes", ">H", ">T", ">Size", ">HSeq", ">Seq")
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for i := range lanes {
		l := &lanes[i]
		tab.row(d.FormatAddr(l.Src), d.FormatAddr(l.Dst), number(l.Messages), number(l.Waiting), number(l.Head), number(l.Tail),
			number(l.Size), number(l.HeadSeq), number(l.NextSeq))
		if err := l.trouble(); err != nil {
			t.warnf("%s: %s", d.Table().FormatPair(l.pair()), printable(err.Error()))
		}
	}
	return list(t.app, laneObjects(d, lanes), tab)
}

// dumpMessages shows what waits, as tail does, in bytes.
func (t *tbusmgr) dumpMessages(d *skybus.Domain, args []string) (err error) {
	look := &tailing{app: t.app, d: d, args: args, watches: map[channel.Pair]*watched{}}
	if look.printer, err = t.newPrinter(outputDump, true, false); err != nil {
		return err
	}
	look.printer.format = d.FormatAddr
	if look.keep, err = chosen(d, args); err != nil {
		return err
	}
	defer look.closeAll()
	if err := look.search(false); err != nil {
		return err
	}
	return look.showWaiting()
}

// dumpTable shows the table's file, which docs/format describes.
func (t *tbusmgr) dumpTable(d *skybus.Domain) error {
	if t.json {
		return usagef("--dump-binary shows the table as text, not as JSON")
	}
	f, err := os.Open(filepath.Join(d.Table().Folder(), "table"))
	if err != nil {
		return fmt.Errorf("--dump-binary: %w", err)
	}
	defer f.Close()
	t.printf("%s\n", f.Name())
	return dumpSparse(t.out, f)
}

// lanePath is the file of a lane.
func lanePath(d *skybus.Domain, src, dst addr.Addr) string {
	l, _ := d.Table().Lane(channel.Pair{Src: src, Dst: dst})
	return l.Path
}
