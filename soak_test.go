// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/sys"
)

func init() { roles["crowd"] = crowd }

// crowdArgs say which of the crowd's addresses a process has.
type crowdArgs struct {
	Root     string
	From, To int
	All      int
}

func crowdAddr(i int) addr.Addr { return 0x100 + addr.Addr(i) }

// crowd binds some addresses, sends one message from each to all others, and
// receives as many. It stops before each of these until it gets a line.
func crowd(args []byte) error {
	a, err := killtest.Args[crowdArgs](args)
	if err != nil {
		return err
	}
	d, err := skybus.Open(key, skybus.Options{Root: a.Root, MustExist: true})
	if err != nil {
		return err
	}
	var ends []*skybus.Endpoint
	for i := a.From; i < a.To; i++ {
		e, err := d.Bind(crowdAddr(i))
		if err != nil {
			return err
		}
		ends = append(ends, e)
	}
	pause()
	for _, e := range ends {
		for i := range a.All {
			if dst := crowdAddr(i); dst != e.Addr() {
				if err := e.Send(context.Background(), dst, make([]byte, 64)); err != nil {
					return err
				}
			}
		}
	}
	pause()
	for _, e := range ends {
		for range a.All - 1 {
			if _, err := e.Recv(context.Background()); err != nil {
				return err
			}
		}
	}
	pause()
	return nil
}

// pause says that something is done and waits until something else is wanted.
func pause() {
	fmt.Println("ok")
	_, _ = fmt.Scanln()
}

// TestSoakMemoryOfACrowd: 200 endpoints in 4 processes, each of which has sent to
// all others, take at most 500 MB: 39,800 lanes, counted as blocks of the files
// and as the processes' own memory.
func TestSoakMemoryOfACrowd(t *testing.T) {
	if !soaking() {
		t.Skip("SKYBUS_SOAK is not set")
	}
	const endpoints, processes, goal = 200, 4, 500e6
	d := open(t, skybus.Options{AllowUnknown: true})
	var list []*killtest.Process
	for i := range processes {
		list = append(list, killtest.Start(t, "crowd", crowdArgs{
			Root: rootOf(d), From: i * endpoints / processes, To: (i + 1) * endpoints / processes, All: endpoints,
		}))
	}
	for step := range 3 {
		for _, p := range list {
			if answer := p.Line(); answer != "ok" {
				t.Fatal(answer, p.Wait())
			}
		}
		files, own := blocksOf(t, d.Table().Folder()), int64(0)
		for _, p := range list {
			own += ownMemory(t, p.PID())
		}
		t.Logf("after step %d: %d lanes, %.1f MB in files, %.1f MB of the processes", step, d.Table().Info().Lanes,
			float64(files)/1e6, float64(own)/1e6)
		if files+own > goal {
			t.Errorf("together %.1f MB, at most %.0f are wanted", float64(files+own)/1e6, goal/1e6)
		}
		for _, p := range list {
			p.Tell("")
		}
	}
	for _, p := range list {
		if err := p.Wait(); err != nil {
			t.Error(err)
		}
	}
}

func blocksOf(t *testing.T, dir string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			var n int64
			n, err = sys.Blocks(path)
			sum += n
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// ownMemory returns the anonymous memory of a process that is resident, in bytes.
func ownMemory(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}
