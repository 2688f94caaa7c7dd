// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// startOther starts the second node, in this process or another. stop ends it, and returns what
// went wrong with it.
func startOther(root string, one bool) (stop func() error, err error) {
	if one {
		_, leave, err := join(root, there)
		return func() error { leave(); return nil }, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, "-serve", root)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the second process: %w", err)
	}
	stop = func() error {
		stdin.Close()
		return cmd.Wait()
	}
	// A call could wait for it, but not for long: nobody at an address for half a second is
	// node.ErrPeerDied.
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		return nil, fmt.Errorf("the second process did not begin: %w", errors.Join(err, stop()))
	}
	return stop, nil
}

// serve is the second process. It writes a line when its node is there, and ends when r does, which
// is when the first process is gone, however that happened.
func serve(root string, r io.Reader, w io.Writer) error {
	_, leave, err := join(root, there)
	if err != nil {
		return err
	}
	defer leave()
	if _, err := fmt.Fprintln(w, "ready"); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return err
}
