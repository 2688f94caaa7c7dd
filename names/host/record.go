// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"hash/crc32"
	"math/bits"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/names"
)

// A record is a name with its claims, as it was copied.
type record struct {
	name    string
	claims  []names.Claim // the first one has the name; none: there is no such record
	changed uint64        // number of the change that gave it its owner

	unit  uint32 // where it lies; 0: nowhere yet
	class uint8  // size of its block
	next  uint32 // the record behind it in its bucket
	link  int    // offset of the word that leads to it
}

// owner returns who has the name, as a claim; zero: nobody.
func (r *record) owner() (c names.Claim) {
	if len(r.claims) > 0 {
		c = r.claims[0]
	}
	return c
}

// padded is a name's length with the zeros behind it.
func padded(n int) int { return (n + 7) &^ 7 }

func recordSize(nameLen, claims int) int { return recordHead + padded(nameLen) + claims*claimSize }

// classFor returns the smallest class of block that has so many bytes.
func classFor(size int) uint8 { return uint8(bits.Len((uint(size)+unitSize-1)/unitSize - 1)) }

// encode writes a record but for its first word.
func encode(name string, claims []names.Claim, changed uint64) []byte {
	b := make([]byte, recordHead+padded(len(name)), recordSize(len(name), len(claims)))
	le.PutUint32(b[4:], hashOf(name))
	b[12], b[13] = classFor(cap(b)), uint8(len(name))
	le.PutUint16(b[14:], uint16(len(claims)))
	le.PutUint64(b[16:], changed)
	copy(b[recordHead:], name)
	for _, c := range claims {
		b = le.AppendUint32(b, uint32(c.Addr))
		b = le.AppendUint32(b, uint32(c.Flags))
		b = le.AppendUint64(b, c.Handle)
		b = le.AppendUint64(b, c.Life)
	}
	le.PutUint32(b[8:], sumOf(b))
	return b
}

// sumOf is the checksum of a record: of its bytes but for next, which changes, and the sum.
func sumOf(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[4:8], castagnoli), castagnoli, b[12:])
}

// decode reads a record of hash from a copy, of which the first two words were checked by copyOf.
func (r *record) decode(b []byte) error {
	if is := sumOf(b); le.Uint32(b[8:]) != is {
		return fmt.Errorf("its checksum is %#08x, the bytes give %#08x", le.Uint32(b[8:]), is)
	}
	n := int(b[13])
	r.name, r.changed = string(b[recordHead:recordHead+n]), le.Uint64(b[16:])
	if err := names.Check(r.name); err != nil {
		return err
	}
	if hash := le.Uint32(b[4:]); hash != hashOf(r.name) {
		return fmt.Errorf("its hash is %#08x, that of its name %#08x", hash, hashOf(r.name))
	}
	r.claims = make([]names.Claim, le.Uint16(b[14:]))
	for i, at := 0, recordHead+padded(n); i < len(r.claims); i, at = i+1, at+claimSize {
		flags := le.Uint32(b[at+4:])
		if flags > uint32(names.AllowReplacement|names.Replace|names.NoQueue) {
			return fmt.Errorf("claim %d has the flags %#x", i, flags)
		}
		r.claims[i] = names.Claim{
			Owner: names.Owner{Addr: addr.Addr(le.Uint32(b[at:])), Handle: le.Uint64(b[at+8:])},
			Flags: names.Flags(flags), Life: le.Uint64(b[at+16:]),
		}
	}
	return nil
}

// copyOf copies the record at unit, whose first word is given. Its words are loaded one by one in
// their order, so that a bucket that is the same afterwards says that they belong together.
func (t *table) copyOf(unit uint32, first uint64) (b []byte, class uint8, err error) {
	at := t.unitAt(unit)
	second := t.word(at + 8).Load()
	class = uint8(second >> 32)
	nameLen, claims := int(uint8(second>>40)), int(second>>48)
	size := recordSize(nameLen, claims)
	switch {
	case nameLen == 0 || claims == 0 || claims > names.MaxQueue:
		return nil, 0, fmt.Errorf("a name of %d bytes with %d claims", nameLen, claims)
	case !t.has(unit, class) || class != classFor(size):
		return nil, 0, fmt.Errorf("%d bytes in a block of class %d", size, class)
	}
	b = make([]byte, 0, size)
	b = le.AppendUint64(b, first)
	b = le.AppendUint64(b, second)
	for len(b) < size {
		b = le.AppendUint64(b, t.word(at+len(b)).Load())
	}
	return b, class, nil
}

// chain reads the records of a bucket that begin at first and have the hash; with all, every one.
// bucket is the offset of its word.
func (t *table) chain(bucket int, first, hash uint32, all bool) (list []record, err error) {
	link, unit := bucket, first
	for steps := uint32(0); unit != 0; steps++ {
		if !t.has(unit, 0) || steps == t.units {
			return list, damaged("bucket %d: unit %d of %d, after %d records", (bucket-bucketsAt)/8, unit, t.units, steps)
		}
		word := t.word(t.unitAt(unit)).Load()
		next, h := uint32(word), uint32(word>>32)
		if all || h == hash {
			r := record{unit: unit, next: next, link: link}
			b, class, err := t.copyOf(unit, word)
			if err == nil {
				r.class = class
				err = r.decode(b)
			}
			if err == nil && t.bucketAt(h) != bucket {
				err = fmt.Errorf("its hash %#08x is of another bucket", h)
			}
			if err != nil {
				return list, damaged("bucket %d: record at unit %d: %w", (bucket-bucketsAt)/8, unit, err)
			}
			list = append(list, r)
		}
		link, unit = t.unitAt(unit), next
	}
	return list, nil
}

// read is chain for a bucket that may change meanwhile.
func (t *table) read(bucket int, hash uint32, all bool) ([]record, error) {
	w := t.word(bucket)
	for range maxTries {
		before := w.Load()
		list, err := t.chain(bucket, uint32(before), hash, all)
		if w.Load() == before { // pairs with publish ("tag")
			return list, err
		}
	}
	return nil, damaged("bucket %d changes all the time", (bucket-bucketsAt)/8)
}

// find returns the record of a name. Without one it has no claims, and its link leads to the
// bucket's first one.
func (t *table) find(name string) (record, error) {
	hash := hashOf(name)
	list, err := t.read(t.bucketAt(hash), hash, false)
	for _, r := range list {
		if r.name == name {
			return r, nil
		}
	}
	return record{name: name, link: t.bucketAt(hash)}, err
}

// each calls f for the records of each bucket, until that returns an error. They are not of one moment.
func (t *table) each(f func(list []record) error) error {
	for i := range t.buckets {
		list, err := t.read(bucketsAt+8*int(i), 0, true)
		if err == nil && len(list) > 0 {
			err = f(list)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
