// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

// daemonVariable makes the test binary a daemon with a replica: "ENGINE FOLDER STATE".
const daemonVariable = "SKYBUS_CLUSTER_DAEMON"

// daemonChild serves a replica of the engine in one folder in another one, says so, and stays until its input
// ends.
func daemonChild(what string) error {
	words := strings.Fields(what)
	if len(words) != 3 {
		return fmt.Errorf("%q: want two folders and a state file", what)
	}
	p, err := Dial(words[0], Options{})
	if err != nil {
		return err
	}
	r, err := NewReplica(p, ReplicaOptions{Host: "west", State: words[2], TTL: cluster.MaxTTL})
	if err != nil {
		return err
	}
	if _, err := r.Serve(words[1], ServerConfig{}); err != nil {
		return err
	}
	fmt.Println("serving")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// A daemon that is killed under load, and started again, costs no process of its host a name or a lease, and nobody is told
// of a change.
func TestADaemonThatIsKilled(t *testing.T) {
	testutil.NoLeaks(t)
	h := newHost(t, Limits{})
	folder := testutil.Dir(t)
	state := filepath.Join(t.TempDir(), "state")
	daemon := func() *exec.Cmd {
		return start(t, fmt.Sprintf("%s=%s %s %s", daemonVariable, h.folder, folder, state), "serving")
	}
	cmd := daemon()
	c, err := Dial(folder, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	conf := cluster.NamesConfig{TTL: cluster.MaxTTL}
	n, busy := newNames(t, c, conf), newNames(t, c, conf)
	east := newRoot(t, h.dial(), "east")
	other := newNames(t, clientOf(t, east), conf)
	for i := range 50 {
		request(t, n, fmt.Sprint("stays.", i), owner(0), 0, names.Owns)
	}
	settled(t, []names.Registry{n, other})()
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for i := range 4 {
		load.Go(func() { loadNames(ctx, t, busy, i) })
	}
	told := 0
	load.Go(func() {
		_ = other.Watch(ctx, "stays.", func(names.Change) error {
			told++
			return nil
		})
	})
	was := leases(c)
	for i := range 4 {
		time.Sleep(time.Duration(50*i) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		cmd = daemon()
		request(t, n, fmt.Sprint("new.", i), owner(0), 0, names.Owns)
		until(t, []names.Registry{n, other}, fmt.Sprint("new.", i), []names.Owner{owner(0)})
	}
	stop()
	load.Wait()
	if told != 50 {
		t.Errorf("told of %d owners, want 50 and no change", told)
	}
	for i := range 50 {
		until(t, []names.Registry{n, other}, fmt.Sprint("stays.", i), []names.Owner{owner(0)})
	}
	for i := range 4 { // what the load has left is given up, and nothing else is there
		until(t, []names.Registry{n, busy, other}, fmt.Sprint("load.", i), nil)
	}
	for _, le := range was {
		select {
		case <-le.lost:
			t.Error("a process has lost its lease")
		default:
		}
	}
}

// loadNames asks for a name and gives it up until ctx is over, and leaves it given up.
func loadNames(ctx context.Context, t *testing.T, n *cluster.Names, i int) {
	name, o := fmt.Sprint("load.", i), owner(10+i)
	for ctx.Err() == nil {
		if _, err := n.Request(t.Context(), name, o, 0); err != nil {
			t.Error(err)
			return
		}
		if err := n.Release(t.Context(), name, o); err != nil {
			t.Error(err)
			return
		}
	}
}
