// SPDX-License-Identifier: Apache-2.0

// Idle lets many clients into a server of the area gate, has each send one packet and get it back, and asks what
// the server keeps for them when none does anything more.
//
//	idle SERVER tcp|ws|tls CLIENTS AS --mode memory --size 64
//
// Heap and stacks are what the server's runtime says after a collection, the rest is what its process keeps in memory for itself;
// what the kernel keeps for the sockets is in neither. How fast the load is does not matter here, so it is no loop in C.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/skybus-io/skybus/bench/internal/peer"
	"github.com/skybus-io/skybus/bench/internal/result"
)

const (
	usage = "usage: idle SERVER tcp|ws|tls CLIENTS AS [flags]"
	lead  = 4

	warm     = 200 // clients that come and go before the first look
	dialers  = 16  // clients that come at once
	settle   = 200 * time.Millisecond
	idle     = 3 * time.Second // a server may look once a second who is
	spare    = 64              // descriptors that are no clients
	patience = 20 * time.Second
	startUp  = 30 * time.Second // for thousands of handshakes
)

func main() {
	if len(os.Args) <= lead {
		peer.Die(usage)
	}
	over := os.Args[2]
	clients, err := strconv.Atoi(os.Args[3])
	if err != nil || clients < 1 {
		peer.Die(usage)
	}
	o := peer.ParseSlow(os.Args[1+lead:], startUp)
	o.TLS = "off"
	if over == overTLS {
		peer.MakeCertificate()
		o.TLS = "1.3"
	}
	enough(clients)
	began := time.Now()
	s := start(os.Args[1], os.Args[lead], o.Dir)
	line := measure(s, over, clients, o)
	s.stop()
	line.Name, line.Size, line.Mode, line.TLS = os.Args[lead], o.Size, o.Mode, o.TLS
	line.CPU = cpu().Seconds() / time.Since(began).Seconds()
	text, err := json.Marshal(line)
	peer.Must("encode", err)
	fmt.Printf("%s\n", text)
}

// enough ends the program if it may not have so many descriptors, and so the server neither. The runtime has raised the soft
// limit to the hard one.
func enough(clients int) {
	var limit syscall.Rlimit
	peer.Must("getrlimit", syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if need := uint64(clients + spare); limit.Max < need {
		peer.Die("%d clients need %d descriptors a process, and the hard limit is %d: raise it (ulimit -Hn)", clients, need, limit.Max)
	}
}

// measure has some clients come and go, so that what the first ones cost is no part of it.
func measure(s *server, over string, clients int, o *peer.Options) (l result.Line) {
	leave(enter(s, over, warm, o.Size))
	time.Sleep(settle)
	before := s.memory()
	all := enter(s, over, clients, o.Size)
	time.Sleep(max(idle, o.Duration))
	after := s.memory()
	l.Anon = after.anonymous
	l.Each = (after.managed - before.managed) / float64(clients)
	l.EachAnon = (after.anonymous - before.anonymous) / float64(clients)
	leave(all)
	return l
}

// enter lets so many clients in.
func enter(s *server, over string, clients, size int) []client {
	all := make([]client, clients)
	var wg sync.WaitGroup
	for d := range dialers {
		wg.Go(func() {
			for i := d; i < clients; i += dialers {
				all[i] = dial(s.at, over, i)
				all[i].echo([]byte("h"))
				all[i].echo(make([]byte, size))
			}
		})
	}
	wg.Wait()
	return all
}

func leave(all []client) {
	for _, c := range all {
		c.reset()
	}
}

func cpu() (sum time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		peer.Must("getrusage", syscall.Getrusage(who, &u))
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}
