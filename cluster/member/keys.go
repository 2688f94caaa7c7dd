// SPDX-License-Identifier: Apache-2.0

package member

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/names"
	"github.com/skybus-io/skybus/route"
)

// Root returns what the keys begin with that the hosts of a cluster publish.
func Root(cluster string) string { return "/skybus/" + cluster + "/net/" }

// The parts below the root. Keys of this package are without the root, unless called full.
const (
	hostsPart  = "hosts/"
	routesPart = "routes/"
	groupsPart = "groups/"
)

func hostKey(host string) string { return hostsPart + host }

// routeKey has a fixed width, so that keys sort as prefixes do.
func routeKey(p addr.Prefix) string {
	return fmt.Sprintf("%s%08x-%02d", routesPart, uint32(p.Addr), p.Bits)
}

func groupKey(name, host string) string { return groupsPart + name + "/" + host }

// kind says what a key is about.
type kind uint8

const (
	kindHost kind = iota
	kindRoute
	kindGroup
)

// An ident is a key that has been read.
type ident struct {
	kind   kind
	host   string      // of a host or a group
	prefix addr.Prefix // of a route
	group  string
}

// parseKey reads a key; there is one way to write each.
func parseKey(key string) (id ident, err error) {
	ok := false
	switch {
	case strings.HasPrefix(key, hostsPart):
		id = ident{kind: kindHost, host: key[len(hostsPart):]}
		ok = validHost(id.host)
	case strings.HasPrefix(key, routesPart):
		id.kind = kindRoute
		id.prefix, ok = parsePrefix(key[len(routesPart):])
	case strings.HasPrefix(key, groupsPart):
		id.kind = kindGroup
		id.group, id.host, ok = strings.Cut(key[len(groupsPart):], "/")
		ok = ok && names.Check(id.group) == nil && validHost(id.host)
	}
	if !ok {
		return ident{}, fmt.Errorf("key %s: want hosts/HOST, routes/PREFIX or groups/NAME/HOST", quote(key))
	}
	return id, nil
}

const prefixWidth = len("00000000-00")

func parsePrefix(text string) (p addr.Prefix, ok bool) {
	if len(text) != prefixWidth || text[8] != '-' {
		return p, false
	}
	a, err := strconv.ParseUint(text[:8], 16, 32)
	if err != nil {
		return p, false
	}
	bits, err := strconv.ParseUint(text[9:], 10, 8)
	if err != nil || bits > 32 {
		return p, false
	}
	p = addr.Prefix{Addr: addr.Addr(a), Bits: uint8(bits)}
	exactNone := p.IsExact() && p.Addr.IsNone()
	return p, validPrefix(p) && !exactNone && routeKey(p) == routesPart+text
}

// validPrefix tells whether the bits behind the prefix are 0.
func validPrefix(p addr.Prefix) bool { return p.Bits <= 32 && uint32(p.Addr)<<p.Bits == 0 }

// validHost tells whether s can be the name of a host.
func validHost(s string) bool {
	return (route.Host{Name: s, Address: "h:1"}).Validate() == nil
}

// checkCluster says what is wrong with the name of a cluster.
func checkCluster(name string) error {
	if !validHost(name) { // the same rule
		return fmt.Errorf("cluster %s: want 1 to 63 of a-z A-Z 0-9 . _ -", quote(name))
	}
	return nil
}

// quote shows a text from outside, at most 64 bytes of it.
func quote(s string) string {
	if len(s) > 64 {
		return strconv.Quote(s[:64]) + "..."
	}
	return strconv.Quote(s)
}
