// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
)

// cpuOf returns the processor time that a process has used so far.
func cpuOf(t testing.TB, pid int) time.Duration {
	t.Helper()
	var ts unix.Timespec
	clock := int32(^pid<<3 | 2) // the process's clock, as clock_getcpuclockid(3) makes it
	if err := unix.ClockGettime(clock, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// soaking reports whether tests may take long.
func soaking() bool { return os.Getenv("SKYBUS_SOAK") != "" }

func init() { roles["napper"] = napper }

// napper does nothing but wake up four times as often as a process that waits in Recv.
func napper([]byte) error {
	fmt.Println("ok")
	for {
		time.Sleep(250 * time.Millisecond)
	}
}

// TestParkedEndpointUsesNoProcessor: a process that waits in Recv uses less than
// 0.1 % of one processor, in the modes that park; or, on a machine that is slow, less than twice
// what one uses that only wakes up, and that more often.
func TestParkedEndpointUsesNoProcessor(t *testing.T) {
	t.Parallel()
	span := 4500 * time.Millisecond // several wake-ups by timeout in each third
	if soaking() {
		span = 30 * time.Second
	}
	d := dynamic(t)
	nap := killtest.Start(t, "napper", nil)
	nap.Line()
	pids := []int{nap.PID()}
	for i, wait := range []skybus.Wait{skybus.WaitAdaptive, skybus.WaitPark} {
		p := peer{killtest.Start(t, "peer", peerArgs{Root: rootOf(d), Wait: wait})}
		p.do(t, "open", "ok")
		p.do(t, "bind "+d.FormatAddr(b+addr.Addr(i)), "ok")
		p.Tell("recv")
		pids = append(pids, p.PID())
	}
	time.Sleep(100 * time.Millisecond) // from start to rest
	shares := idleShares(t, pids, span)
	most := max(0.001, 2*shares[0])
	for i, share := range shares[1:] {
		if share > most {
			t.Errorf("process %d used %.3f %% of a processor, want %.3f %% at most", i, 100*share, 100*most)
		}
	}
	t.Logf("the processes used %.6f of a processor, and the first of them only wakes up", shares)
}

// idleShares measures what share of one processor each process uses: the least of
// three spans, because the runtime has work of its own now and then.
func idleShares(t *testing.T, pids []int, span time.Duration) []float64 {
	t.Helper()
	least, before := make([]float64, len(pids)), make([]time.Duration, len(pids))
	for round := range 3 {
		began := time.Now()
		for i, pid := range pids {
			before[i] = cpuOf(t, pid)
		}
		time.Sleep(span / 3)
		for i, pid := range pids {
			share := float64(cpuOf(t, pid)-before[i]) / float64(time.Since(began))
			if round == 0 || share < least[i] {
				least[i] = share
			}
		}
	}
	return least
}
