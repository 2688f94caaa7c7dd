// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/tbusxml"
)

// tbusmgrName is the name by which the binary is that tool.
const tbusmgrName = "tbusmgr"

const tbusmgrHelp = `tbusmgr makes, lists and tends the configured channels of a domain, with the
options that operators of tbus type. It reads tbusmgr.xml files as they are. The
domain is named by -k, or by the file of -C. Without an action it lists.

--write makes the domain's channels those of the file. Channels that exist stay
as they are, with their messages and their time of creation; missing ones are
created; others that were configured are deleted. It refuses to delete a channel
that still holds messages, unlike tbus, and names it; --force deletes it all the
same. A channel whose size differs keeps its size, and is warned about. Lanes that
were made on demand stay. A new domain is strict: no channel, no message. If
anything is wrong with the file, nothing is changed.

The number of --clean and --delete is that of the list. After --delete the
numbers behind close up.

--see shows the lanes of an address: MsgNum messages with Bytes of payload wait;
H and T are the positions of head and tail in bytes, which only grow; Size is
that of the lane; HSeq is the sequence of the message at the head and Seq that of
the next one to be sent.

--dump-binary shows bytes in hexadecimal: with --see or --see-all the messages
that wait, alone the domain's table (its header, addresses and lanes; a "*"
stands for lines of zeros).

-T sends a test message of N bytes from --src to --dst. It takes the address of
--src for that, and says who has it if another process does.`

// tbusmgr is one run of the tool.
type tbusmgr struct {
	*app
	file   string
	write  bool
	dryRun bool
	force  bool
	see    string
	seeAll bool
	dump   bool
	test   bool
	src    string
	dst    string
	length int
	clean  int
	delete int

	cmd *cobra.Command
	xml *tbusxml.GCIM // of file, or nil
}

func newTbusmgrCommand(a *app) *cobra.Command {
	t := &tbusmgr{app: a}
	t.cmd = &cobra.Command{
		Use:   "tbusmgr [-C FILE | -k KEY] [action]",
		Short: "Tend configured channels, with the options of tbus",
		Long:  tbusmgrHelp,
		Example: `  tbusmgr -C tbusmgr.xml --write
  tbusmgr -k1000
  tbusmgr -k1000 --see 0.0.3.1
  tbusmgr -k1000 -T --src 0.0.3.1 --dst 0.0.4.1 --data-len 100
  tbusmgr -k1000 --clean 2`,
		Args:              takes(0, 0, ""),
		ValidArgsFunction: oneOf(),
		RunE:              func(*cobra.Command, []string) error { return t.run() },
	}
	t.flags()
	return t.cmd
}

func (t *tbusmgr) flags() {
	f := t.cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&t.file, "conf-file", "C", "", "configuration `FILE`, which also names the key")
	f.BoolVarP(&t.write, "write", "W", false, "make the domain's channels those of the file")
	f.BoolVar(&t.dryRun, "dry-run", false, "with --write: say what would be done")
	f.BoolVar(&t.force, "force", false, "with --write and --delete: delete channels that hold messages")
	f.StringVar(&t.see, "see", "", "show the lanes of `ADDR`")
	f.BoolVar(&t.seeAll, "see-all", false, "show all lanes")
	f.BoolVar(&t.dump, "dump-binary", false, "show bytes: of waiting messages (with --see), or of the table")
	f.BoolVarP(&t.test, "test", "T", false, "send a test message")
	f.StringVar(&t.src, "src", "", "with -T: `ADDR` that sends")
	f.StringVar(&t.dst, "dst", "", "with -T: `ADDR` to send to")
	f.IntVar(&t.length, "data-len", 0, "with -T: send `N` bytes")
	f.IntVar(&t.clean, "clean", 0, "discard what waits in channel `N`")
	f.IntVar(&t.delete, "delete", 0, "delete channel `N`")
	complete(t.cmd, "see", t.completeAddresses(1))
	complete(t.cmd, "src", t.completeAddresses(1))
	complete(t.cmd, "dst", t.completeAddresses(1))
}

func (t *tbusmgr) run() error {
	if err := t.checkFlags(); err != nil {
		return err
	}
	if err := t.readFile(); err != nil {
		return err
	}
	if t.write {
		return t.writeChannels()
	}
	d, err := t.openExisting()
	if err != nil {
		return t.openHint(err)
	}
	defer d.Close()
	return t.action(d)
}

func (t *tbusmgr) action(d *skybus.Domain) error {
	set := t.cmd.Flags().Changed
	switch {
	case set("see") || t.seeAll:
		return t.seeLanes(d)
	case t.dump:
		return t.dumpTable(d)
	case t.test:
		return t.inject(d)
	case set("clean"):
		return t.cleanChannel(d)
	case set("delete"):
		return t.deleteChannel(d)
	}
	return t.listChannels(d)
}

// checkFlags refuses what cannot be meant: flags of another action do nothing,
// and an operator would believe they did.
func (t *tbusmgr) checkFlags() error {
	set := t.cmd.Flags().Changed
	if err := exclusive(t.cmd, "write", "see", "see-all", "test", "clean", "delete"); err != nil {
		return err
	}
	for _, f := range []string{"src", "dst", "data-len"} {
		switch {
		case set(f) && !t.test:
			return usagef("--%s belongs to -T", f)
		case !set(f) && t.test:
			return usagef("-T wants --src, --dst and --data-len; --%s is missing", f)
		}
	}
	switch {
	case t.write && t.file == "":
		return usagef("--write wants a file: -C FILE")
	case t.dump && (t.write || t.test || set("clean") || set("delete")):
		return usagef("--dump-binary goes with --see, --see-all, or alone")
	case t.force && !t.write && !set("delete"):
		return usagef("--force belongs to --write and --delete")
	case t.dryRun && !t.write:
		return usagef("--dry-run belongs to --write")
	case t.test && t.length < 0:
		return usagef("--data-len %d: want 0 or more", t.length)
	}
	return nil
}

// readFile reads the file, if one is named, and takes the key from it.
func (t *tbusmgr) readFile() error {
	if t.file == "" {
		return nil
	}
	data, err := os.ReadFile(t.file)
	if err != nil {
		return fmt.Errorf("-C: %w", err)
	}
	if t.xml, err = tbusxml.ParseGCIM(t.file, data); err != nil {
		return err
	}
	if t.write {
		for _, w := range t.xml.Warnings {
			t.warnf("%s", printable(w.String()))
		}
	}
	if t.key != 0 && uint32(t.key) != t.xml.Key {
		return usagef("-k %d: %s is for key %d", t.key, t.file, t.xml.Key)
	}
	t.key = domainKey(t.xml.Key)
	return nil
}

func (t *tbusmgr) openHint(err error) error {
	if t.xml != nil && errors.Is(err, skybus.ErrNoDomain) {
		return hinted(err, "tbusmgr -C %s --write makes this one", t.file)
	}
	return err
}

// inject is -T: it plays the producer.
func (t *tbusmgr) inject(d *skybus.Domain) error {
	src, err := address(d, "--src", t.src)
	if err != nil {
		return err
	}
	dst, err := address(d, "--dst", t.dst)
	if err != nil {
		return err
	}
	if most := d.Table().MaxMessage(); t.length > most {
		return usagef("--data-len %d: the domain's largest message has %d bytes", t.length, most)
	}
	e, err := d.Bind(src)
	if err != nil {
		return err
	}
	defer e.Close()
	err = e.TrySend(dst, testData(t.length))
	switch {
	case errors.Is(err, skybus.ErrFull):
		return hinted(err, "--clean discards what waits")
	case errors.Is(err, skybus.ErrNoRoute):
		return hinted(err, "%s -k %d lists the channels", t.cmd.CommandPath(), d.Key())
	case err != nil:
		return err
	}
	seq, err := e.LastSeq(dst)
	if err != nil {
		return err
	}
	result := struct {
		Src  string `json:"src"`
		Dst  string `json:"dst"`
		Size int    `json:"size"`
		Seq  uint64 `json:"seq"`
	}{t.src, t.dst, t.length, seq}
	return t.done(result, "sent %s: %s, sequence %d", d.Table().FormatPair(channel.Pair{Src: src, Dst: dst}), count(t.length, "byte"), seq)
}

// testData is easy to recognise in a dump.
func testData(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte('a' + i%26)
	}
	return data
}
