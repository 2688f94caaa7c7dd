// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
)

// How messages are written.
const (
	outputText = "text" // the payload and a line feed
	outputHex  = "hex"  // the payload in hexadecimal and a line feed
	outputDump = "dump" // 16 bytes a line, in hexadecimal and as text
	outputRaw  = "raw"  // the payload alone
	outputJSON = "json" // one object a line
)

var outputs = []string{outputText, outputHex, outputDump, outputRaw, outputJSON}

// printer writes messages. Each is one Write: whoever reads the output gets
// whole messages.
type printer struct {
	out    io.Writer
	errOut io.Writer
	format func(addr.Addr) string
	mode   string
	meta   bool // say where a message comes from
	clock  bool // say when it was seen
	safe   bool // the output drives a terminal
	buf    []byte
}

// outputFlag adds the flag that chooses a mode.
func outputFlag(cmd *cobra.Command, mode *string) {
	cmd.Flags().StringVarP(mode, "output", "o", outputText, "how to write payloads: `text`, hex, dump, raw, json")
	complete(cmd, "output", oneOf(outputs...))
}

// newPrinter returns a printer in the mode that the flags name; --json is one.
func (a *app) newPrinter(mode string, meta, clock bool) (*printer, error) {
	if a.json {
		mode = outputJSON
	}
	for _, o := range outputs {
		if o == mode {
			return &printer{out: a.out, errOut: a.errOut, mode: mode, meta: meta, clock: clock, safe: meta || isTerminal(a.out)}, nil
		}
	}
	return nil, usagef("--output %q: want text, hex, dump, raw or json", mode)
}

// isTerminal tells whether a reader or writer is a terminal.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(f.Fd())
}

// messageObject is a message in JSON. Of Text and Base64 one is there: Text where
// the payload is UTF-8.
type messageObject struct {
	Time        *time.Time `json:"time,omitempty"` // when it was seen
	Src         string     `json:"src"`
	Dst         string     `json:"dst"`
	Seq         uint64     `json:"seq"`
	Redelivered bool       `json:"redelivered,omitempty"`
	Gap         bool       `json:"gap,omitempty"` // stands for messages that were discarded
	Size        int        `json:"size"`
	Text        *string    `json:"text,omitempty"`
	Base64      []byte     `json:"base64,omitempty"`
}

// print writes one message. gap marks one that stands for discarded ones.
func (p *printer) print(m skybus.Message, gap bool) error {
	p.buf = p.buf[:0]
	if m.Gap != nil {
		return p.lost(m)
	}
	if p.mode == outputJSON {
		if err := p.object(m, gap); err != nil {
			return err
		}
	} else {
		if p.meta {
			p.heading(m, gap)
		}
		p.payload(m.Data)
	}
	_, err := p.out.Write(p.buf)
	return err
}

// lost tells of messages that will never come. What is written besides the
// messages goes to errOut, so that a payload cannot be mistaken for it.
func (p *printer) lost(m skybus.Message) error {
	if p.mode == outputJSON {
		line, err := json.Marshal(struct {
			Src    string `json:"src"`
			Dst    string `json:"dst"`
			From   uint64 `json:"lost_from"`
			To     uint64 `json:"lost_to,omitempty"`
			Reason string `json:"reason"`
		}{p.format(m.Src), p.format(m.Dst), m.Gap.From, m.Gap.To, m.Gap.Reason})
		if err != nil {
			return err
		}
		_, err = p.out.Write(append(line, '\n'))
		return err
	}
	what := fmt.Sprintf("#%d to #%d", m.Gap.From, m.Gap.To)
	if m.Gap.To == 0 {
		what = fmt.Sprintf("from #%d on", m.Gap.From)
	}
	_, err := fmt.Fprintf(p.errOut, "%s -> %s  messages are lost: %s: %s\n", p.format(m.Src), p.format(m.Dst), what, m.Gap.Reason)
	return err
}

func (p *printer) object(m skybus.Message, gap bool) error {
	v := messageObject{Src: p.format(m.Src), Dst: p.format(m.Dst), Seq: m.Seq, Redelivered: m.Redelivered, Gap: gap, Size: len(m.Data)}
	if p.clock {
		now := time.Now()
		v.Time = &now
	}
	if utf8.Valid(m.Data) {
		text := string(m.Data)
		v.Text = &text
	} else {
		v.Base64 = m.Data
	}
	line, err := json.Marshal(v)
	p.buf = append(append(p.buf, line...), '\n')
	return err
}

// heading says who sent what to whom.
func (p *printer) heading(m skybus.Message, gap bool) {
	if p.clock {
		p.buf = time.Now().AppendFormat(p.buf, "15:04:05.000000  ")
	}
	p.buf = fmt.Appendf(p.buf, "%s -> %s  #%d  %s", p.format(m.Src), p.format(m.Dst), m.Seq, count(len(m.Data), "byte"))
	if m.Redelivered {
		p.buf = append(p.buf, "  again"...)
	}
	if gap {
		p.buf = append(p.buf, "  gap"...)
	}
	if p.mode == outputDump {
		p.buf = append(p.buf, '\n')
	} else {
		p.buf = append(p.buf, "  "...)
	}
}

func (p *printer) payload(data []byte) {
	switch {
	case p.mode == outputHex:
		p.buf = append(hex.AppendEncode(p.buf, data), '\n')
	case p.mode == outputDump:
		p.buf = appendDump(p.buf, data, 0)
	case p.mode == outputRaw:
		p.buf = append(p.buf, data...)
	case p.safe:
		p.buf = append(append(p.buf, excerpt(data)...), '\n')
	default:
		p.buf = append(append(p.buf, data...), '\n')
	}
}

// missed tells of messages that were gone before they could be seen.
func (p *printer) missed(src, dst addr.Addr, n uint64) error {
	p.buf = p.buf[:0]
	if p.mode == outputJSON {
		line, err := json.Marshal(struct {
			Src    string `json:"src"`
			Dst    string `json:"dst"`
			Missed uint64 `json:"missed"`
		}{p.format(src), p.format(dst), n})
		if err != nil {
			return err
		}
		p.buf = append(append(p.buf, line...), '\n')
	} else {
		p.buf = append(p.buf, p.format(src)+" -> "+p.format(dst)+"  missed "+strconv.FormatUint(n, 10)+", taken before they could be seen\n"...)
	}
	_, err := p.out.Write(p.buf)
	return err
}
