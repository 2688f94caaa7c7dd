// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"bytes"
	"context"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/gate/client"
)

// tool returns a program of somebody else's, or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// command makes a call of a tool that ends with the test.
func command(t *testing.T, path string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, path, args...)
}

func TestOpenSSL(t *testing.T) {
	openssl := tool(t, "openssl")
	clean(t)
	config, _ := serverTLS(t)
	g := start(t, nil, Options{}, Config{TLS: config})
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		cmd := command(t, openssl, "s_client", "-quiet", version, "-servername", "localhost", "-connect", g.addr)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		cmd.Stderr = &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(in, "\x00\x05hello"); err != nil {
			t.Error(err)
		}
		got := make([]byte, 7)
		if _, err := io.ReadFull(out, got); err != nil || string(got) != "\x00\x05hello" {
			t.Errorf("%s: %q, %v", version, got, err)
		}
		if in := g.last(); in.Transport != "tls" || in.TLS.ServerName != "localhost" {
			t.Errorf("%s: %+v", version, in)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("openssl: %s", log.String())
		}
	}
	g.empty()
}

func TestCurl(t *testing.T) {
	curl := tool(t, "curl")
	clean(t)
	closes := func(c *client.Conn, _ *Info) { // or curl would wait for more
		c.CloseAfterFlush(nil, patience)
		<-c.Done()
	}
	g := start(t, nil, Options{Accept: closes}, Config{Handler: pages, WebSocket: WebSocket{Paths: []string{"/ws"}}})
	run := func(args ...string) string {
		out, err := command(t, curl, append([]string{"-s", "-i", "--noproxy", "*"}, args...)...).Output()
		if err != nil {
			t.Logf("curl %v: %v", args, err)
		}
		return string(out)
	}
	if got := run("http://" + g.addr + "/page"); !strings.HasPrefix(got, "HTTP/1.1 200 OK") || !strings.Contains(got, `GET /page "" tls=false`) {
		t.Errorf("%q", got)
	}
	upgrade := []string{
		"-N", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Key: " + sampleKey, "-H", "Sec-WebSocket-Version: 13",
	}
	if got := run(append(upgrade, "-H", "Origin: http://evil.example.com", "http://"+g.addr+"/ws")...); !strings.HasPrefix(got, "HTTP/1.1 403 ") {
		t.Errorf("%q", got)
	}
	got := run(append(upgrade, "-H", "Origin: http://"+g.addr, "http://"+g.addr+"/ws")...)
	if !strings.HasPrefix(got, "HTTP/1.1 101 ") || !strings.Contains(got, "Sec-WebSocket-Accept: "+sampleAccept) {
		t.Errorf("%q", got)
	}
	g.empty()
}

// nodeScript talks through Node's own WebSocket, and asks for a page. It is told where.
const nodeScript = `
if (typeof WebSocket === "undefined") { console.log("no WebSocket"); process.exit(0); }
const ws = new WebSocket(process.argv[1], ["other", "v1"]);
ws.binaryType = "arraybuffer";
const sent = ["hello", "x".repeat(100)];
let n = 0;
ws.onopen = () => sent.forEach(s => ws.send(new TextEncoder().encode(s)));
ws.onmessage = e => {
  const got = new TextDecoder().decode(e.data);
  if (got !== sent[n]) { console.log("got " + got); process.exit(1); }
  if (++n === sent.length) ws.close(1000, "done");
};
ws.onclose = e => { console.log("closed", e.code, ws.protocol, n); };
ws.onerror = e => { console.log("error", e.message); };
`

func TestNode(t *testing.T) {
	node := tool(t, "node")
	clean(t)
	g := start(t, nil, Options{}, Config{WebSocket: WebSocket{Subprotocols: []string{"v1"}, Deflate: true}})
	_, port, _ := net.SplitHostPort(g.addr)
	run := func(flags ...string) (string, error) {
		out, err := command(t, node, append(flags, "-e", nodeScript, "ws://127.0.0.1:"+port+"/?a=b")...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	out, err := run("--experimental-websocket")
	if strings.Contains(out, "bad option") {
		out, err = run()
	}
	if strings.Contains(out, "no WebSocket") {
		t.Skip("this node has no WebSocket")
	}
	if err != nil || !strings.Contains(out, "closed 1000 v1 2") {
		t.Errorf("%v: %s", err, out)
	}
	if in := g.last(); in.Transport != "ws" || in.Web.Subprotocol != "v1" || in.Web.Query != "a=b" {
		t.Errorf("%+v, %+v", in, in.Web)
	}
}
