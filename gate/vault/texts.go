// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"fmt"
	"hash/crc32"
)

// What a session's texts take at most, in bytes.
const (
	MaxBinding  = 256
	MaxIdentity = 512
	MaxGroups   = 512 // of all names together, one byte more for each; a name has at most 255
	MaxRemote   = 64

	maxGroup   = 255
	maxRereads = 1000 // looks at texts that change all the time
)

// Texts are what of a session changes now and then, each of them from one moment to the next.
type Texts struct {
	Binding  []byte   // to which service its client's packets go
	Identity []byte   // who its client is
	Groups   []string // in which it is
	Remote   string   // its client's address; only the first 64 bytes are kept
}

// encode returns the texts as they lie in the file, behind a head without sum. Errors: ErrTooBig.
func (t *Texts) encode() ([]byte, error) {
	groups, err := pack(t.Groups)
	if err == nil {
		err = tooLong("binding", len(t.Binding), MaxBinding)
	}
	if err == nil {
		err = tooLong("identity", len(t.Identity), MaxIdentity)
	}
	if err != nil {
		return nil, err
	}
	remote := t.Remote[:min(len(t.Remote), MaxRemote)]
	b := make([]byte, textsHead, textsSize)
	le.PutUint16(b[4:], uint16(len(t.Binding)))
	le.PutUint16(b[6:], uint16(len(t.Identity)))
	le.PutUint16(b[8:], uint16(len(groups)))
	le.PutUint16(b[10:], uint16(len(remote)))
	b = append(b, t.Binding...)
	b = append(b, t.Identity...)
	b = append(b, groups...)
	return append(b, remote...), nil
}

func tooLong(what string, is, most int) error {
	if is > most {
		return fmt.Errorf("%w: %s has %d bytes, want at most %d", ErrTooBig, what, is, most)
	}
	return nil
}

func pack(groups []string) (b []byte, err error) {
	for _, g := range groups {
		if err := tooLong("the name of a group", len(g), maxGroup); err != nil {
			return nil, err
		}
		b = append(append(b, byte(len(g))), g...)
		if err := tooLong("the list of groups", len(b), MaxGroups); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func unpack(b []byte) (groups []string, ok bool) {
	for len(b) > 0 {
		n := 1 + int(b[0])
		if n > len(b) {
			return nil, false
		}
		groups, b = append(groups, string(b[1:n])), b[n:]
	}
	return groups, true
}

// textsSum is the checksum of texts, which are those of one session and version.
func textsSum(id, version uint64, b []byte) uint32 {
	var head [16]byte
	le.PutUint64(head[:], id)
	le.PutUint64(head[8:], version)
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, b[4:])
}

func (m *image) textsAt(i int, version uint64) int {
	return m.slotAt(i) + slotAtTexts + textsSize*int(version%2)
}

// putTexts writes texts as a version, and makes that the present one.
func (m *image) putTexts(i int, id, version uint64, b []byte) {
	le.PutUint32(b, textsSum(id, version, b))
	at := m.textsAt(i, version)
	m.store(at+8, b[8:])
	step("vault.texts.sum")
	m.store(at, b[:8])
	step("vault.version")
	m.word(m.slotAt(i) + slotAtVersion).Store(seal(version, saltOf(kindVersion, id, 0)))
}

// readTexts reads the texts of session id, which may change meanwhile.
func (m *image) readTexts(i int, id uint64) (t Texts, version uint64, err error) {
	w, salt := m.word(m.slotAt(i)+slotAtVersion), saltOf(kindVersion, id, 0)
	for range maxRereads {
		word := w.Load()
		version, ok := unseal(word, salt)
		if !ok {
			return t, 0, damaged("the version of its texts is %#016x, and not sealed so", word)
		}
		t, err = m.decodeTexts(i, id, version)
		if w.Load() == word { // else that copy may have been written meanwhile
			return t, version, err
		}
	}
	return t, 0, damaged("its texts change all the time")
}

func (m *image) decodeTexts(i int, id, version uint64) (t Texts, err error) {
	var b [textsSize]byte
	m.load(b[:textsHead], m.textsAt(i, version))
	var n [4]int
	end := textsHead
	for k, most := range []int{MaxBinding, MaxIdentity, MaxGroups, MaxRemote} {
		if n[k] = int(le.Uint16(b[4+2*k:])); n[k] > most {
			return t, damaged("a text of %d bytes, want at most %d", n[k], most)
		}
		end += n[k]
	}
	m.load(b[textsHead:roundUp(end, 8)], m.textsAt(i, version)+textsHead)
	if is := textsSum(id, version, b[:end]); is != le.Uint32(b[:]) {
		return t, damaged("the checksum of its texts is %#08x, the bytes give %#08x", le.Uint32(b[:]), is)
	}
	rest := b[textsHead:end]
	t.Binding, rest = bytes.Clone(rest[:n[0]]), rest[n[0]:]
	t.Identity, rest = bytes.Clone(rest[:n[1]]), rest[n[1]:]
	groups, ok := unpack(rest[:n[2]])
	if !ok {
		return t, damaged("its list of groups ends within a name")
	}
	t.Groups, t.Remote = groups, string(rest[n[2]:])
	return t, nil
}

// Texts returns copies of all texts of the session. Any goroutine may call it.
func (s Slot) Texts() (t Texts) {
	s.read(func(v *Vault) {
		if now, _, err := v.readTexts(s.s.index, s.id); err == nil {
			t = now
		}
	})
	return t
}

// Binding returns to which service packets go. Any goroutine may call it.
func (s Slot) Binding() []byte { return s.Texts().Binding }

// Identity returns who the client is. Any goroutine may call it.
func (s Slot) Identity() []byte { return s.Texts().Identity }

// Groups returns in which groups the session is. Any goroutine may call it.
func (s Slot) Groups() []string { return s.Texts().Groups }

// Remote returns the client's address. Any goroutine may call it.
func (s Slot) Remote() string { return s.Texts().Remote }

// SetBinding sets to which service packets go; binding is copied. Errors: ErrTooBig, ErrFreed, os.ErrClosed; then nothing has
// changed.
func (s Slot) SetBinding(binding []byte) error {
	return s.change(func(t *Texts) { t.Binding = binding })
}

// SetIdentity is SetBinding for who the client is.
func (s Slot) SetIdentity(identity []byte) error {
	return s.change(func(t *Texts) { t.Identity = identity })
}

// SetGroups is SetBinding for the groups that the session is in.
func (s Slot) SetGroups(groups []string) error {
	return s.change(func(t *Texts) { t.Groups = groups })
}

// SetRemote is SetBinding for the client's address.
func (s Slot) SetRemote(remote string) error {
	return s.change(func(t *Texts) { t.Remote = remote })
}

func (s Slot) change(f func(*Texts)) error {
	if err := s.owned(); err != nil {
		return err
	}
	v := s.s.v
	t, version, err := v.readTexts(s.s.index, s.id)
	if err != nil {
		return fmt.Errorf("session %x: %w", s.id, err)
	}
	f(&t)
	b, err := t.encode()
	if err != nil {
		return fmt.Errorf("session %x: %w", s.id, err)
	}
	step("vault.texts")
	v.putTexts(s.s.index, s.id, version+1, b)
	return nil
}
