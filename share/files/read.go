// SPDX-License-Identifier: Apache-2.0

package files

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

const (
	readTries = 5
	readPause = 20 * time.Millisecond // before the next try
)

// A handle is an open file.
type handle interface {
	io.ReadCloser
	Stat() (fs.FileInfo, error)
}

func openFile(path string) (handle, error) { return os.Open(path) }

// content is what a file held at one moment.
type content struct {
	data []byte
	sum  [sha256.Size]byte
	info fs.FileInfo
	at   time.Time // when reading began
}

// read returns a file as it was at one moment. While somebody writes to it, it
// is read again a few times.
func (o *options) read(path string) (*content, error) {
	for try := 1; ; try++ {
		c, err := o.readOnce(path)
		if err == nil || !errors.Is(err, ErrChanging) || try == readTries {
			return c, err
		}
		time.Sleep(readPause)
	}
}

func (o *options) readOnce(path string) (*content, error) {
	if err := o.readable(path); err != nil {
		return nil, err
	}
	at := time.Now()
	f, err := o.open(path)
	if err != nil {
		return nil, systemError(path, err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, systemError(path, err)
	}
	if err := o.checkSize(path, before); err != nil {
		return nil, err
	}
	data := make([]byte, before.Size()+1) // one more, to see that there is no more
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, systemError(path, err)
	}
	after, err := f.Stat()
	if err != nil {
		return nil, systemError(path, err)
	}
	if int64(n) != before.Size() || !sameState(before, after) {
		return nil, &Error{Path: path, Reason: "is written to while it is read", Err: ErrChanging}
	}
	data = data[:n]
	return &content{data: data, sum: sha256.Sum256(data), info: after, at: at}, nil
}

// readable looks before the file is opened: to open a pipe may wait for ever.
func (o *options) readable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return systemError(path, err)
	}
	if !info.Mode().IsRegular() {
		return &Error{Path: path, Reason: fmt.Sprintf("is no regular file (%s)", info.Mode().Type()), Err: fs.ErrInvalid}
	}
	return o.checkSize(path, info)
}

func (o *options) checkSize(path string, info fs.FileInfo) error {
	if size := info.Size(); size > o.maxSize {
		return &Error{Path: path, Reason: fmt.Sprintf("has %d bytes, %d are allowed", size, o.maxSize), Err: ErrTooLarge}
	}
	return nil
}

// sameState reports whether a file seems not to have been changed or replaced
// from one look to the next.
func sameState(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// systemError names the file once: the error of a system call does so too.
func systemError(path string, err error) error {
	reason := err.Error()
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		reason = e.Op + ": " + e.Err.Error()
	}
	return &Error{Path: path, Reason: reason, Err: err}
}
