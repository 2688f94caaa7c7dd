// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Files in the state folder.
const (
	stateFile  = "engine.json"
	configFile = "engine.yaml"
	dataDir    = "engine"
	oldDataDir = "engine.old"
)

const (
	stateVersion = 1
	maxState     = 64 << 10 // bytes
)

// What a host has of a member.
const (
	memberNone  = ""
	memberFirst = "first" // it begins the cluster, and has no data yet
	memberAdded = "added" // it is in the list, and has no data yet
	memberBegun = "begun" // it has data
)

// A state is what a host remembers of its cluster.
type state struct {
	V       int      `json:"v"`
	Cluster string   `json:"cluster"`
	Host    string   `json:"host"`
	Domain  uint32   `json:"domain"`
	Member  string   `json:"member,omitempty"`
	Token   string   `json:"token,omitempty"` // tells apart clusters that are begun with one name
	Peer    string   `json:"peer,omitempty"`  // URL of this host's member
	Members []Member `json:"members"`
}

// loadState reads the file, nil if there is none.
func loadState(dir string) (*state, error) {
	path := filepath.Join(dir, stateFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxState {
		return nil, fmt.Errorf("%s: %d bytes, want at most %d", path, info.Size(), maxState)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &state{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("%s: want JSON as skybusd writes it: %w", path, err)
	}
	known := []string{memberNone, memberFirst, memberAdded, memberBegun}
	if s.V < stateVersion || s.Cluster == "" || s.Host == "" || len(s.Members) == 0 || !slices.Contains(known, s.Member) {
		return nil, fmt.Errorf("%s: want version, cluster, host and members as skybusd writes them, got %.200q", path, bytes.TrimSpace(data))
	}
	return s, nil
}

// save writes the file: under another name, to the disk, and then under its own.
func (s *state) save(dir string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, stateFile)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Remembers says whether the folder has the state of that host with that domain: it is in a managed cluster, and
// needs nobody to tell it so. A file that cannot be read counts: Open says what is wrong with it.
func Remembers(dir, host string, domain uint32) bool {
	s, err := loadState(dir)
	return err != nil && !errors.Is(err, fs.ErrPermission) || s != nil && s.Host == host && s.Domain == domain
}

// voters are the addresses where clients are served.
func (s *state) voters() (list []string) {
	for i := range s.Members {
		if m := &s.Members[i]; !m.Learner && m.Client != "" {
			list = append(list, m.Client)
		}
	}
	return list
}

// others says whether another host has a member that serves.
func (s *state) others() bool {
	return slices.ContainsFunc(s.Members, func(m Member) bool { return m.Name != s.Host && !m.Learner && m.Client != "" })
}

// hasData says whether a server has begun in the folder.
func hasData(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, dataDir, "member", "wal"))
	return err == nil
}
