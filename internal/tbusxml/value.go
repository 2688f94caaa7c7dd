// SPDX-License-Identifier: Apache-2.0

package tbusxml

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// number reads a decimal number, or a hexadecimal one after 0x. One that is too
// large for 64 bits is returned as the largest: no value here may have it.
func number(text string) (v uint64, ok bool) {
	base := 10
	if len(text) > 2 && (text[:2] == "0x" || text[:2] == "0X") {
		text, base = text[2:], 16
	}
	v, err := strconv.ParseUint(text, base, 64)
	return v, err == nil || errors.Is(err, strconv.ErrRange)
}

// maxQuoted is how much of a refused text an error shows, in bytes.
const maxQuoted = 64

func quote(text string) string { return strconv.Quote(shorten(text)) }

// shorten keeps the start of a text, up to a whole character if the text is of
// characters: the name of an encoding may be any bytes.
func shorten(text string) string {
	if len(text) <= maxQuoted {
		return text
	}
	end := maxQuoted
	for end > maxQuoted-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// conn is the value of an MConn.
type conn struct {
	host    string
	port    uint16
	options bool // something stood behind a '?'
}

// parseConn reads tcp://HOST:PORT. What is wrong with it is returned in words.
func parseConn(text string) (c conn, problem string) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || !strings.EqualFold(scheme, "tcp") {
		return conn{}, "is not of the form tcp://HOST:PORT"
	}
	rest, _, c.options = strings.Cut(rest, "?")
	colon := strings.LastIndexByte(rest, ':')
	if colon < 0 || strings.HasSuffix(rest, "]") {
		return conn{}, "has no port, want tcp://HOST:PORT"
	}
	if c.host, ok = host(rest[:colon]); !ok {
		return conn{}, "has no valid host, want a name, an IPv4 address or an IPv6 address in brackets"
	}
	port, ok := number(rest[colon+1:])
	if !ok || port < 1 || port > 65535 {
		return conn{}, "has no valid port, want 1..65535"
	}
	c.port = uint16(port)
	return c, ""
}

// host checks a host as far as its characters tell, and takes the brackets off
// an IPv6 address.
func host(text string) (string, bool) {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		ip, zone, zoned := strings.Cut(inner, "%")
		ok = closed && strings.Count(ip, ":") >= 2 && only(ip, "0123456789abcdefABCDEF:.")
		return inner, ok && (!zoned || isName(zone))
	}
	return text, isName(text)
}

// isName tells whether text can be a host name, an IPv4 address or the zone of
// an IPv6 address.
func isName(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return text != "" && only(text, letters+"0123456789.-_")
}

// only tells whether text has no other characters than those of set.
func only(text, set string) bool { return strings.Trim(text, set) == "" }
