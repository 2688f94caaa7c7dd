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
	span := 3 * time.Second
	if soaking() {
		span = 10 * time.Second
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
	time.Sleep(200 * time.Millisecond) // from start to rest
	before := make([]time.Duration, len(peers))
	for i, p := range peers {
		before[i] = cpuOf(t, p.PID())
	}
	time.Sleep(span)
	for i, p := range peers {
		used := cpuOf(t, p.PID()) - before[i]
		if share := float64(used) / float64(span); share > 0.001 {
			t.Errorf("process %d used %v in %v: %.3f %%", i, used, span, 100*share)
		} else {
			t.Logf("process %d used %v in %v: %.4f %%", i, used, span, 100*share)
		}
	}
}
