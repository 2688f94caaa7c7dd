// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"strconv"
	"strings"
)

// deflateAnswer is what is agreed on: each message stands by itself, in both
// directions, so that no connection keeps a window of 32 KB (RFC 7692, 7.1.1).
const deflateAnswer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// offersDeflate reports whether the client offers permessage-deflate in a way that
// deflateAnswer is an answer to. headers are its Sec-WebSocket-Extensions.
func offersDeflate(headers []string) bool {
	for _, h := range headers {
		for offer := range strings.SplitSeq(h, ",") {
			if acceptable(offer) {
				return true
			}
		}
	}
	return false
}

// acceptable judges one offer. A parameter that is not known, comes twice or has a
// value that it may not have makes it none (RFC 7692, 7.1).
func acceptable(offer string) bool {
	name, params, _ := strings.Cut(offer, ";")
	if strings.TrimSpace(name) != "permessage-deflate" {
		return false
	}
	seen := make(map[string]bool)
	for params != "" {
		var p string
		p, params, _ = strings.Cut(params, ";")
		key, value, given := strings.Cut(p, "=")
		key, value = strings.TrimSpace(key), unquote(strings.TrimSpace(value))
		if seen[key] || !acceptableParam(key, value, given) {
			return false
		}
		seen[key] = true
	}
	return true
}

func acceptableParam(key, value string, given bool) bool {
	switch key {
	case "server_no_context_takeover", "client_no_context_takeover":
		return !given
	case "client_max_window_bits": // a client that can be told; it is not
		return !given || windowBits(value)
	case "server_max_window_bits": // compress/flate has one window
		return given && value == "15"
	}
	return false
}

func windowBits(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 8 && n <= 15 && s == strconv.Itoa(n)
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
