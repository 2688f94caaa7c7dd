// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sys

import (
	"errors"
	"os"
	"time"
)

// MaxVectors is how many pieces WriteVectors takes at most.
const MaxVectors = 64

// RightsSize means nothing.
var RightsSize = 0

// Vectors means nothing.
type Vectors struct{}

// Hint means nothing.
type Hint struct{}

// WantHint is not there.
func WantHint(RawConn) error { return errors.ErrUnsupported }

// Recv is not there.
func Recv(uintptr, []byte, *Hint) (n int, drained, again bool, err error) {
	return 0, false, false, errors.ErrUnsupported
}

// RecvNow is not there.
func RecvNow(uintptr, []byte) (n int, again bool, err error) { return 0, false, errors.ErrUnsupported }

// PeekNow is not there.
func PeekNow(uintptr, []byte) (n int, again bool, err error) { return 0, false, errors.ErrUnsupported }

// NothingYet is not there.
func NothingYet(uintptr) bool { return false }

// SendNow is not there.
func SendNow(uintptr, []byte) (n int, again bool, err error) { return 0, false, errors.ErrUnsupported }

// WriteVectors is not there.
func WriteVectors(uintptr, [][]byte, *Vectors) (n int, again bool, err error) {
	return 0, false, errors.ErrUnsupported
}

// WaitWritable is not there.
func WaitWritable(RawConn) error { return errors.ErrUnsupported }

// Cut is not there.
func Cut(RawConn) error { return errors.ErrUnsupported }

// ShutdownBoth is not there.
func ShutdownBoth(RawConn) error { return errors.ErrUnsupported }

// ShutdownWrite is not there.
func ShutdownWrite(RawConn) error { return errors.ErrUnsupported }

// SetUserTimeout is not there.
func SetUserTimeout(RawConn, time.Duration) error { return errors.ErrUnsupported }

// Rights is not there.
func Rights(...int) []byte { return nil }

// ParseRights is not there.
func ParseRights([]byte) ([]int, error) { return nil, errors.ErrUnsupported }

// SocketPair is not there.
func SocketPair() (a, b *os.File, err error) { return nil, nil, errors.ErrUnsupported }

// CloseFD is not there.
func CloseFD(int) error { return errors.ErrUnsupported }
