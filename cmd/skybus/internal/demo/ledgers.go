// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"errors"
	"io"
	"os"
)

// ledgers are the two ledgers of a part, as the parent sees them.
type ledgers struct {
	dir        string
	sent, seen *os.File // to be read
}

// newLedgers makes both in the folder dir, which is there.
func newLedgers(dir string) (*ledgers, error) {
	s := spec{Ledgers: dir}
	sent, err := openSent(s.sentPath())
	if err != nil {
		return nil, err
	}
	sent.close()
	seen, err := openSeen(s.seenPath())
	if err != nil {
		return nil, err
	}
	seen.close()
	l := &ledgers{dir: dir}
	if l.sent, err = os.Open(s.sentPath()); err != nil {
		return nil, err
	}
	if l.seen, err = os.Open(s.seenPath()); err != nil {
		return nil, errors.Join(err, l.sent.Close())
	}
	return l, nil
}

func (l *ledgers) close() {
	if l != nil {
		l.sent.Close()
		l.seen.Close()
	}
}

// read returns the state of both.
func (l *ledgers) read() (sent sentState, seen seenState, err error) {
	if sent, err = readSent(l.sent); err != nil {
		return sent, seen, err
	}
	seen, err = readSeen(l.seen)
	return sent, seen, err
}

// audit says what became of the messages 1 to accepted.
func (l *ledgers) audit(accepted uint64) (Audit, error) {
	return audit(io.NewSectionReader(l.seen, marksAt, maxNumber+1), accepted)
}
