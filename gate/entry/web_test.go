// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// get asks for a page over a connection of its own.
func get(g *gateway, head string) (answer, error) {
	p := newPeer(g.dial())
	defer p.Close()
	return p.ask(head)
}

func TestPlainRequests(t *testing.T) {
	clean(t)
	g := start(t, nil, Options{}, Config{WebSocket: WebSocket{Paths: []string{"/ws"}, HeaderBytes: 1000}})
	long := "X: " + strings.Repeat("y", 1100)
	for _, c := range []struct {
		head   string
		status int
		why    Reason
	}{
		{requestWith("GET /ws HTTP/1.1", "Upgrade"), 426, NotFound},
		{requestWith("GET / HTTP/1.1", "Upgrade"), 404, NotFound},
		{requestWith("GET / HTTP/1.1"), 404, NotFound},
		{requestWith("GET /ws HTTP/1.1", "Origin: http://evil.example.com"), 403, BadOrigin},
		{requestWith("GET /ws HTTP/1.1", "Sec-WebSocket-Version: 12"), 426, BadRequest},
		{requestWith("GET /ws HTTP/1.1", long), 431, BadRequest},
		{"GET nonsense\r\n\r\n", 400, BadRequest},
	} {
		before := g.Stats().Refused[c.why]
		a, err := get(g, c.head)
		if err != nil || a.status != c.status || a.body == "" {
			t.Errorf("%.60q: %+v, %v, want %d", c.head, a, err, c.status)
		}
		if a.status == 426 && a.header.Get("Sec-WebSocket-Version") != "13" {
			t.Errorf("%.60q: headers %v", c.head, a.header)
		}
		eventually(t, "counted", func() bool { return g.Stats().Refused[c.why] == before+1 })
	}
	g.empty() // after their moment to read the answer
}

// TestRefusedClientMayStay: one who does not close after the answer is cut, and counted once.
func TestRefusedClientMayStay(t *testing.T) {
	clean(t)
	g := start(t, nil, Options{}, Config{})
	p := newPeer(g.dial())
	if a, err := p.ask(requestWith(getRoot, "Upgrade")); err != nil || a.status != 426 {
		t.Fatal(a, err)
	}
	g.empty()
	g.refusedFor(NotFound, 1)
}

// pages is a Handler that says what it was asked for.
var pages = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(rw, "%s %s %q tls=%v from %s", r.Method, r.URL.Path, body, r.TLS != nil, r.RemoteAddr)
})

func TestHandler(t *testing.T) {
	clean(t)
	config, pool := serverTLS(t)
	g := start(t, nil, Options{}, Config{TLS: config, Handler: pages, WebSocket: WebSocket{Paths: []string{"/ws"}}})
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}, DisableCompression: true,
	}
	defer transport.CloseIdleConnections()
	web := &http.Client{Transport: transport, Timeout: patience}
	ask := func(method, url, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s %s: %s, %v", method, url, resp.Status, err)
		}
		return string(b)
	}
	large := strings.Repeat("z", 20_000) // more than what is read before the Handler has it
	for scheme, isTLS := range map[string]bool{"http": false, "https": true} {
		for _, c := range []struct{ method, path, body string }{
			{"GET", "/", ""}, {"GET", "/app.js", ""}, {"GET", "/ws", ""}, {"POST", "/form", "a=b"}, {"PUT", "/large", large},
		} {
			got := ask(c.method, scheme+"://"+g.addr+c.path, c.body)
			want := fmt.Sprintf("%s %s %q tls=%v from 127.0.0.1:", c.method, c.path, c.body, isTLS)
			if !strings.HasPrefix(got, want) {
				t.Errorf("got %.80q, want %.80q", got, want)
			}
		}
	}
	if st := g.Stats(); st.HTTP != 2 { // one connection each, kept
		t.Errorf("%+v", st)
	}
	p, err := connect(t, g, TCP, nil) // packets still go their way
	if err == nil {
		err = p.talk("hello")
	}
	if err != nil {
		t.Error(err)
	}
	transport.CloseIdleConnections()
	p.Close()
	g.empty()
}

// TestUpgradeAfterRequests upgrades a connection on which pages have been asked for.
func TestUpgradeAfterRequests(t *testing.T) {
	clean(t)
	g := start(t, nil, Options{}, Config{Handler: pages, WebSocket: WebSocket{Paths: []string{"/ws"}}})
	p := newPeer(g.dial())
	for _, path := range []string{"/", "/b"} {
		a, err := p.ask("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
		if err != nil || !strings.HasPrefix(a.body, "GET "+path+" ") {
			t.Fatal(a, err)
		}
	}
	// The first packet right behind the request, which a client should not do.
	hello := (&peer{ws: true}).bytes("early")
	if err := p.upgrade(requestWith("GET /ws?x HTTP/1.1") + string(hello)); err != nil {
		t.Fatal(err)
	}
	if got, err := p.read(); err != nil || got != "early" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := p.talk("hello"); err != nil {
		t.Fatal(err)
	}
	if in := g.last(); in.Transport != "ws" || in.Web.Query != "x" || in.Remote.String() != p.LocalAddr().String() {
		t.Errorf("%+v", in)
	}
	p.Close()
	g.empty()
	a, err := get(g, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if err != nil || a.status != 200 {
		t.Error(a, err)
	}
}

// TestHandlerAndClose ends a server while its Handler works.
func TestHandlerAndClose(t *testing.T) {
	clean(t)
	began, release := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		close(began)
		<-release
		fmt.Fprint(rw, "done")
	})
	l := listen(t)
	g := start(t, l, Options{}, Config{Handler: slow})
	result := make(chan string, 1)
	go func() {
		a, err := get(g, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		result <- fmt.Sprint(a.body, err)
	}()
	<-began
	ended := make(chan error, 1)
	go func() { ended <- g.Shutdown(context.Background()) }()
	eventually(t, "it does not listen", func() bool { return silent(t, l) })
	close(release)
	if got := <-result; got != "done<nil>" {
		t.Errorf("the request that was being answered: %s", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestSlowHeadForHandler drips into a request that the http.Server reads.
func TestSlowHeadForHandler(t *testing.T) {
	clean(t)
	g := start(t, nil, Options{Upgrade: time.Second}, Config{Handler: pages})
	p := g.quick(func() (*peer, error) {
		p := newPeer(g.dial())
		a, err := p.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
		if err == nil && a.status != 200 {
			t.Fatal(a)
		}
		return p, err
	})
	if _, err := io.WriteString(p, "GET / HTTP/1.1\r\nHo"); err != nil {
		t.Fatal(err)
	}
	if err := ends(p.Conn); err != nil {
		t.Error(err)
	}
	g.empty()
}
