// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"net/http"
	"strings"
	"testing"
)

// The key and the answer of RFC 6455, 1.3.
const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// request makes a good request to upgrade, with lines replaced or added: "Name: value", or
// "Name" to leave one out.
func requestWith(line string, changes ...string) string {
	lines := []string{
		"Host: game.example.com", "Upgrade: websocket", "Connection: keep-alive, Upgrade",
		"Sec-WebSocket-Key: " + sampleKey, "Sec-WebSocket-Version: 13",
	}
	name := func(s string) string { n, _, _ := strings.Cut(s, ":"); return n }
	for _, c := range changes {
		kept := lines[:0:0]
		for _, l := range lines {
			if name(l) != name(c) {
				kept = append(kept, l)
			}
		}
		if strings.Contains(c, ":") {
			kept = append(kept, c)
		}
		lines = kept
	}
	return line + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

const getRoot = "GET / HTTP/1.1"

// decide is what a server does with a head.
func decide(c *WebSocket, head string) (*upgrade, *rejection) {
	req, no := readRequest([]byte(head))
	if no != nil {
		return nil, no
	}
	return c.judge(req)
}

// TestHandshakeTable has the demands of RFC 6455, 4.2.1, one by one.
func TestHandshakeTable(t *testing.T) {
	for _, c := range []struct {
		head   string
		status int // 0: accepted
		why    Reason
	}{
		{requestWith(getRoot), 0, 0},
		{requestWith(getRoot, "Upgrade: WebSocket"), 0, 0},
		{requestWith(getRoot, "Upgrade: h2c, websocket"), 0, 0},
		{requestWith(getRoot, "Connection: upgrade"), 0, 0},
		{requestWith("GET http://game.example.com/x HTTP/1.1"), 0, 0},
		{requestWith(getRoot, "Origin: http://game.example.com"), 0, 0},
		{requestWith(getRoot, "Origin: http://evil.example.com"), 403, BadOrigin},
		{requestWith(getRoot, "Origin: null"), 403, BadOrigin},
		{requestWith(getRoot, "Upgrade"), 426, NotFound},
		{requestWith(getRoot, "Upgrade: h2c"), 426, NotFound},
		{requestWith("POST / HTTP/1.1", "Upgrade"), 404, NotFound},
		{requestWith("POST / HTTP/1.1"), 400, BadRequest},
		{requestWith("GET / HTTP/1.0"), 400, BadRequest},
		{requestWith("GET / HTTP/2.0"), 400, BadRequest},
		{requestWith("GET /"), 400, BadRequest},
		{requestWith("GET  / HTTP/1.1"), 400, BadRequest},
		{requestWith(getRoot, "Host"), 400, BadRequest},
		{requestWith(getRoot, "Connection"), 400, BadRequest},
		{requestWith(getRoot, "Connection: close"), 400, BadRequest},
		{requestWith(getRoot, "Sec-WebSocket-Key"), 400, BadRequest},
		{requestWith(getRoot, "Sec-WebSocket-Key: "), 400, BadRequest},
		{requestWith(getRoot, "Sec-WebSocket-Key: c2hvcnQ="), 400, BadRequest},
		{requestWith(getRoot, "Sec-WebSocket-Key: not*base64"), 400, BadRequest},
		{requestWith(getRoot, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="), 400, BadRequest}, // bits behind the end
		{requestWith(getRoot, "Sec-WebSocket-Key : "+sampleKey), 400, BadRequest},
		{requestWith(getRoot, "Sec-WebSocket-Version"), 426, BadRequest},
		{requestWith(getRoot, "Sec-WebSocket-Version: 8"), 426, BadRequest},
		{requestWith(getRoot, "Sec-WebSocket-Version: 13, 8"), 426, BadRequest},
		{requestWith(getRoot, "X(Y: z"), 400, BadRequest},
		{requestWith(getRoot, "X-Y: z\x01"), 400, BadRequest},
		{requestWith(getRoot, "X-Y: a\tb"), 0, 0},
		{requestWith(getRoot, "Content-Length: 5"), 400, BadRequest},
		{requestWith(getRoot, "Transfer-Encoding: chunked"), 400, BadRequest},
		{strings.Replace(requestWith(getRoot), "Host:", "Host: other\r\nHost:", 1), 400, BadRequest},
		{strings.Replace(requestWith(getRoot), "Sec-WebSocket-Key:", "Sec-WebSocket-Key: "+sampleKey+"\r\nSec-WebSocket-Key:", 1), 400, BadRequest},
		{"\r\n\r\n", 400, BadRequest},
		{"\x00\x01\n\n", 400, BadRequest},
	} {
		up, no := decide(&WebSocket{}, c.head)
		switch {
		case c.status == 0 && no != nil:
			t.Errorf("%q: %v, want it accepted", c.head, no)
		case c.status == 0:
			if answer := string(up.appendAnswer(nil)); !strings.Contains(answer, "\r\nSec-WebSocket-Accept: "+sampleAccept+"\r\n") {
				t.Errorf("%q: answer %q", c.head, answer)
			}
		case no == nil:
			t.Errorf("%q: accepted, want %d", c.head, c.status)
		case no.status != c.status || no.why != c.why:
			t.Errorf("%q: %v (%v), want %d (%v)", c.head, no, no.why, c.status, c.why)
		}
	}
}

func TestPaths(t *testing.T) {
	c := &WebSocket{Paths: []string{"/ws", "/a b"}}
	for line, want := range map[string]int{
		"GET /ws HTTP/1.1": 0, "GET /ws?token=x HTTP/1.1": 0, "GET /a%20b HTTP/1.1": 0,
		"GET / HTTP/1.1": 404, "GET /ws/ HTTP/1.1": 404, "GET /WS HTTP/1.1": 404,
	} {
		_, no := decide(c, requestWith(line))
		if no == nil && want != 0 || no != nil && no.status != want {
			t.Errorf("%s: %v, want %d", line, no, want)
		}
	}
}

func TestWhatIsAgreed(t *testing.T) {
	c := &WebSocket{Subprotocols: []string{"v2", "v1"}, Headers: []string{"cookie", "X-Room"}, Deflate: true}
	head := requestWith("GET /room/7?token=a%2Fb HTTP/1.1", "Sec-WebSocket-Protocol: v1, other,v2", "Cookie: sid=1",
		"x-room: 7", "User-Agent: x", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
	up, no := decide(c, head)
	if no != nil {
		t.Fatal(no)
	}
	w := up.web
	if w.Path != "/room/7" || w.Query != "token=a%2Fb" || w.Subprotocol != "v2" {
		t.Errorf("%+v", w)
	}
	if len(w.Header) != 2 || w.Header.Get("Cookie") != "sid=1" || w.Header.Get("X-Room") != "7" {
		t.Errorf("headers %v", w.Header)
	}
	answer := string(up.appendAnswer(nil))
	for _, want := range []string{"\r\nSec-WebSocket-Protocol: v2\r\n", "\r\nSec-WebSocket-Extensions: " + deflateAnswer + "\r\n"} {
		if !strings.Contains(answer, want) {
			t.Errorf("answer %q, want %q in it", answer, want)
		}
	}
	up, no = decide(&WebSocket{}, head)
	if no != nil {
		t.Fatal(no)
	}
	if answer := string(up.appendAnswer(nil)); strings.Contains(answer, "-Protocol:") || strings.Contains(answer, "-Extensions:") {
		t.Errorf("answer %q has what nobody has asked for", answer)
	}
	if up.web.Header != nil {
		t.Errorf("headers %v, want none", up.web.Header)
	}
}

func TestRejectionIsHTTP(t *testing.T) {
	for _, no := range []*rejection{
		reject(http.StatusUpgradeRequired, NotFound, "WebSocket is spoken here"),
		reject(http.StatusNotFound, NotFound, "nothing is at %q", "/\r\nX: y"),
	} {
		answer := string(no.appendAnswer(nil))
		head, body, _ := strings.Cut(answer, "\r\n\r\n")
		if strings.Contains(head, "X: y") || body != no.text+"\n" {
			t.Errorf("%q", answer)
		}
		if (no.status == 426) != strings.Contains(head, "Sec-WebSocket-Version: 13") {
			t.Errorf("%q", answer)
		}
	}
}

// FuzzUpgrade feeds any bytes as a request: nothing panics, what is accepted is what the RFC demands,
// and an answer is one answer.
func FuzzUpgrade(f *testing.F) {
	for _, head := range []string{
		requestWith(getRoot), requestWith(getRoot, "Upgrade"), requestWith("POST / HTTP/1.0"), "GET / HTTP/1.1\n\n", "\r\n\r\n",
		requestWith("GET //%zz?x HTTP/1.1", "Origin: https://a.com:x", "Sec-WebSocket-Protocol: v1,,v2"),
		requestWith(getRoot, `Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits="15"; x`),
	} {
		f.Add([]byte(head))
	}
	c := &WebSocket{
		Subprotocols: []string{"v1"}, Headers: []string{"Cookie"}, Deflate: true, Origins: []string{"https://*.a.com", "http://b.com"},
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		end := headEnd(b, 0)
		if end < 0 || end > len(b) {
			t.Fatalf("the head ends at %d of %d", end, len(b))
		}
		up, no := decide(c, string(b[:end]))
		if (up == nil) == (no == nil) {
			t.Fatal("neither accepted nor rejected")
		}
		if no != nil {
			if head, _, ok := strings.Cut(string(no.appendAnswer(nil)), "\r\n\r\n"); !ok || strings.Count(head, "\r\n") > 6 {
				t.Fatalf("rejection %q", head)
			}
			return
		}
		if strings.Count(string(up.appendAnswer(nil)), "\r\n\r\n") != 1 || len(up.key) != 24 {
			t.Fatalf("accepted %+v", up)
		}
	})
}

func BenchmarkUpgrade(b *testing.B) {
	head := []byte(requestWith("GET /ws?x=1 HTTP/1.1", "Origin: http://game.example.com", "Accept-Language: en-US,en;q=0.9",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
		"Cookie: sid=0123456789abcdef0123456789abcdef", "Cache-Control: no-cache", "Accept-Encoding: gzip, deflate, br"))
	c := &WebSocket{Headers: []string{"Cookie"}}
	b.ReportAllocs()
	for b.Loop() {
		req, no := readRequest(head)
		if no != nil {
			b.Fatal(no)
		}
		up, no := c.judge(req)
		if no != nil {
			b.Fatal(no)
		}
		_ = up.appendAnswer(nil)
	}
}
