// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"syscall"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/bench/internal/gateserver"
	"github.com/skybus-io/skybus/bench/internal/peer"
	"github.com/skybus-io/skybus/gate"
	"github.com/skybus-io/skybus/node"
)

// The nodes: the gate's, and that of a service in another process.
var (
	here  = addr.MustParse("0.0.0.1")
	there = addr.MustParse("0.0.0.2")
)

const domainKey = 1

func domain(root string) *skybus.Domain {
	d, err := skybus.Open(domainKey, skybus.Options{Root: root, AllowUnknown: true})
	peer.Must("open the domain", err)
	return d
}

// serveGate runs a gate in a domain of its own. Its service has the same name wherever it is.
func serveGate(s *gateserver.Server) {
	root, err := os.MkdirTemp(s.Dir, "gate")
	peer.Must("make a directory", err)
	defer os.RemoveAll(root)
	d := domain(root)
	cfg := gate.Config{Auth: admit, Bind: gate.ToName(there, serviceName)}
	stop := func() {}
	if s.As == asRoom {
		stop = startOther(s, root)
	} else {
		cfg.Bind = gate.ToName(here, serviceName)
		cfg.Node.Services = []actor.Spec{spec(s)}
	}
	g, err := gate.Start(d, here, cfg)
	peer.Must("start the gate", err)
	l, ports := listen()
	go func() { peer.Must("serve", g.Serve(l, ports)) }()
	s.Count = func() uint64 { return g.Stats().Entry.Accepted }
	s.Run(l.Addr())
	stop()
	ctx, cancel := ending()
	defer cancel()
	peer.Must("close the gate", g.Close(ctx))
	peer.Must("close the domain", d.Close())
}

// admit lets everybody in. The service answers the first packet, so that it knows who is there.
func admit(context.Context, *gate.Hello) (*gate.Grant, error) { return &gate.Grant{}, nil }

// startOther starts the process of the service, which ends with this one.
func startOther(s *gateserver.Server, root string) (stop func()) {
	cmd := exec.Command(os.Args[0], asOther, s.Mode, root)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	peer.Must("pipe", err)
	peer.Must("start the service's process", cmd.Start())
	return func() {
		_ = in.Close()
		peer.Must("wait for the service's process", cmd.Wait())
	}
}

// serveOther has the service alone, in the domain of the gate. What is sent to it before it is there waits in its lane.
func serveOther(s *gateserver.Server) {
	peer.Must("register the gate's messages", gate.Register(nil))
	d := domain(s.Dir)
	n, err := node.Start(d, there, node.Config{Services: []actor.Spec{spec(s)}})
	peer.Must("start the node", err)
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the gate's process closes it
	n.Close()
	peer.Must("close the domain", d.Close())
}
