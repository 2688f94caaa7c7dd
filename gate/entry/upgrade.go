// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // RFC 6455 demands it; it protects nothing here
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// An upgrade is a request that has been accepted.
type upgrade struct {
	web     WebInfo
	key     string
	deflate bool
}

// A rejection is the answer to a request that is not.
type rejection struct {
	status int
	why    Reason
	text   string
	plain  bool // it is no upgrade at all: a Handler may know it
}

// Error makes a rejection an error.
func (r *rejection) Error() string { return fmt.Sprintf("%d %s", r.status, r.text) }

func reject(status int, why Reason, format string, args ...any) *rejection {
	return &rejection{status: status, why: why, text: fmt.Sprintf(format, args...)}
}

// heads reads requests out of bytes that are there.
var heads = sync.Pool{New: func() any { return bufio.NewReader(nil) }}

// readRequest reads the head of a request. The request has no body to read.
func readRequest(head []byte) (*http.Request, *rejection) {
	r := heads.Get().(*bufio.Reader)
	r.Reset(bytes.NewReader(head))
	req, err := http.ReadRequest(r)
	r.Reset(nil)
	heads.Put(r)
	if err != nil {
		return nil, reject(http.StatusBadRequest, BadRequest, "%v", err)
	}
	for name, values := range req.Header {
		if strings.ContainsFunc(name, notToken) || slices.ContainsFunc(values, hasControl) {
			return nil, reject(http.StatusBadRequest, BadRequest, "header %.100q", name)
		}
	}
	hasBody := req.ContentLength != 0 || len(req.TransferEncoding) > 0
	req.Body = http.NoBody
	if hasBody && wantsUpgrade(req) {
		return nil, reject(http.StatusBadRequest, BadRequest, "a body, want none")
	}
	return req, nil
}

// hasControl reports whether the value of a header has a byte that none may have.
func hasControl(value string) bool {
	return strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// wantsUpgrade reports whether a request asks for WebSocket.
func wantsUpgrade(r *http.Request) bool { return hasToken(r.Header["Upgrade"], "websocket") }

// judge decides about a request.
func (c *WebSocket) judge(r *http.Request) (*upgrade, *rejection) {
	if no := c.judgePlace(r); no != nil {
		return nil, no
	}
	if no := judgeHandshake(r); no != nil {
		return nil, no
	}
	if !originAllowed(c.Origins, r.Header["Origin"], r.Host) {
		return nil, reject(http.StatusForbidden, BadOrigin, "origin %.100q may not connect", r.Header.Get("Origin"))
	}
	return &upgrade{
		web: WebInfo{
			Path:        strings.Clone(r.URL.Path), // the request is not to be kept
			Query:       strings.Clone(r.URL.RawQuery),
			Subprotocol: chosen(c.Subprotocols, r.Header["Sec-Websocket-Protocol"]),
			Header:      wanted(r.Header, c.Headers),
		},
		key:     r.Header.Get("Sec-Websocket-Key"),
		deflate: c.Deflate && offersDeflate(r.Header["Sec-Websocket-Extensions"]),
	}, nil
}

// judgePlace decides whether it is an upgrade, and at a path where one may be.
func (c *WebSocket) judgePlace(r *http.Request) *rejection {
	here := c.Paths == nil || slices.Contains(c.Paths, r.URL.Path)
	upgrade := wantsUpgrade(r)
	switch {
	case here && upgrade:
		return nil
	case here && r.Method == http.MethodGet:
		no := reject(http.StatusUpgradeRequired, NotFound, "WebSocket is spoken here")
		no.plain = true
		return no
	}
	no := reject(http.StatusNotFound, NotFound, "nothing is at %.100q", r.URL.Path)
	no.plain = !upgrade
	return no
}

// judgeHandshake checks what RFC 6455, 4.2.1 demands of a request to upgrade.
func judgeHandshake(r *http.Request) *rejection {
	bad := func(format string, args ...any) *rejection {
		return reject(http.StatusBadRequest, BadRequest, format, args...)
	}
	keys, version := r.Header["Sec-Websocket-Key"], r.Header["Sec-Websocket-Version"]
	switch {
	case r.Method != http.MethodGet:
		return bad("method %.20q, want GET", r.Method)
	case !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1:
		return bad("%.20q, want HTTP/1.1", r.Proto)
	case r.Host == "":
		return bad("no Host")
	case !hasToken(r.Header["Connection"], "upgrade"):
		return bad("Connection %.40q, want Upgrade", strings.Join(r.Header["Connection"], ", "))
	case !slices.Equal(version, []string{"13"}):
		return reject(http.StatusUpgradeRequired, BadRequest, "Sec-WebSocket-Version %.40q, want 13", version)
	case len(keys) != 1:
		return bad("%d Sec-WebSocket-Keys, want one", len(keys))
	}
	if key, err := base64.StdEncoding.Strict().DecodeString(keys[0]); err != nil || len(key) != 16 {
		return bad("Sec-WebSocket-Key %.40q, want 16 bytes in base64", keys[0])
	}
	return nil
}

// hasToken reports whether a list of tokens has one, in whatever case.
func hasToken(headers []string, token string) bool {
	for _, h := range headers {
		for t := range strings.SplitSeq(h, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// chosen returns the first of the server's subprotocols that the client offers.
func chosen(own, headers []string) string {
	for _, name := range own {
		for _, h := range headers {
			for offer := range strings.SplitSeq(h, ",") {
				if strings.TrimSpace(offer) == name {
					return name
				}
			}
		}
	}
	return ""
}

// wanted returns copies of the headers that have these names; nil for none.
func wanted(all http.Header, names []string) http.Header {
	var kept http.Header
	for _, name := range names {
		key := http.CanonicalHeaderKey(name)
		values := all[key]
		if key == "Host" || len(values) == 0 {
			continue
		}
		if kept == nil {
			kept = make(http.Header)
		}
		for _, v := range values {
			kept[key] = append(kept[key], strings.Clone(v))
		}
	}
	return kept
}

// acceptGUID is what is added to a client's key (RFC 6455, 1.3).
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// appendAnswer appends the response that ends the handshake.
func (u *upgrade) appendAnswer(dst []byte) []byte {
	sum := sha1.Sum([]byte(u.key + acceptGUID)) //nolint:gosec // see the import
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = base64.StdEncoding.AppendEncode(dst, sum[:])
	if u.web.Subprotocol != "" {
		dst = append(append(dst, "\r\nSec-WebSocket-Protocol: "...), u.web.Subprotocol...)
	}
	if u.deflate {
		dst = append(dst, "\r\nSec-WebSocket-Extensions: "+deflateAnswer...)
	}
	return append(dst, "\r\n\r\n"...)
}

// appendAnswer appends the response to a request that is not accepted. The
// connection is closed behind it.
func (r *rejection) appendAnswer(dst []byte) []byte {
	body := r.text + "\n"
	dst = fmt.Appendf(dst, "HTTP/1.1 %d %s\r\n", r.status, http.StatusText(r.status))
	if r.status == http.StatusUpgradeRequired {
		dst = append(dst, "Upgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n"...)
	} else {
		dst = append(dst, "Connection: close\r\n"...)
	}
	return fmt.Appendf(dst, "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nContent-Length: %d\r\n\r\n%s",
		len(body), body)
}
