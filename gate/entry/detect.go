// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"bytes"
	"errors"
)

var errTooLong = errors.New("more bytes than allowed")

// kind is what the first bytes of a connection are.
type kind uint8

const (
	undecided kind = iota // more bytes are needed
	isTLS
	isHTTP
	isPackets
	isWrong // nothing that is accepted
)

// The first bytes of a ClientHello: a record of type handshake, major version 3.
var helloStart = []byte{0x16, 0x03}

// methods are the requests that are told apart from packets. One that only can be an
// upgrade is GET; the others are for a Handler.
var (
	getOnly = [][]byte{[]byte("GET ")}
	methods = [][]byte{
		[]byte("GET "), []byte("HEAD "), []byte("POST "), []byte("PUT "), []byte("PATCH "), []byte("DELETE "),
		[]byte("OPTIONS "),
	}
)

// detect says what the first bytes are, given what is accepted. Where that leaves
// one possibility, it says so before the first byte. any: methods other than GET
// are requests too.
func detect(b []byte, accepted Protocols, anyMethod bool) kind {
	if k, ok := only(accepted); ok {
		return k
	}
	if accepted&secure != 0 {
		switch startsWith(b, helloStart) {
		case isWhole:
			return isTLS
		case isPart:
			return undecided
		}
	}
	if accepted&WS != 0 {
		switch request(b, anyMethod) {
		case isWhole:
			return isHTTP
		case isPart:
			return undecided
		}
	}
	if accepted&TCP != 0 {
		return isPackets
	}
	return isWrong
}

// only returns what every connection is when just one kind is accepted.
func only(accepted Protocols) (kind, bool) {
	switch {
	case accepted&plain == 0:
		return isTLS, true
	case accepted == TCP:
		return isPackets, true
	case accepted == WS:
		return isHTTP, true
	}
	return undecided, false
}

// match says how far bytes are what they are compared with.
type match uint8

const (
	isOther match = iota
	isPart        // as far as they go
	isWhole
)

func startsWith(b, prefix []byte) match {
	n := min(len(b), len(prefix))
	switch {
	case !bytes.Equal(b[:n], prefix[:n]):
		return isOther
	case n < len(prefix):
		return isPart
	}
	return isWhole
}

// request says whether b begins as an HTTP request does.
func request(b []byte, anyMethod bool) match {
	list := getOnly
	if anyMethod {
		list = methods
	}
	best := isOther
	for _, m := range list {
		best = max(best, startsWith(b, m))
	}
	return best
}

// headEnd returns where the head of an HTTP request ends: behind its first empty
// line. 0: not yet. from is where to begin, a position at which an earlier call saw the end.
func headEnd(b []byte, from int) int {
	for i := max(from-3, 0); i < len(b); i++ {
		if b[i] != '\n' {
			continue
		}
		rest := b[i+1:]
		if len(rest) > 0 && rest[0] == '\r' {
			rest = rest[1:]
		}
		if len(rest) > 0 && rest[0] == '\n' {
			return len(b) - len(rest) + 1
		}
	}
	return 0
}
