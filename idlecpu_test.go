// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
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

// TestParkedEndpointUsesNoProcessor: a process that waits in Recv uses less than
// 0.1 % of one processor, in the modes that park.
func TestParkedEndpointUsesNoProcessor(t *testing.T) {
	t.Parallel()
	span := 4500 * time.Millisecond // several wake-ups by timeout in each third
	if soaking() {
		span = 30 * time.Second
	}
	d := dynamic(t)
	var peers []peer
	for i, wait := range []skybus.Wait{skybus.WaitAdaptive, skybus.WaitPark} {
		p := peer{killtest.Start(t, "peer", peerArgs{Root: rootOf(d), Wait: wait})}
		p.do(t, "open", "ok")
		p.do(t, "bind "+d.FormatAddr(b+addr.Addr(i)), "ok")
		p.Tell("recv")
		peers = append(peers, p)
	}
	time.Sleep(100 * time.Millisecond) // from start to rest
	for i, p := range peers {
		if share := idleShare(t, p.PID(), span); share > 0.001 {
			t.Errorf("process %d used %.3f %% of a processor", i, 100*share)
		} else {
			t.Logf("process %d used %.4f %% of a processor", i, 100*share)
		}
	}
}

// idleShare measures what share of one processor a process uses: the least of
// three spans, because the runtime has work of its own now and then.
func idleShare(t *testing.T, pid int, span time.Duration) float64 {
	t.Helper()
	least := 1.0
	for range 3 {
		before := cpuOf(t, pid)
		time.Sleep(span / 3)
		least = min(least, 3*float64(cpuOf(t, pid)-before)/float64(span))
	}
	return least
}
