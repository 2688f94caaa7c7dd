// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"strconv"
	"strings"
)

// A client's presence is a key below the root of the names that goes with its lease. Its value is a word and, if the
// client has a daemon with a name, that host's: `here west`. Whoever sees it go, and had not seen it say that it leaves, has seen
// a death.
const (
	presenceMark = ":" // begins it: no name does
	presenceHere = "here"
	presenceLeft = "left"
)

func presenceKey(root string, id LeaseID) string {
	return fmt.Sprintf("%s%s%016x", root, presenceMark, uint64(id))
}

// PresenceKey returns the key below root, as NamesRoot makes it, that says of a client whether it is there.
func PresenceKey(root string, id LeaseID) string { return presenceKey(root, id) }

// IsPresence says whether a key is that of a client's presence below root.
func IsPresence(root, key string) bool {
	_, ok := presenceOf(root, key)
	return ok
}

// PresenceHost returns the host that the value of a presence names; ok is false if it names none.
func PresenceHost(value []byte) (host string, ok bool) {
	p := parsePresence(0, value)
	return p.host, !p.alone()
}

// PresenceLeft returns what the value of a presence becomes when the client leaves; here says whether
// it has not left yet.
func PresenceLeft(value []byte) (left []byte, here bool) {
	word, host, _ := strings.Cut(string(value), " ")
	return presenceValue(presenceLeft, host), word == presenceHere
}

// presenceValue says word of a client on a host; without a name it is a host of its own.
func presenceValue(word, host string) []byte {
	if host == "" {
		return []byte(word)
	}
	return []byte(word + " " + host)
}

// presenceOf reads the key of a presence.
func presenceOf(root, key string) (LeaseID, bool) {
	text, ok := strings.CutPrefix(key, root+presenceMark)
	id, err := strconv.ParseUint(text, 16, 64)
	return LeaseID(id), ok && err == nil
}

// A presence is what is known of a client.
type presence struct {
	host string // or what begins with presenceMark: a host of its own
	left bool
}

// alone reports whether the client is a host of its own.
func (p presence) alone() bool { return strings.HasPrefix(p.host, presenceMark) }

// parsePresence reads the value of a presence.
func parsePresence(id LeaseID, value []byte) presence {
	word, host, _ := strings.Cut(string(value), " ")
	if host == "" || len(host) > 63 || strings.Trim(host, clusterBytes) != "" {
		host = fmt.Sprintf("%s%x", presenceMark, uint64(id))
	}
	return presence{host: host, left: word == presenceLeft}
}
