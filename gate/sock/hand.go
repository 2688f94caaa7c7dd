// SPDX-License-Identifier: Apache-2.0

package sock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/skybus-io/skybus/internal/sys"
)

// handHead is the length of the payload, which the descriptor goes with.
const handHead = 4

// SendFD gives the socket to the process at the other end of a Unix stream, with a payload. The Conn
// stays open here: Release closes it without the peer noticing. It is called when Loop does not run. Deadlines
// of to hold; after an error to is of no more use.
func (c *Conn) SendFD(to *net.UnixConn, payload []byte) error {
	msg := binary.BigEndian.AppendUint32(make([]byte, 0, handHead+len(payload)), uint32(len(payload)))
	msg = append(msg, payload...)
	var n int
	var serr error
	err := c.raw.Control(func(fd uintptr) {
		n, _, serr = to.WriteMsgUnix(msg, sys.Rights(int(fd)), nil)
	})
	if err = errors.Join(err, serr); err == nil && n < len(msg) { // an empty write fails where the other end has all and is gone
		_, err = to.Write(msg[n:])
	}
	if err != nil {
		return fmt.Errorf("send a descriptor: %w", err)
	}
	return nil
}

// RecvFD takes what one SendFD has sent: a socket, and a payload of at most limit bytes. The error is io.EOF if the other
// end has closed before. Deadlines of from hold; after an error it is of no more use.
func RecvFD(from *net.UnixConn, limit int) (c *Conn, payload []byte, err error) {
	fd, size, err := recvHead(from)
	if err != nil {
		return nil, nil, err
	}
	if size > uint32(max(limit, 0)) {
		return nil, nil, errors.Join(fmt.Errorf("receive a descriptor: a payload of %d bytes, want at most %d", size, limit), sys.CloseFD(fd))
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(from, payload); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("receive a descriptor: %w", err), sys.CloseFD(fd))
	}
	if c, err = FromFD(fd); err != nil {
		return nil, nil, err
	}
	return c, payload, nil
}

// recvHead reads the length, whose first byte a descriptor comes with.
func recvHead(from *net.UnixConn) (fd int, size uint32, err error) {
	var head [handHead]byte
	control := make([]byte, 4*sys.RightsSize)
	n, m, _, _, err := from.ReadMsgUnix(head[:], control)
	if n == 0 && (err == nil || errors.Is(err, io.EOF)) {
		return 0, 0, io.EOF
	}
	if err != nil {
		return 0, 0, fmt.Errorf("receive a descriptor: %w", err)
	}
	fds, err := sys.ParseRights(control[:m])
	if err == nil && len(fds) != 1 {
		err = fmt.Errorf("%d descriptors, want 1", len(fds))
	}
	if err == nil {
		_, err = io.ReadFull(from, head[n:])
	}
	if err != nil {
		for _, fd := range fds {
			_ = sys.CloseFD(fd)
		}
		return 0, 0, fmt.Errorf("receive a descriptor: %w", err)
	}
	return fds[0], binary.BigEndian.Uint32(head[:]), nil
}

// FromFD returns a Conn of the descriptor of a connected stream socket, which it takes over: also if there
// is an error, when it is closed.
func FromFD(fd int) (*Conn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	if f == nil {
		return nil, fmt.Errorf("descriptor %d: want one of 0 and above", fd)
	}
	defer f.Close() // net has one of its own
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	s, err := New(c)
	if err == nil && c.RemoteAddr() == nil {
		err = fmt.Errorf("descriptor %d: the socket is not connected", fd)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return s, nil
}
