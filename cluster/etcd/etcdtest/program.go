// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A process is a server that runs by itself.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has been waited for
}

// kill ends it as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// run starts a server of a program; its log is beside its data.
func (m *Member) run(state, initial string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(filepath.Dir(m.dir), m.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	client, peer := "http://"+m.client, "http://"+m.peer
	cmd := exec.Command(m.c.program, "--name", m.name, "--data-dir", m.dir, "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", initial, "--initial-cluster-token", m.c.token,
		"--initial-cluster-state", state, "--heartbeat-interval", strconv.Itoa(tickMS), "--election-timeout", strconv.Itoa(electionMS), "--logger", "zap", "--log-level", "warn")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // a killed one fails
		close(p.ended)
	}()
	if err := m.healthy(p); err != nil {
		p.kill()
		return nil, fmt.Errorf("%w; its log is %s", err, log.Name())
	}
	return p, nil
}

// healthy waits until the server says that it is.
func (m *Member) healthy(p *process) error {
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(hang); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.ended:
			return fmt.Errorf("%s has ended at once", m.c.program)
		default:
		}
		r, err := c.Get("http://" + m.client + "/health")
		if err != nil {
			continue
		}
		text, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
		_ = r.Body.Close()
		if strings.Contains(string(text), `"true"`) {
			return nil
		}
	}
	return fmt.Errorf("it is not ready within %v", hang)
}
