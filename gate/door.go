// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/entry"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/sock"
	"github.com/skybus-io/skybus/gate/vault"
)

// What processes of gates say to each other at a home's door: one byte, and what follows it. All of a host's gates are of one user and
// one version.
const (
	doorHand = 'H' // a connection follows, as sock.SendFD has it, with a handed
	doorGive = 'G' // the home is to be given back
	doorDone = 'K' // the answer, when it is done
	doorOwn  = 'O' // the answer of a gate whose own home is to be given back
)

const (
	doorPatience  = 5 * time.Second // for each exchange, but
	givePatience  = 15 * time.Second
	handedMost    = 256 << 10
	adoptEach     = 250 * time.Millisecond
	shareAgain    = 100 * time.Millisecond
	reclaimPauses = 20 * time.Millisecond
)

// A handed is what goes with a connection.
type handed struct {
	Transport                string
	Remote, Local, Proxy     netip.AddrPort
	WebSocket, Text, Deflate bool
	Early                    []byte // what the client has sent: first of all its RESUME
}

// A door is the Unix socket of a home, where other gates of the host hand over clients that resume.
type door struct {
	h    *home
	ln   *net.UnixListener
	path string
	dir  *os.File
	wg   sync.WaitGroup
}

// doorName returns the name of a home's socket in the domain's folder.
func doorName(home addr.Addr) string { return fmt.Sprintf("gate-%08x.sock", uint32(home)) }

// through returns a path of a file in a folder that is short, however long the folder's is: the address of a Unix socket holds 107 bytes.
func through(dir *os.File, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
}

// openDoor makes the socket of a home that this process has bound: one that is there is a dead process's.
func openDoor(h *home) (*door, error) {
	folder := h.g.d.Table().Folder()
	dir, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	d := &door{h: h, dir: dir, path: filepath.Join(folder, doorName(h.addr))}
	_ = os.Remove(d.path)
	d.ln, err = net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: through(dir, doorName(h.addr))})
	if err == nil {
		d.ln.SetUnlinkOnClose(false) // by that path it would be found no more when dir is closed
		err = os.Chmod(d.path, 0o600)
	}
	if err != nil {
		if d.ln != nil {
			_ = d.ln.Close()
		}
		return nil, errors.Join(fmt.Errorf("gate: the socket of home %v: %w", h.addr, err), dir.Close())
	}
	d.wg.Add(1)
	go d.run()
	return d, nil
}

func (d *door) close() {
	_ = os.Remove(d.path)
	_ = d.ln.Close()
	d.wg.Wait()
	_ = d.dir.Close()
}

func (d *door) run() {
	defer d.wg.Done()
	for {
		c, err := d.ln.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			d.h.g.log.Warn("the socket of a home accepts nothing at the moment", "home", d.h.addr, "err", err)
			pause(d.h.ctx, adoptEach)
			if d.h.ctx.Err() != nil {
				return
			}
			continue
		}
		go d.serve(c)
	}
}

// serve does what another process asks for.
func (d *door) serve(c *net.UnixConn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(doorPatience))
	var what [1]byte
	if _, err := io.ReadFull(c, what[:]); err != nil {
		return
	}
	switch what[0] {
	case doorHand:
		if err := d.take(c); err != nil {
			d.h.g.log.Warn("a client cannot be taken over", "home", d.h.addr, "err", err)
			return
		}
		_, _ = io.Copy(io.Discard, c) // the other side closes first: until then it may be writing
	case doorGive:
		answer := byte(doorDone)
		if d.h.g.isOwn(d.h) {
			answer = doorOwn
		} else if !d.h.g.giveBack(d.h) {
			return // it is being adopted, or closed: who asks asks again
		}
		_ = c.SetDeadline(time.Now().Add(doorPatience))
		_, _ = c.Write([]byte{answer})
	}
}

// take serves a connection that another process has accepted.
func (d *door) take(c *net.UnixConn) error {
	s, payload, err := sock.RecvFD(c, handedMost)
	if err != nil {
		return err
	}
	var hd handed
	if err := json.Unmarshal(payload, &hd); err != nil {
		return errors.Join(err, s.Close())
	}
	_, _ = c.Write([]byte{doorDone})
	l := client.Link{WebSocket: hd.WebSocket, Text: hd.Text, Deflate: hd.Deflate, Early: hd.Early}
	conn, err := client.New(s, d.h.g.setup, l)
	if err != nil {
		return err
	}
	d.h.g.count.taken.Add(1)
	return d.h.g.entry.Run(conn, entry.Info{Transport: hd.Transport, Remote: hd.Remote, Local: hd.Local, Proxy: hd.Proxy})
}

// knock connects with the process that has a home.
func (g *Gate) knock(home addr.Addr) (*net.UnixConn, error) {
	dir, err := os.Open(g.d.Table().Folder())
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: through(dir, doorName(home))})
}

// handOver gives a connection to the process that has the home of its session. packet is its RESUME.
func (l *link) handOver(r *frame.Resume, packet []byte) error {
	home := addr.Addr(r.Home)
	if !vault.Exists(l.g.d.Table().Folder(), home) {
		l.refuse(&Refusal{Code: frame.CodeNoSession, Why: "no such session on this host"})
		return nil
	}
	c, err := l.g.knock(home)
	if err != nil { // its process is dead, and nobody has adopted it yet
		l.refuse(&Refusal{Code: frame.CodeBusy, Why: "the session's home is not there at the moment"})
		return nil
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(doorPatience))
	first, err := l.framed(packet)
	if err != nil {
		return err
	}
	s, at, err := l.conn.Detach()
	if err != nil {
		return err
	}
	hd := handed{
		Transport: l.info.Transport, Remote: l.info.Remote, Local: l.info.Local, Proxy: l.info.Proxy,
		WebSocket: at.WebSocket, Text: at.Text, Deflate: at.Deflate, Early: append(first, at.Early...),
	}
	if err := hand(c, s, &hd); err != nil {
		l.g.log.Warn("a client cannot be handed over", "home", home, "remote", l.remote(), "err", err)
		_ = s.Reset()
		return nil
	}
	l.g.count.handed.Add(1)
	_ = s.Release()
	return nil
}

func hand(c *net.UnixConn, s *sock.Conn, hd *handed) error {
	payload, err := json.Marshal(hd)
	if err != nil {
		return err
	}
	if _, err := c.Write([]byte{doorHand}); err != nil {
		return err
	}
	if err := s.SendFD(c, payload); err != nil {
		return err
	}
	return done(c)
}

// done waits for the answer.
func done(c *net.UnixConn) error {
	var answer [1]byte
	if _, err := io.ReadFull(c, answer[:]); err == nil && answer[0] == doorOwn {
		return errOwn
	} else if err != nil || answer[0] != doorDone {
		return fmt.Errorf("the other process has answered %q: %w", answer, err)
	}
	return nil
}

// framed returns a packet of the client as it came.
func (l *link) framed(packet []byte) ([]byte, error) {
	if t := l.info.Transport; strings.HasSuffix(t, "ws") || strings.HasSuffix(t, "wss") {
		h := frame.WSHeader{Fin: true, Opcode: frame.OpBinary, Masked: true}
		return frame.AppendWSFrame(nil, h, packet), nil
	}
	return l.g.setup.Options().Framing.Append(nil, packet)
}
