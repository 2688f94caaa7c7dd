// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"testing"
)

// fuzzBody feeds any bytes to the parser of one type: an error is one of the
// protocol, and what is taken is written again as the same bytes.
func fuzzBody(f *testing.F, typ Type, again func(body []byte) ([]byte, error)) {
	for _, s := range samples() {
		if s.typ == typ {
			body := s.frame[HeaderSize:]
			f.Add(body)
			f.Add(body[:len(body)-1])
			f.Add(append(bytes.Clone(body), 0))
			f.Add(bytes.Repeat([]byte{0xff}, len(body)))
			f.Add(make([]byte, len(body)))
		}
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		frame, err := again(body)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Errorf("the error is none of the protocol: %v", err)
			}
			return
		}
		if !bytes.Equal(frame[HeaderSize:], body) {
			t.Errorf("% x\nis written again as\n% x", body, frame[HeaderSize:])
		}
	})
}

func FuzzHello(f *testing.F) {
	fuzzBody(f, TypeHello, func(b []byte) ([]byte, error) {
		h, err := ParseHello(b)
		return AppendHello(nil, &h), err
	})
}

func FuzzRefuse(f *testing.F) {
	fuzzBody(f, TypeRefuse, func(b []byte) ([]byte, error) {
		n, err := ParseNotice(b)
		return AppendNotice(nil, TypeRefuse, 1, n), err
	})
}

func FuzzBye(f *testing.F) {
	fuzzBody(f, TypeBye, func(b []byte) ([]byte, error) {
		n, err := ParseNotice(b)
		return AppendNotice(nil, TypeBye, 0, n), err
	})
}

func FuzzOpen(f *testing.F) {
	fuzzBody(f, TypeOpen, func(b []byte) ([]byte, error) {
		o, err := ParseOpen(b)
		return AppendOpen(nil, 1, &o), err
	})
}

func FuzzResume(f *testing.F) {
	fuzzBody(f, TypeResume, func(b []byte) ([]byte, error) {
		s, err := ParseState(TypeResume, b)
		return AppendState(nil, TypeResume, FlagUnknown, 1, &s), err
	})
}

func FuzzAck(f *testing.F) {
	fuzzBody(f, TypeAck, func(b []byte) ([]byte, error) {
		s, err := ParseState(TypeAck, b)
		return AppendState(nil, TypeAck, 0, 1, &s), err
	})
}

func FuzzData(f *testing.F) {
	fuzzBody(f, TypeData, func(b []byte) ([]byte, error) {
		epoch, first, rest, err := ParseData(b)
		if err != nil {
			return nil, err
		}
		var records []byte
		for len(rest) > 0 {
			before := len(rest)
			var p []byte
			var flags uint8
			if p, flags, rest, err = NextRecord(rest); err != nil {
				return nil, err
			}
			if len(rest) >= before {
				return nil, errors.New("a record took no bytes")
			}
			records = append(AppendRecord(records, len(p), flags), p...)
		}
		return append(AppendData(nil, 1, epoch, first, len(records)), records...), nil
	})
}

func FuzzFrag(f *testing.F) {
	fuzzBody(f, TypeFrag, func(b []byte) ([]byte, error) {
		p, err := ParseFrag(b)
		if err == nil && uint64(p.Offset)+uint64(len(p.Part)) > uint64(p.Length) {
			return nil, errors.New("a part that is not in its record")
		}
		return append(AppendFrag(nil, 1, &p, len(p.Part)), p.Part...), err
	})
}

func FuzzGap(f *testing.F) {
	fuzzBody(f, TypeGap, func(b []byte) ([]byte, error) {
		g, err := ParseGap(b)
		return AppendGap(nil, 1, &g), err
	})
}

func FuzzClose(f *testing.F) {
	fuzzBody(f, TypeClose, func(b []byte) ([]byte, error) {
		epoch, err := ParseClose(b)
		return AppendClose(nil, 1, epoch), err
	})
}

func FuzzWant(f *testing.F) {
	fuzzBody(f, TypeWant, func(b []byte) ([]byte, error) {
		epoch, n, err := ParseWant(b)
		return AppendWant(nil, 1, epoch, n), err
	})
}

func FuzzPing(f *testing.F) {
	fuzzBody(f, TypePing, func(b []byte) ([]byte, error) {
		v, err := ParsePing(b)
		return AppendPing(nil, TypePing, v), err
	})
}

func FuzzPong(f *testing.F) {
	fuzzBody(f, TypePong, func(b []byte) ([]byte, error) {
		v, err := ParsePing(b)
		return AppendPing(nil, TypePong, v), err
	})
}

func FuzzJoin(f *testing.F) {
	fuzzBody(f, TypeJoin, func(b []byte) ([]byte, error) {
		j, err := ParseJoin(b)
		return AppendJoin(nil, &j), err
	})
}

func FuzzJoined(f *testing.F) {
	fuzzBody(f, TypeJoined, func(b []byte) ([]byte, error) {
		j, err := ParseJoined(b)
		return AppendJoined(nil, &j), err
	})
}

// FuzzStream takes frames off any bytes as a reader of a connection does: it
// gets on with each frame, and no header promises more than a frame may have.
func FuzzStream(f *testing.F) {
	var all []byte
	for _, s := range samples() {
		f.Add(s.frame)
		f.Add(patch(s.frame, 5, 0xff))
		all = append(all, s.frame...)
	}
	f.Add(all)
	f.Add(all[1:])
	f.Add([]byte("GET / HTTP/1.1\r\nHost: example\r\n\r\n"))
	parsers := map[Type]func(body []byte) (any, error){}
	for _, s := range samples() {
		parsers[s.typ] = s.parse
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) >= HeaderSize {
			h, err := ParseHeader(b)
			if err != nil {
				if !errors.Is(err, ErrProtocol) {
					t.Errorf("the error is none of the protocol: %v", err)
				}
				return
			}
			if h.Length < 0 || h.Length > MaxBody || parsers[h.Type] == nil {
				t.Fatalf("a header %+v", h)
			}
			again := Begin(nil, h.Type, h.Flags, h.Stream)
			if again = End(again, 0, h.Length); !bytes.Equal(again, b[:HeaderSize]) {
				t.Fatalf("% x is written again as % x", b[:HeaderSize], again)
			}
			if HeaderSize+h.Length > len(b) {
				return
			}
			if _, err := parsers[h.Type](b[HeaderSize : HeaderSize+h.Length]); err != nil && !errors.Is(err, ErrProtocol) {
				t.Errorf("the error is none of the protocol: %v", err)
			}
			b = b[HeaderSize+h.Length:]
		}
	})
}
