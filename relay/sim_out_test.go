// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package relay

import (
	"fmt"

	"github.com/skybus-io/skybus/relay/link"
	"github.com/skybus-io/skybus/relay/wire"
)

// take appends what a session has to say to a pipe, and notes the frames.
func (w *simWorld) take(who string, s *link.Session, to *[]byte) error {
	if _, err := s.Tick(w.now); err != nil {
		return err
	}
	for s.Pending(w.now) && len(*to) < 300<<10 {
		from := len(*to)
		s.Output(&w.out, w.now)
		if len(w.out.Segments) == 0 {
			return nil
		}
		for _, seg := range w.out.Segments {
			*to = append(*to, seg...)
		}
		w.noteFrames(who, (*to)[from:])
	}
	return nil
}

func (w *simWorld) noteFrames(who string, b []byte) {
	for len(b) >= wire.HeaderSize {
		h, err := wire.ParseHeader(b)
		if err != nil {
			w.fail("%s writes %v", who, err)
			return
		}
		body := b[wire.HeaderSize : wire.HeaderSize+h.Length]
		b = b[wire.HeaderSize+h.Length:]
		text := ""
		switch h.Type {
		case wire.TypeOpen:
			o, _ := wire.ParseOpen(body)
			text = fmt.Sprintf("%x -> %x epoch %x first %d consumed %d", o.Src, o.Dst, o.Epoch&0xffff, o.First, o.Consumed)
		case wire.TypeResume, wire.TypeAck:
			st, _ := wire.ParseState(h.Type, body)
			text = fmt.Sprintf("epoch %x stored %d consumed %d credit %d flags %d", st.Epoch&0xffff, st.Stored, st.Consumed, st.Credit, h.Flags)
		case wire.TypeData:
			epoch, first, _, _ := wire.ParseData(body)
			text = fmt.Sprintf("epoch %x from %d, %d bytes", epoch&0xffff, first, h.Length)
		case wire.TypeFrag:
			f, _ := wire.ParseFrag(body)
			text = fmt.Sprintf("record %d: %d of %d", f.Seq, f.Offset, f.Length)
		case wire.TypePing, wire.TypePong:
			continue
		}
		w.note("    %s: %v stream %d %s", who, h.Type, h.Stream, text)
	}
}
