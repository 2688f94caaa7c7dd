// SPDX-License-Identifier: Apache-2.0

package member

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	saveEvery = time.Second      // at most
	markEvery = 10 * time.Second // when the engine was heard
	maxSaved  = 64 << 20         // bytes of a last good copy
)

// A disk keeps the last good copy.
type disk struct {
	path  string
	dirty chan struct{} // full if there may be something to save
}

// saved is the file: the state in the bytes that the sum is of.
type saved struct {
	V     int             `json:"v"`
	Sum   string          `json:"sum"`
	State json.RawMessage `json:"state"`
}

type savedState struct {
	Cluster  string     `json:"cluster"`
	Host     string     `json:"host"`
	Life     string     `json:"life"`
	Revision uint64     `json:"revision"`
	Keys     []savedKey `json:"keys"`
}

type savedKey struct {
	Key      string          `json:"key"`
	Value    json.RawMessage `json:"value"`
	Created  uint64          `json:"created"`
	Modified uint64          `json:"modified"` // 0: in doubt
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// StateFile is the name of a cluster's last good copy in the state folder.
func StateFile(cluster string) string { return "cluster-" + cluster + ".json" }

// recall takes the last good copy for true. One that is not there is no error, and one that is damaged is
// told of and passed over.
func (m *Member) recall() error {
	info, err := os.Stat(m.c.State)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no folder")
	}
	if err != nil {
		return fmt.Errorf("the state folder %s: %w", m.c.State, err)
	}
	m.store = &disk{path: filepath.Join(m.c.State, StateFile(m.c.Cluster)), dirty: make(chan struct{}, 1)}
	data, heard, err := read(m.store.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var st *savedState
	var list []*entry
	if err == nil {
		st, list, err = parseSaved(data, m.c.Cluster)
	}
	if err != nil {
		m.notices.say("copy", "the last good copy of the cluster is passed over", "file", m.store.path, "err", err.Error())
		return nil
	}
	m.mirror.load(st, list, heard, time.Now())
	m.heard = heard
	m.c.Logger.Info("the cluster is believed to be as it was", "file", m.store.path, "heard", heard, "hosts", len(m.mirror.hosts), "keys", len(list))
	return nil
}

// read returns the file, and when it was last true.
func read(path string) (data []byte, heard time.Time, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, heard, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, heard, err
	}
	if data, err = io.ReadAll(io.LimitReader(f, maxSaved+1)); err != nil {
		return nil, heard, err
	}
	if len(data) > maxSaved {
		return nil, heard, fmt.Errorf("it has more than %d bytes", maxSaved)
	}
	if heard = info.ModTime(); heard.After(time.Now()) {
		heard = time.Now() // the clock has been put back
	}
	return data, heard, nil
}

// parseSaved reads a last good copy and believes nothing: its entries are as parseValue returns them.
func parseSaved(data []byte, cluster string) (*savedState, []*entry, error) {
	var file saved
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, nil, fmt.Errorf("it is no JSON of its kind: %w", err)
	}
	if file.V != valueVersion {
		return nil, nil, fmt.Errorf("version %d, want %d", file.V, valueVersion)
	}
	if sum := sumOf(file.State); sum != file.Sum {
		return nil, nil, fmt.Errorf("its checksum is %s, the bytes give %s", quote(file.Sum), sum)
	}
	st := &savedState{}
	if err := json.Unmarshal(file.State, st); err != nil {
		return nil, nil, fmt.Errorf("its state is no JSON of its kind: %w", err)
	}
	if st.Cluster != cluster {
		return nil, nil, fmt.Errorf("it is of cluster %s, want %s", quote(st.Cluster), quote(cluster))
	}
	if _, err := strconv.ParseUint(st.Life, 16, 64); err != nil || len(st.Life) != 16 {
		return nil, nil, fmt.Errorf("life %s, want 16 hexadecimal digits", quote(st.Life))
	}
	list := make([]*entry, 0, len(st.Keys))
	for i := range st.Keys {
		e, err := st.Keys[i].entry()
		if err != nil {
			return nil, nil, fmt.Errorf("key %s: %w", quote(st.Keys[i].Key), err)
		}
		list = append(list, e)
	}
	return st, list, nil
}

func sumOf(data []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(data, castagnoli)) }

func (k *savedKey) entry() (*entry, error) {
	id, err := parseKey(k.Key)
	if err != nil {
		return nil, err
	}
	v, err := parseValue(id, k.Value)
	if err != nil {
		return nil, err
	}
	e := &entry{ident: id, owner: id.host, value: v, raw: k.Value, created: k.Created, modified: k.Modified}
	if id.kind == kindRoute {
		e.owner = v.route.Host
	}
	return e, nil
}

// load puts a last good copy in the place of a first snapshot.
func (c *mirror) load(st *savedState, list []*entry, heard, now time.Time) {
	c.life, _ = strconv.ParseUint(st.Life, 16, 64) // parseSaved has read it
	c.revision = st.Revision
	for _, e := range list {
		e.learnt = heard
		if e.modified == 0 {
			e.till = now.Add(c.grace)
		}
		c.add(e.key(), e)
	}
}

// snapshot is what is to be remembered, nil as long as that is what the file has. With mu held.
func (m *Member) snapshot() *savedState {
	if m.fromDisk {
		return nil
	}
	st := &savedState{Cluster: m.c.Cluster, Host: m.c.Host, Life: fmt.Sprintf("%016x", m.mirror.life), Revision: m.mirror.revision}
	for key, e := range m.mirror.entries {
		st.Keys = append(st.Keys, savedKey{Key: key, Value: e.value.encode(), Created: e.created, Modified: e.modified})
	}
	return st
}

// encode writes what is believed.
func (v *value) encode() []byte {
	switch {
	case v.host != nil:
		return encode(v.host)
	case v.route != nil:
		return encode(v.route)
	default:
		return encode(v.group)
	}
}

// bytes are those of the file.
func (st *savedState) bytes() []byte {
	state := encode(st)
	return encode(&saved{V: valueVersion, Sum: sumOf(state), State: state})
}

// saveAll saves what has changed, and once more at the end.
func (m *Member) saveAll() {
	if m.store == nil {
		return
	}
	var last []byte
	mark := time.NewTicker(markEvery)
	defer mark.Stop()
	for m.ctx.Err() == nil {
		select {
		case <-m.store.dirty:
			last = m.save(last)
			m.pause(saveEvery)
		case <-mark.C:
			m.mark(last)
		case <-m.ctx.Done():
		}
	}
	m.save(last)
}
