// SPDX-License-Identifier: Apache-2.0

package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// stateVersion is that of the state file. Later ones keep its fields.
const stateVersion = 1

// maxState is how large a state file may be, in bytes.
const maxState = 4096

// A state is what a replica writes down for the next one on its host.
type state struct {
	Version     int             `json:"v"`
	Cluster     string          `json:"cluster"`
	Host        string          `json:"host"`
	Lease       cluster.LeaseID `json:"lease"` // the host's, in the engine; 0: none
	Life        uint64          `json:"life"`  // of the engine, that the lease is of
	Term        uint64          `json:"term"`
	Incarnation uint64          `json:"incarnation"`
	Judged      bool            `json:"judged,omitempty"` // there was a policy
}

// load reads the state file and writes down that there is another incarnation. A file that is damaged, or
// of another cluster or host, is told of and passed over. Errors: of a folder that is not there.
func (r *Replica) load() (state, error) {
	was := state{}
	if r.o.State == "" {
		r.number = uint64(time.Now().UnixMilli())
		return was, nil
	}
	err := readState(r.o.State, &was)
	if err == nil && (was.Cluster != r.o.Cluster || was.Host != r.o.Host) {
		err = fmt.Errorf("state file %s is of host %q in cluster %q, want %q in %q", r.o.State, was.Host, was.Cluster, r.o.Host, r.o.Cluster)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.o.Logger.Warn("the state file of the replica is passed over: what the processes of this host have is lost", "err", err)
		}
		was = state{}
	}
	// A file that was lost must not make it go back.
	r.number = max(was.Incarnation+1, uint64(time.Now().UnixMilli()))
	now := was
	now.Cluster, now.Host, now.Incarnation = r.o.Cluster, r.o.Host, r.number
	return was, r.save(now)
}

func readState(path string, s *state) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return err
	}
	return parseState(path, data, s)
}

// parseState reads a state file's text.
func parseState(path string, data []byte, s *state) error {
	if len(data) > maxState {
		return fmt.Errorf("state file %s: more than %d bytes", path, maxState)
	}
	if err := json.Unmarshal(data, s); err != nil {
		return fmt.Errorf("state file %s: %w", path, err)
	}
	if s.Version < stateVersion {
		return fmt.Errorf("state file %s: version %d, want %d or more", path, s.Version, stateVersion)
	}
	return nil
}

// save writes the state file anew, whole or not at all.
func (r *Replica) save(s state) error {
	if r.o.State == "" {
		return nil
	}
	s.Version = stateVersion
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("state file %s: %w", r.o.State, err)
	}
	f, err := os.CreateTemp(filepath.Dir(r.o.State), filepath.Base(r.o.State)+".*") // of mode 0600
	if err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), r.o.State)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("state file %s: %w", r.o.State, err)
	}
	return nil
}

// forget writes down that there is no lease.
func (r *Replica) forget() {
	if err := r.save(state{Cluster: r.o.Cluster, Host: r.o.Host, Incarnation: r.number}); err != nil {
		r.note(err)
	}
}
