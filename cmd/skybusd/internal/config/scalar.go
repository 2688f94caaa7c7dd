// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skybus-io/skybus/addr"
)

// A reading turns a value into what it means, or reports what is wrong with it.
type reading[T any] func(value) (T, bool)

// set returns what reads a value into dst.
func set[T any](dst *T, read reading[T]) func(value) {
	return func(v value) {
		if got, ok := read(v); ok {
			*dst = got
		}
	}
}

const maxKey = 1<<31 - 1

// key reads the key of a domain or of a route table.
func (v value) key() (uint32, bool) {
	n, ok := digits(v.node.Value)
	if !v.is(tagInt) || !ok || n < 1 || n > maxKey {
		v.want(fmt.Sprintf("a number 1..%d, decimal or after 0x", maxKey))
		return 0, false
	}
	return uint32(n), true
}

// digits reads a number, decimal or hexadecimal after 0x. A leading zero does
// not make it octal. One that is too large for 64 bits is none.
func digits(s string) (uint64, bool) {
	base := 10
	if len(s) > 2 && (s[:2] == "0x" || s[:2] == "0X") {
		s, base = s[2:], 16
	}
	n, err := strconv.ParseUint(s, base, 64)
	return n, err == nil
}

type integer interface {
	~int | ~int64 | ~uint8
}

// number reads a number from low to high.
func number[T integer](low, high T) reading[T] {
	return func(v value) (T, bool) {
		n, ok := digits(v.node.Value)
		if !v.is(tagInt) || !ok || n < uint64(low) || n > uint64(high) {
			v.want(fmt.Sprintf("a number %d..%d", low, high))
			return 0, false
		}
		return T(n), true
	}
}

// units are what a size may end with.
var units = []struct {
	suffix string
	bytes  uint64
}{{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}}

// size reads a number of bytes from low to high, such as 65536 or 64K.
func size[T integer](low, high T) reading[T] {
	return func(v value) (T, bool) {
		n, ok := sizeOf(v.node.Value)
		if !v.is(tagInt, tagText) || !ok || n < uint64(low) || n > uint64(high) {
			v.want(fmt.Sprintf("a size %s..%s, in bytes or with K, M or G", sizeText(uint64(low)), sizeText(uint64(high))))
			return 0, false
		}
		return T(n), true
	}
}

func sizeOf(s string) (uint64, bool) {
	for _, u := range units {
		if number, ok := strings.CutSuffix(s, u.suffix); ok {
			n, err := strconv.ParseUint(number, 10, 32)
			return n * u.bytes, err == nil // 62 bits at most
		}
	}
	return digits(s)
}

// sizeText writes a size as sizeOf reads it.
func sizeText(n uint64) string {
	for _, u := range units {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatUint(n/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatUint(n, 10)
}

// duration reads a time from low to high.
func duration(low, high time.Duration) reading[time.Duration] {
	return func(v value) (time.Duration, bool) {
		d, err := time.ParseDuration(v.node.Value)
		if !v.is(tagText) || err != nil || d < low || d > high {
			v.want(fmt.Sprintf("a time %s..%s, such as 500ms or 5s", low, high))
			return 0, false
		}
		return d, true
	}
}

func (v value) boolean() (bool, bool) {
	b, err := strconv.ParseBool(strings.ToLower(v.node.Value))
	if !v.is(tagBool) || err != nil {
		v.want("true or false")
		return false, false
	}
	return b, true
}

// word reads one of some words.
func word(words ...string) reading[string] {
	return func(v value) (string, bool) {
		if !v.is(tagText) || !slices.Contains(words, v.node.Value) {
			v.want("one of " + strings.Join(words, ", "))
			return "", false
		}
		return v.node.Value, true
	}
}

func (v value) level() (slog.Level, bool) {
	s, ok := word("debug", "info", "warn", "error")(v)
	var l slog.Level
	return l, ok && l.UnmarshalText([]byte(s)) == nil
}

// maxName is the length of the longest host name, in bytes.
const maxName = 63

const (
	letters   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	nameBytes = letters + "0123456789._-"
)

// host reads the name of a host.
func (v value) host() (string, bool) {
	const what = "the name of a host, 1..63 of a-z A-Z 0-9 . _ -"
	s, ok := v.text(what)
	if ok && (len(s) > maxName || strings.Trim(s, nameBytes) != "") {
		v.want(what)
		return "", false
	}
	return s, ok
}

// listen reads where to listen, and dial where to connect to.
func (v value) listen() (string, bool) {
	const what = "HOST:PORT to listen at, such as 10.0.0.1:7100 or :7100"
	return v.address(what, func(host string, port uint64) bool { return host == "" || isHost(host) })
}

func (v value) dial() (string, bool) {
	const what = "HOST:PORT to dial, such as 10.0.0.2:7100"
	return v.address(what, func(host string, port uint64) bool { return isHost(host) && port > 0 })
}

func (v value) address(what string, good func(host string, port uint64) bool) (string, bool) {
	s, ok := v.text(what)
	if !ok {
		return "", false
	}
	host, digits, err := net.SplitHostPort(s)
	port, perr := strconv.ParseUint(digits, 10, 16)
	if err != nil || perr != nil || !good(host, port) {
		v.want(what)
		return "", false
	}
	return net.JoinHostPort(host, strconv.FormatUint(port, 10)), true
}

// isHost tells whether s can be a host: an IP address, or a name as far as its
// characters tell.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return s != "" && len(s) <= 253 && strings.Trim(s, nameBytes) == ""
}

func (v value) template() (addr.Template, bool) {
	s, ok := v.written("a template such as 8.8.8.8")
	if !ok {
		return addr.Template{}, false
	}
	t, err := addr.ParseTemplate(s)
	if err != nil {
		v.fail("%v", err)
	}
	return t, err == nil
}

// within returns what reads a prefix after a template.
func within(t addr.Template) reading[addr.Prefix] {
	return func(v value) (addr.Prefix, bool) {
		s, ok := v.written(`an address or a prefix such as 0.0.3.* or "*"`)
		if !ok {
			return addr.Prefix{}, false
		}
		if s == "*" { // short for all, whatever the template
			s = strings.TrimSuffix(strings.Repeat("*.", t.Segments()), ".")
		}
		p, err := t.ParsePrefix(s)
		switch {
		case err != nil:
			v.fail("%v", err)
		case p.IsExact() && p.Addr.IsNone():
			v.fail("%s is no address, nothing can be bound to it", s)
		default:
			return p, true
		}
		return addr.Prefix{}, false
	}
}

// in returns what reads a path that is relative to dir.
func in(dir string) reading[string] {
	return func(v value) (string, bool) {
		s, ok := v.text("a path")
		if !ok {
			return "", false
		}
		if filepath.IsAbs(s) {
			return filepath.Clean(s), true
		}
		return filepath.Join(dir, s), true
	}
}

// account reads the name or the number of a user or a group.
func (v value) account() (string, bool) {
	const what = "a name or a number that the system knows"
	s, ok := v.written(what)
	if ok && (v.is(tagFloat) || strings.ContainsAny(s, ":/ ") || strings.HasPrefix(s, "-")) {
		v.want(what)
		return "", false
	}
	return s, ok
}

// maxDesc is the length of the longest description, in bytes.
const maxDesc = 95

func (v value) desc() (string, bool) {
	s, ok := v.text("a description")
	if ok && len(s) > maxDesc {
		v.fail("want a description of at most %d bytes, got %d", maxDesc, len(s))
		return "", false
	}
	return s, ok
}
