// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/skybus-io/skybus/bench/internal/peer"
)

// The two hosts: the first process is at a, the second at b.
var hostNames = [2]string{"a", "b"}

// startHosts makes two domains below dir with a daemon each, which speak TLS over loopback. stop ends the
// daemons and waits for them.
func startHosts(program, dir string) (roots [2]string, stop func()) {
	certs := filepath.Join(dir, "certs")
	run(filepath.Join(filepath.Dir(program), "skybus"), append([]string{"daemon", "certs", "--dir", certs}, hostNames[:]...)...)
	at := freePorts()
	var daemons [2]*daemon
	for i, name := range hostNames {
		roots[i] = filepath.Join(dir, name)
		peer.Must("close the domain", domain(roots[i]).Close())
		other := 1 - i
		daemons[i] = start(program,
			"--root", roots[i], "-k", strconv.Itoa(domainKey), "--host", name, "--listen", at[i],
			"--peer", hostNames[other]+"="+at[other], "--route", fmt.Sprintf("0.0.0.%d=%s", other+1, hostNames[other]),
			"--ca", filepath.Join(certs, "ca.pem"), "--cert", filepath.Join(certs, name+".pem"),
			"--key-file", filepath.Join(certs, name+"-key.pem"))
	}
	return roots, func() {
		for _, d := range daemons {
			d.end()
		}
	}
}

// freePorts returns two addresses of loopback that nobody listens at.
func freePorts() (at [2]string) {
	for i := range at {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		peer.Must("find a free port", err)
		defer l.Close() // not before both are found
		at[i] = l.Addr().String()
	}
	return at
}

// run runs a command to its end.
func run(program string, args ...string) {
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		peer.Die("%s %s: %v: %s", filepath.Base(program), args[0], err, out)
	}
}

// A daemon is a relay daemon that runs.
type daemon struct {
	cmd *exec.Cmd
	log bytes.Buffer // to be read when it has ended
}

// start starts a daemon, which ends with this process.
func start(program string, args ...string) *daemon {
	d := &daemon{cmd: exec.Command(program, args...)}
	d.cmd.Stderr = &d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	peer.Must("start a daemon", d.cmd.Start())
	return d
}

// end asks the daemon to end, and kills it if it does not.
func (d *daemon) end() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	kill := time.AfterFunc(patience, func() { _ = d.cmd.Process.Kill() })
	defer kill.Stop()
	if err := d.cmd.Wait(); err != nil {
		peer.Die("a daemon ended: %v; its log:\n%s", err, d.log.Bytes())
	}
}
