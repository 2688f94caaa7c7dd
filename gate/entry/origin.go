// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// origin is where a page comes from (RFC 6454), in lower case and without the port
// that its scheme has anyway. As a pattern, host may begin with "*.".
type origin struct {
	scheme, host string // host with the port
}

// parseOrigin reads "scheme://host" or "scheme://host:port"; false: it is something else, such as "null".
func parseOrigin(s string) (origin, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.User != nil {
		return origin{}, false
	}
	if u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(s, "#") {
		return origin{}, false
	}
	scheme := strings.ToLower(u.Scheme)
	return origin{scheme, hostPort(scheme, u.Host)}, true
}

// hostPort returns a host with its port, unless the scheme has that anyway.
func hostPort(scheme, host string) string {
	host = strings.ToLower(host)
	switch scheme {
	case "http", "ws":
		host = strings.TrimSuffix(host, ":80")
	case "https", "wss":
		host = strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":")
}

// matches reports whether o is what a pattern stands for.
func (o origin) matches(pattern origin) bool {
	if o.scheme != pattern.scheme {
		return false
	}
	if below, ok := strings.CutPrefix(pattern.host, "*"); ok {
		return len(o.host) > len(below) && strings.HasSuffix(o.host, below)
	}
	return o.host == pattern.host
}

// originAllowed decides about a page; host is what the client asked for. An
// origin that is not there is that of a client that is no browser.
func originAllowed(allowed []string, header []string, host string) bool {
	if len(header) == 0 || slices.Contains(allowed, "*") {
		return true
	}
	o, ok := parseOrigin(header[0])
	if !ok || len(header) > 1 {
		return false
	}
	if len(allowed) == 0 {
		return o.host == hostPort(o.scheme, host)
	}
	return slices.ContainsFunc(allowed, func(s string) bool {
		pattern, ok := parseOrigin(s)
		return ok && o.matches(pattern)
	})
}

// checkOrigins reports the first of the patterns that is none.
func checkOrigins(allowed []string) error {
	for _, s := range allowed {
		if s == "*" {
			continue
		}
		o, ok := parseOrigin(s)
		if !ok || strings.Contains(strings.TrimPrefix(o.host, "*."), "*") {
			return fmt.Errorf(`entry: WebSocket.Origins has %q, want "https://host", "https://*.host" or "*"`, s)
		}
	}
	return nil
}
