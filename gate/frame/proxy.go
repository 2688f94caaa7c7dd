// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
)

// MaxProxy is how many bytes a header of the PROXY protocol may have; the format
// could say 65,551.
const MaxProxy = 4096

// What a connection begins with in place of a header of version 2.
var (
	ErrNoProxy = errors.New("no PROXY header")
	ErrProxyV1 = errors.New("a PROXY header of version 1, want version 2")
)

// A Network says how a proxied connection is made.
type Network uint8

// The networks that version 2 has.
const (
	NetworkNone Network = iota // the proxy does not say, or LOCAL
	TCP4
	UDP4
	TCP6
	UDP6
	UnixStream
	UnixDatagram
)

// String returns the name that package net has for it.
func (n Network) String() string {
	names := [...]string{"none", "tcp4", "udp4", "tcp6", "udp6", "unix", "unixgram"}
	if int(n) < len(names) {
		return names[n]
	}
	return fmt.Sprintf("network %d", uint8(n))
}

// A ProxyAddr is one end of a proxied connection. (This package may not know netip.)
type ProxyAddr struct {
	IP   []byte // 4 or 16 bytes, in network order; lies in the header
	Port uint16
	Path []byte // of a Unix socket; lies in the header
}

// A Proxy is what the header says of the connection that follows.
type Proxy struct {
	Local       bool // the proxy's own connection, a health check for example: the real addresses count
	Network     Network
	Source      ProxyAddr // the client
	Destination ProxyAddr // what the client connected to
}

const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyV1        = "PROXY "
	proxyHead      = 16

	proxyLocal = 0x20 // version and command
	proxyProxy = 0x21

	tlvHead  = 3
	tlvCRC32 = 3 // PP2_TYPE_CRC32C
	crcSize  = 4
)

// proxyFamilies gives network and bytes of addresses for the byte of family and
// transport.
var proxyFamilies = map[byte]struct {
	network Network
	size    int
}{
	0x00: {NetworkNone, 0},
	0x11: {TCP4, 12}, 0x12: {UDP4, 12},
	0x21: {TCP6, 36}, 0x22: {UDP6, 36},
	0x31: {UnixStream, 216}, 0x32: {UnixDatagram, 216},
}

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	noSum      = make([]byte, crcSize) // never written; on the stack it would not stay there
)

// ParseProxy reads the header of the PROXY protocol, version 2, that a connection
// begins with, and returns how many bytes it has; n is 0 if more are needed. What p
// has lies in b. All of a LOCAL header behind its length is passed over, as the protocol demands;
// otherwise the extensions (TLVs) must fill the rest of the header, and a checksum among them must
// be right. Other extensions are passed over.
//
// Errors: ErrNoProxy and ErrProxyV1, with the first byte that differs; ErrTooLarge for one
// above MaxProxy bytes, and ErrMalformed. It allocates only for an error.
func ParseProxy(b []byte) (p Proxy, n int, err error) {
	if len(b) < proxyHead {
		return Proxy{}, 0, checkProxyHead(b)
	}
	if err := checkProxyHead(b[:proxyHead]); err != nil {
		return Proxy{}, 0, err
	}
	end := proxyHead + int(be.Uint16(b[14:]))
	if end > MaxProxy {
		return Proxy{}, 0, tooLarge(uint64(end), MaxProxy)
	}
	if len(b) < end {
		return Proxy{}, 0, nil
	}
	p, err = readProxy(b[:end:end])
	if err != nil {
		return Proxy{}, 0, err
	}
	return p, end, nil
}

// checkProxyHead looks at what is there of the first 16 bytes.
func checkProxyHead(b []byte) error {
	sign := min(len(b), len(proxySignature))
	if string(b[:sign]) != proxySignature[:sign] {
		switch n := min(len(b), len(proxyV1)); {
		case string(b[:n]) != proxyV1[:n]:
			return fmt.Errorf("%w: the connection begins with % x", ErrNoProxy, b[:sign])
		case n == len(proxyV1):
			return ErrProxyV1
		}
		return nil
	}
	if len(b) > 12 && b[12] != proxyLocal && b[12] != proxyProxy {
		return malformed("PROXY header", fmt.Sprintf("version and command %#x", b[12]), "%#x or %#x", proxyLocal, proxyProxy)
	}
	if len(b) > 13 && b[12] == proxyProxy {
		if _, ok := proxyFamilies[b[13]]; !ok {
			return malformed("PROXY header", fmt.Sprintf("family and transport %#x", b[13]), "0x00, 0x11, 0x12, 0x21, 0x22, 0x31 or 0x32")
		}
	}
	return nil
}

// readProxy reads a whole header whose first 14 bytes are right.
func readProxy(b []byte) (Proxy, error) {
	if b[12] == proxyLocal {
		return Proxy{Local: true}, nil
	}
	family := proxyFamilies[b[13]]
	rest := b[proxyHead:]
	if len(rest) < family.size {
		return Proxy{}, malformed("PROXY header", fmt.Sprintf("%d bytes of addresses", len(rest)), "%d for %v", family.size, family.network)
	}
	if err := checkTLVs(b, proxyHead+family.size); err != nil {
		return Proxy{}, err
	}
	p := Proxy{Network: family.network}
	switch family.network {
	case TCP4, UDP4:
		p.Source = ProxyAddr{IP: rest[0:4:4], Port: be.Uint16(rest[8:])}
		p.Destination = ProxyAddr{IP: rest[4:8:8], Port: be.Uint16(rest[10:])}
	case TCP6, UDP6:
		p.Source = ProxyAddr{IP: rest[0:16:16], Port: be.Uint16(rest[32:])}
		p.Destination = ProxyAddr{IP: rest[16:32:32], Port: be.Uint16(rest[34:])}
	case UnixStream, UnixDatagram:
		p.Source.Path, p.Destination.Path = unixPath(rest[:108:108]), unixPath(rest[108:216:216])
	}
	return p, nil
}

// unixPath cuts the zeros at the end of a path; an abstract one begins with a zero.
func unixPath(b []byte) []byte {
	if len(b) > 0 && b[0] == 0 {
		b = bytes.TrimRight(b, "\x00")
	} else if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return b[:len(b):len(b)]
}

// checkTLVs goes through the extensions of the header b, from offset at to its end.
func checkTLVs(b []byte, at int) error {
	checked := false
	for at < len(b) {
		if len(b)-at < tlvHead {
			return malformed("PROXY header", fmt.Sprintf("%d bytes at offset %d", len(b)-at, at), "an extension, of at least %d", tlvHead)
		}
		size := int(be.Uint16(b[at+1:]))
		value := at + tlvHead
		if len(b)-value < size {
			return malformed("PROXY header", fmt.Sprintf("an extension of %d bytes at offset %d", size, at), "at most the %d that are left", len(b)-value)
		}
		if b[at] == tlvCRC32 {
			if checked {
				return malformed("PROXY header", fmt.Sprintf("a second checksum at offset %d", at), "one")
			}
			if err := checkCRC(b, value, size); err != nil {
				return err
			}
			checked = true
		}
		at = value + size
	}
	return nil
}

// checkCRC compares the checksum at offset at with that of the header in which it is 0.
func checkCRC(b []byte, at, size int) error {
	if size != crcSize {
		return malformed("PROXY header", fmt.Sprintf("a checksum of %d bytes", size), "%d", crcSize)
	}
	sum := crc32.Update(0, castagnoli, b[:at])
	sum = crc32.Update(sum, castagnoli, noSum)
	sum = crc32.Update(sum, castagnoli, b[at+crcSize:])
	if found := be.Uint32(b[at:]); found != sum {
		return malformed("PROXY header", fmt.Sprintf("the checksum %#08x", found), "%#08x", sum)
	}
	return nil
}
