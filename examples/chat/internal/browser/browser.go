// SPDX-License-Identifier: Apache-2.0

// Package browser lets a test drive a headless Chromium by the DevTools protocol, over a pair of pipes.
package browser

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// names are those that Chromium goes by.
var names = []string{"chromium", "chromium-browser", "google-chrome", "chrome"}

// A Browser is a Chromium. It ends with the test.
type Browser struct {
	t    testing.TB
	to   io.Writer
	mu   sync.Mutex
	last int
	wait map[int]chan reply
	err  error
}

type reply struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// Start starts the browser. Without one the test is skipped; where CI is set it fails.
func Start(t testing.TB) *Browser {
	t.Helper()
	program := ""
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("there is no Chromium: none of %v is in the path", names)
		}
		t.Skipf("there is no Chromium: none of %v is in the path", names)
	}
	b, err := start(t, program)
	if err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	return b
}

func start(t testing.TB, program string) (*Browser, error) {
	fromTest, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	from, toTest, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, fromTest.Close(), to.Close())
	}
	cmd := exec.Command(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-extensions", "--force-color-profile=srgb", "--lang=en", "--remote-debugging-pipe",
		"--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{fromTest, toTest} // descriptors 3 and 4 over there
	var log bytes.Buffer
	cmd.Stderr = &log
	err = cmd.Start()
	fromTest.Close()
	toTest.Close()
	if err != nil {
		return nil, errors.Join(err, to.Close(), from.Close())
	}
	b := &Browser{t: t, to: to, wait: map[int]chan reply{}}
	var reading sync.WaitGroup
	reading.Go(func() { b.read(from) })
	t.Cleanup(func() {
		b.end(cmd, to)
		reading.Wait()
		from.Close()
		if t.Failed() {
			t.Logf("Chromium has logged:\n%s", log.Bytes())
		}
	})
	return b, nil
}

// end asks the browser to end, and sees to it.
func (b *Browser) end(cmd *exec.Cmd, to *os.File) {
	_ = b.send("", 0, "Browser.close", nil)
	to.Close()
	kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait() // how it ends says nothing about the page
	kill.Stop()
}

// read hands out the answers, which end with a zero byte each, until there are no more.
func (b *Browser) read(from io.Reader) {
	r := bufio.NewReader(from)
	for {
		data, err := r.ReadBytes(0)
		if err != nil {
			b.fail(err)
			return
		}
		var m reply
		if err := json.Unmarshal(bytes.TrimSuffix(data, []byte{0}), &m); err != nil || m.ID == 0 {
			continue // an event
		}
		b.mu.Lock()
		c := b.wait[m.ID]
		delete(b.wait, m.ID)
		b.mu.Unlock()
		if c != nil {
			c <- m
		}
	}
}

func (b *Browser) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = fmt.Errorf("the browser has ended: %w", err)
	for _, c := range b.wait {
		close(c)
	}
	clear(b.wait)
}

func (b *Browser) send(session string, id int, method string, params any) error {
	data, err := json.Marshal(struct {
		ID      int    `json:"id"`
		Method  string `json:"method"`
		Params  any    `json:"params,omitempty"`
		Session string `json:"sessionId,omitempty"`
	}{id, method, params, session})
	if err != nil {
		return err
	}
	_, err = b.to.Write(append(data, 0))
	return err
}

// call sends a command and returns its answer.
func (b *Browser) call(session, method string, params any) (json.RawMessage, error) {
	c := make(chan reply, 1)
	b.mu.Lock()
	if b.err != nil {
		defer b.mu.Unlock()
		return nil, b.err
	}
	b.last++
	id := b.last
	b.wait[id] = c
	err := b.send(session, id, method, params)
	b.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	m, ok := <-c
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: %w", method, b.err)
	case m.Error != nil:
		return nil, fmt.Errorf("%s: %s", method, m.Error.Message)
	}
	return m.Result, nil
}

// A Page is a tab. One goroutine may use it; what goes wrong ends the test.
type Page struct {
	b       *Browser
	session string
}

type object = map[string]any

// Open opens a tab that has its own storage and cookies.
func (b *Browser) Open(url string, width, height int) *Page {
	b.t.Helper()
	p := &Page{b: b}
	var made struct{ BrowserContextID, TargetID, SessionID string }
	for _, step := range []struct {
		method string
		params func() object
	}{
		{"Target.createBrowserContext", func() object { return object{} }},
		{"Target.createTarget", func() object {
			return object{"url": "about:blank", "browserContextId": made.BrowserContextID, "width": width, "height": height}
		}},
		{"Target.attachToTarget", func() object { return object{"targetId": made.TargetID, "flatten": true} }},
	} {
		if err := json.Unmarshal(p.do(step.method, step.params()), &made); err != nil {
			b.t.Fatal(err)
		}
	}
	p.session = made.SessionID
	p.do("Page.enable", nil)
	p.Size(width, height, 1, false)
	p.Load(url)
	return p
}

func (p *Page) do(method string, params any) json.RawMessage {
	p.b.t.Helper()
	m, err := p.b.call(p.session, method, params)
	if err != nil {
		p.b.t.Fatal(err)
	}
	return m
}

// Load goes to an address and returns when the page is there.
func (p *Page) Load(url string) {
	p.b.t.Helper()
	p.do("Page.navigate", object{"url": url})
	p.Until(`document.readyState === "complete" && location.protocol !== "about:"`)
}

// Size makes the page as large as a screen is, and like a phone's if that is one.
func (p *Page) Size(width, height int, scale float64, phone bool) {
	p.do("Emulation.setDeviceMetricsOverride", object{"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone})
}

// Dark has the page believe that its user wants it dark, or light.
func (p *Page) Dark(dark bool) {
	value := "light"
	if dark {
		value = "dark"
	}
	p.do("Emulation.setEmulatedMedia", object{"features": []object{{"name": "prefers-color-scheme", "value": value}}})
}

// Eval returns the value of an expression, which may be a promise.
func (p *Page) Eval(js string) any {
	p.b.t.Helper()
	var v struct {
		Result           struct{ Value any }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	if err := json.Unmarshal(p.do("Runtime.evaluate", object{"expression": js, "returnByValue": true, "awaitPromise": true}), &v); err != nil {
		p.b.t.Fatal(err)
	}
	if e := v.ExceptionDetails; e != nil {
		p.b.t.Fatalf("%s: %s %s", js, e.Text, e.Exception.Description)
	}
	return v.Result.Value
}

// Until waits until an expression is true; how long that may take, the test's own limit says.
func (p *Page) Until(js string) {
	p.b.t.Helper()
	for said := time.Now(); p.Eval(js) != true; time.Sleep(20 * time.Millisecond) {
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			p.b.t.Logf("still waiting for %s", js)
		}
	}
}

// Type writes into what has the focus.
func (p *Page) Type(text string) { p.do("Input.insertText", object{"text": text}) }

// Press presses a key, such as "Enter" or "Tab". modifiers: 1 Alt, 2 Ctrl, 8 Shift.
func (p *Page) Press(key string, modifiers int) {
	codes := map[string]int{"Enter": 13, "Tab": 9, "Escape": 27, "ArrowUp": 38, "ArrowDown": 40}
	k := object{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": codes[key], "modifiers": modifiers}
	if key == "Enter" {
		k["text"] = "\r"
	}
	p.do("Input.dispatchKeyEvent", k)
	p.do("Input.dispatchKeyEvent", object{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": codes[key], "modifiers": modifiers})
}

// Screenshot writes what the page looks like to a PNG file.
func (p *Page) Screenshot(path string) {
	p.b.t.Helper()
	var v struct{ Data string }
	if err := json.Unmarshal(p.do("Page.captureScreenshot", object{"format": "png"}), &v); err != nil {
		p.b.t.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(v.Data)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		p.b.t.Fatal(err)
	}
}
