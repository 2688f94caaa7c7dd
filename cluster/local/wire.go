// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/skybus-io/skybus/cluster"
)

// version is that of the frames, in hello.
const version = 1

// Sizes of frames, in bytes. A batch at its limit fits with what CBOR adds; pages are what
// Get and Poll answer with, and may be exceeded by one key.
const (
	maxFrame   = 1 << 20
	smallFrame = 16 << 10 // read without asking for a place (server.go)
	pageBytes  = 64 << 10
)

// What a request asks for. An answer has the same number.
const (
	opHello  = 1 // client, version, address -> version, life, term, host, age
	opGrant  = 2 // ttl -> lease
	opRenew  = 3 // lease, ttl -> ttl
	opRevoke = 4 // lease
	opCommit = 5 // batch, head -> revision
	opGet    = 6 // key, prefix, revision, from -> keys, revision, life, more, age
	opPoll   = 7 // key (a prefix), revision, skip -> events, revision, skip, life, age
	opHealth = 8 // -> numbers, age, text
	opLeave  = 9 // all leases of the client end
)

// Codes of answers: which error it is.
const (
	codeOK          = 0
	codeCompare     = 1 // with the revision at which it did not hold
	codeLease       = 2
	codeCompacted   = 3
	codeLimit       = 4
	codeRequest     = 5 // the request makes no sense
	codeUnavailable = 6 // of a replica: it does not reach its engine
	codeForbidden   = 7 // of a replica: its policy does not allow it
)

var sentinels = map[uint8]error{
	codeCompare: cluster.ErrCompare, codeLease: cluster.ErrLeaseLost, codeCompacted: cluster.ErrCompacted, codeLimit: cluster.ErrLimit,
	codeUnavailable: cluster.ErrUnavailable, codeForbidden: cluster.ErrForbidden,
}

// ErrFrame means that the other side does not keep to the format.
var ErrFrame = errors.New("not a frame of the cluster engine")

// A frame is a request or an answer; which fields there are follows from Op.
type frame struct {
	ID uint64 `cbor:"1,keyasint"` // the answer has the request's
	Op uint8  `cbor:"2,keyasint"`

	Code uint8  `cbor:"3,keyasint,omitempty"`
	Text string `cbor:"4,keyasint,omitempty"` // of an error; of health: why a replica does not hear its engine

	Version uint8  `cbor:"5,keyasint,omitempty"`
	Client  string `cbor:"6,keyasint,omitempty"`
	Addr    uint32 `cbor:"7,keyasint,omitempty"`
	Life    uint64 `cbor:"8,keyasint,omitempty"`

	TTL   int64  `cbor:"9,keyasint,omitempty"` // nanoseconds
	Lease uint64 `cbor:"10,keyasint,omitempty"`

	Key      string `cbor:"11,keyasint,omitempty"`
	Prefix   bool   `cbor:"12,keyasint,omitempty"`
	From     string `cbor:"13,keyasint,omitempty"`
	Revision uint64 `cbor:"14,keyasint,omitempty"`
	Skip     int    `cbor:"15,keyasint,omitempty"`
	More     bool   `cbor:"16,keyasint,omitempty"`

	If     []wireCompare `cbor:"17,keyasint,omitempty"`
	Do     []wireOp      `cbor:"18,keyasint,omitempty"`
	KVs    []wireKV      `cbor:"19,keyasint,omitempty"`
	Keys   int           `cbor:"20,keyasint,omitempty"`
	Leases int           `cbor:"21,keyasint,omitempty"`
	Bytes  int64         `cbor:"22,keyasint,omitempty"`

	Host string `cbor:"23,keyasint,omitempty"` // of a replica
	Age  int64  `cbor:"24,keyasint,omitempty"` // nanoseconds; of a replica, since it heard its engine
	Term uint64 `cbor:"25,keyasint,omitempty"` // of a replica: another one means that all its leases are lost
	Head int    `cbor:"26,keyasint,omitempty"` // cluster.Batch.Head
}

// The lists' elements are arrays of their fields.
type wireCompare struct {
	_        struct{} `cbor:",toarray"`
	Key      string
	Revision uint64
	Prefix   bool
}

type wireOp struct {
	_      struct{} `cbor:",toarray"`
	Key    string
	Value  []byte
	Lease  uint64
	Delete bool
}

type wireKV struct {
	_        struct{} `cbor:",toarray"`
	Key      string
	Value    []byte
	Lease    uint64
	Created  uint64 // 0: an event, the key was deleted
	Modified uint64
}

// encMode writes text and bytes as they are; a key is text by convention only.
var encMode = func() cbor.EncMode {
	mode, err := cbor.EncOptions{IndefLength: cbor.IndefLengthForbidden}.EncMode()
	if err != nil {
		panic(fmt.Sprintf("cluster/local: options of the encoder: %v", err)) // they are constants
	}
	return mode
}()

// decMode checks all of a frame before it makes anything of it, so a length that is not
// there costs nothing. Unknown fields are for later versions.
var decMode = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 4, MaxArrayElements: 1 << 16, MaxMapPairs: 64,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, UTF8: cbor.UTF8DecodeInvalid,
	}.DecMode()
	if err != nil {
		panic(fmt.Sprintf("cluster/local: options of the decoder: %v", err)) // they are constants
	}
	return mode
}()

// appendFrame appends f with its length in front. Errors: ErrFrame, it is too long.
func appendFrame(buf []byte, f *frame) ([]byte, error) {
	body, err := encMode.Marshal(f)
	if err != nil {
		return buf, fmt.Errorf("write a frame: %w", err)
	}
	if len(body) > maxFrame {
		return buf, fmt.Errorf("%w: it has %d bytes, want at most %d", ErrFrame, len(body), maxFrame)
	}
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(body)))
	return append(buf, body...), nil
}

// parseFrame reads the bytes behind the length. Errors: ErrFrame.
func parseFrame(body []byte) (*frame, error) {
	f := &frame{}
	if err := decMode.Unmarshal(body, f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	if f.Op == 0 || f.Skip < 0 || f.TTL < 0 || f.Age < 0 {
		return nil, fmt.Errorf("%w: kind %d, skip %d, time %d, age %d", ErrFrame, f.Op, f.Skip, f.TTL, f.Age)
	}
	return f, nil
}

// readLength reads the length of the next frame. Errors: ErrFrame; the reader's.
func readLength(r io.Reader) (int, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || n > maxFrame {
		return 0, fmt.Errorf("%w: of %d bytes, want 1 to %d", ErrFrame, n, maxFrame)
	}
	return int(n), nil
}

// readBody reads a frame of n bytes. Memory follows what has come, not what was announced.
func readBody(r io.Reader, n int) (*frame, error) {
	var buf bytes.Buffer
	buf.Grow(min(n, smallFrame))
	if m, err := io.CopyN(&buf, r, int64(n)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("a frame ends after %d bytes of %d: %w", m, n, err)
	}
	return parseFrame(buf.Bytes())
}

// failure turns an answer into its error.
func (f *frame) failure() error {
	if f.Code == codeOK {
		return nil
	}
	if f.Code == codeCompare && f.Revision > 0 {
		return &cluster.CompareError{Revision: f.Revision, Text: strings.TrimPrefix(f.Text, cluster.ErrCompare.Error()+": ")}
	}
	if s := sentinels[f.Code]; s != nil {
		return &answerError{f.Text, s}
	}
	return fmt.Errorf("the cluster engine refuses: %s", f.Text)
}

// An answerError is one that the engine has put into words.
type answerError struct {
	text string
	is   error
}

func (e *answerError) Error() string { return e.text }
func (e *answerError) Unwrap() error { return e.is }

// fail makes f the answer that something went wrong.
func (f *frame) fail(err error) {
	f.Code, f.Text = codeRequest, err.Error()
	for code, s := range sentinels {
		if errors.Is(err, s) {
			f.Code = code
		}
	}
	if c := (*cluster.CompareError)(nil); errors.As(err, &c) {
		f.Revision = c.Revision
	}
}

func wireBatch(b cluster.Batch) (f frame) {
	f.Op, f.Head = opCommit, b.Head
	for _, c := range b.If {
		f.If = append(f.If, wireCompare{Key: c.Key, Revision: c.Revision, Prefix: c.Prefix})
	}
	for _, o := range b.Do {
		f.Do = append(f.Do, wireOp{Key: o.Key, Value: o.Value, Lease: uint64(o.Lease), Delete: o.Delete})
	}
	return f
}

func (f *frame) batch() (b cluster.Batch) {
	b.Head = f.Head
	for _, c := range f.If {
		b.If = append(b.If, cluster.Compare{Key: c.Key, Revision: c.Revision, Prefix: c.Prefix})
	}
	for _, o := range f.Do {
		b.Do = append(b.Do, cluster.Op{Key: o.Key, Value: o.Value, Lease: cluster.LeaseID(o.Lease), Delete: o.Delete})
	}
	return b
}

func wireKVs(kvs []cluster.KV) []wireKV {
	list := make([]wireKV, len(kvs))
	for i, kv := range kvs {
		list[i] = wireKV{Key: kv.Key, Value: kv.Value, Lease: uint64(kv.Lease), Created: kv.Created, Modified: kv.Modified}
	}
	return list
}

func wireEvents(events []cluster.Event) []wireKV {
	list := make([]wireKV, len(events))
	for i := range events {
		kv := &events[i].KV // of a deleted one Created is 0
		list[i] = wireKV{Key: kv.Key, Value: kv.Value, Lease: uint64(kv.Lease), Created: kv.Created, Modified: kv.Modified}
	}
	return list
}

func (f *frame) kvs() []cluster.KV {
	list := make([]cluster.KV, len(f.KVs))
	for i, w := range f.KVs {
		list[i] = cluster.KV{Key: w.Key, Value: w.Value, Lease: cluster.LeaseID(w.Lease), Created: w.Created, Modified: w.Modified}
	}
	return list
}

func (f *frame) events() []cluster.Event {
	list := make([]cluster.Event, len(f.KVs))
	for i, kv := range f.kvs() {
		list[i] = cluster.Event{KV: kv, Deleted: kv.Created == 0}
	}
	return list
}
