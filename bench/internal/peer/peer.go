// SPDX-License-Identifier: Apache-2.0

// Package peer is what the Go programs of this module share: options, meter, histogram, the second process
// and the result line. It is the Go half of peers/common/peer.hpp; both keep the same rules:
//
//   - The clock belongs to the receiver (throughput) or to the side that asks (latency).
//   - A fifth of the duration, or --warmup, is run before anything is counted.
//   - The first 8 bytes of a message carry its number, and the receiver checks it.
//   - cpu is the number of cores both processes kept busy, from start to end.
//
// A program measures one thing and prints one JSON object on one line.
package peer

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"
	"unsafe"

	"github.com/skybus-io/skybus/bench/internal/result"
)

// Options are the flags that every program takes. A program ignores what it has no choice about.
type Options struct {
	Size     int
	Mode     string
	Wait     string
	Duration time.Duration
	Warmup   time.Duration
	Batch    int
	Pin      [2]int // where the first and the second process are pinned; -1: nowhere
	Rate     int    // round trips a second; 0: as fast as it goes
	Flight   int    // callers at once, where calls are counted
	Dir      string // where files and sockets of this run live
	Child    bool   // this is the second process
	Role     string // of a process that is neither: see StartRole
	JSON     bool
	Profile  string // see profile

	// TLS goes into the result line: "off", or the version of the protocol. Empty where no network is used.
	TLS string

	// OnTop goes into the result line: what a call takes beyond a bare one, in ns.
	OnTop float64

	started time.Time
}

// Parse reads the flags in args and starts the clock that bounds the whole process.
func Parse(args []string) *Options { return ParseSlow(args, 0) }

// ParseSlow is Parse for a program that takes so much longer until it can measure.
func ParseSlow(args []string, startUp time.Duration) *Options {
	o := &Options{started: time.Now(), Pin: [2]int{-1, -1}}
	f := flag.NewFlagSet("peer", flag.ExitOnError)
	f.IntVar(&o.Size, "size", 64, "payload `bytes`")
	f.StringVar(&o.Mode, "mode", "throughput", "throughput or latency")
	f.StringVar(&o.Wait, "wait", "adaptive", "spin, park or adaptive")
	f.DurationVar(&o.Duration, "duration", time.Second, "time measured")
	f.DurationVar(&o.Warmup, "warmup", 0, "time before that; 0: a fifth")
	f.IntVar(&o.Batch, "batch", 1, "messages published together")
	f.Func("pin", "two `CPUs` for the two processes, such as 0,1", func(s string) error {
		_, err := fmt.Sscanf(s, "%d,%d", &o.Pin[0], &o.Pin[1])
		return err
	})
	f.IntVar(&o.Rate, "rate", 0, "round trips a second")
	f.IntVar(&o.Flight, "flight", 1, "calls that are under way at `once`")
	f.StringVar(&o.Dir, "dir", "/dev/shm", "directory for files and sockets")
	f.BoolVar(&o.Child, "child", false, "be the second process")
	f.StringVar(&o.Role, "role", "", "be this one of more than two processes")
	f.BoolVar(&o.JSON, "json", true, "print JSON")
	f.StringVar(&o.Profile, "cpuprofile", "", "write profiles of the processes to `FILE`.first and FILE.second, or .ROLE")
	_ = f.Parse(args) // ExitOnError
	if o.Size < 8 {
		Die("--size must be at least 8")
	}
	if o.Flight < 1 {
		Die("--flight must be at least 1")
	}
	if o.Warmup == 0 {
		o.Warmup = o.Duration / 5
	}
	time.AfterFunc(o.Duration+o.Warmup+startUp+20*time.Second, func() { Die("still running 20 s past the end") })
	if o.Profile != "" {
		o.profile()
	}
	return o
}

// profile profiles this process for four fifths of the time, since the second one is killed at the end.
func (o *Options) profile() {
	name := "first"
	if o.Child {
		name = cmp.Or(o.Role, "second")
	}
	f, err := os.Create(o.Profile + "." + name)
	Must("write a profile", err)
	Must("profile", pprof.StartCPUProfile(f))
	time.AfterFunc((o.Warmup+o.Duration)*4/5, func() {
		pprof.StopCPUProfile()
		Must("write a profile", f.Close())
	})
}

// Latency says whether round trips are asked for.
func (o *Options) Latency() bool { return o.Mode == "latency" }

// Die prints an error and ends the process.
func Die(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

// Must ends the process if err is not nil.
func Must(verb string, err error) {
	if err != nil {
		Die("%s: %v", verb, err)
	}
}

// PinThread ties the calling goroutine to a thread and that thread to a CPU, if --pin was given.
func (o *Options) PinThread() {
	cpu := o.Pin[0]
	if o.Child {
		cpu = o.Pin[1]
	}
	if cpu < 0 {
		return
	}
	runtime.LockOSThread()
	var mask [16]uint64
	mask[0] = 1 << cpu
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	if errno != 0 {
		Die("pin to cpu %d: %v", cpu, errno)
	}
}

// Stamp writes a message's number.
func Stamp(payload []byte, n uint64) { binary.LittleEndian.PutUint64(payload, n) }

// Check ends the process if payload is not message n.
func Check(payload []byte, n uint64) {
	if got := binary.LittleEndian.Uint64(payload); got != n {
		Die("message %d arrived where %d was due", got, n)
	}
}

// Second is the other process of a measurement.
type Second struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader // of a role; nil otherwise
}

// StartSecond runs this program again with --child and the same flags. The child ends when the returned
// Second is stopped, or when this process dies: its standard input closes.
func StartSecond(lead ...string) *Second {
	return launch(again(lead, "--child"))
}

// EndWithParent makes the second process exit when its standard input ends.
func EndWithParent() {
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(0)
	}()
}

// Stop ends the second process and waits for it.
func (s *Second) Stop() {
	_ = s.stdin.Close()
	_ = s.cmd.Process.Kill() // it may be in a send that never returns
	_ = s.cmd.Wait()         // "signal: killed" is what was asked for
}

// Print writes the result line. Stop the second process first, or its CPU time is missing.
func (o *Options) Print(name string, perSecond float64, h *Histogram) {
	r := result.Line{Name: name, Size: o.Size, Mode: o.Mode, Wait: o.Wait, TLS: o.TLS, MsgsPerSec: perSecond,
		BytesPerSec: perSecond * float64(o.Size), OnTop: o.OnTop, CPU: cpuSeconds() / time.Since(o.started).Seconds()}
	if h != nil {
		r.P50, r.P99 = float64(h.Quantile(.5)), float64(h.Quantile(.99))
		r.P999, r.Max = float64(h.Quantile(.999)), float64(h.max)
	}
	line, err := json.Marshal(r)
	Must("encode", err)
	fmt.Printf("%s\n", line)
}

func cpuSeconds() (sum float64) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		Must("getrusage", syscall.Getrusage(who, &u))
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	}
	return sum
}
