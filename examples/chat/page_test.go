// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/examples/chat/internal/browser"
	"github.com/skybus-io/skybus/examples/chat/internal/talk"
)

// A cable is a network between the browser and the gate, that can be cut.
type cable struct {
	l    net.Listener
	to   string
	work sync.WaitGroup
	mu   sync.Mutex
	down bool
	ends map[net.Conn]bool
}

func newCable(t *testing.T, to string) *cable {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{l: l, to: to, ends: map[net.Conn]bool{}}
	c.work.Go(c.accept)
	t.Cleanup(func() {
		l.Close()
		c.cut(true)
		c.work.Wait()
	})
	return c
}

func (c *cable) accept() {
	for {
		a, err := c.l.Accept()
		if err != nil {
			return
		}
		b, err := net.Dial("tcp", c.to)
		if err != nil {
			a.Close()
			continue
		}
		c.mu.Lock()
		if c.down {
			a.Close()
			b.Close()
		} else {
			c.ends[a], c.ends[b] = true, true
			c.work.Go(func() { c.copy(a, b) })
			c.work.Go(func() { c.copy(b, a) })
		}
		c.mu.Unlock()
	}
}

func (c *cable) copy(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	to.Close()
	from.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ends, to)
	delete(c.ends, from)
}

// cut ends all connections, and with down lets none be made until it is mended.
func (c *cable) cut(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
	for end := range c.ends {
		end.Close()
	}
}

// A picture is where screenshots go: SKYBUS_SCREENSHOTS, to be looked at, or nowhere that stays.
func picture(t *testing.T, p *browser.Page, name string) {
	dir := os.Getenv("SKYBUS_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	p.Screenshot(filepath.Join(dir, name+".png"))
}

// js writes a text as JavaScript does.
func js(text string) string { return fmt.Sprintf("%q", text) }

func enterAs(p *browser.Page, name string) {
	p.Until(`document.getElementById("name-dialog").open`)
	p.Eval(`document.getElementById("name").select()`)
	p.Type(name)
	p.Press("Enter", 0)
	p.Until(`document.getElementById("state").dataset.state === "open"`)
	p.Until(`window.chat.rooms.get("lobby")?.joined`)
	p.Until(`document.activeElement.id === "text"`) // ready to type
}

func say(p *browser.Page, text string) {
	p.Type(text)
	p.Press("Enter", 0)
}

// shown is true when a text is the last line.
func shown(text string) string {
	return `[...document.querySelectorAll("#lines .body")].at(-1)?.textContent === ` + js(text)
}

// texts returns all lines.
func texts(p *browser.Page) string {
	return fmt.Sprint(p.Eval(`[...document.querySelectorAll("#lines .body")].map(n => n.textContent).join("|")`))
}

const lastTick = `[...document.querySelectorAll("#lines .mine .tick")].at(-1)?.dataset.state`

// Two people in two browsers: what one says the other sees; a connection is lost and comes back; the page is loaded
// again and has the history.
func TestPage(t *testing.T) {
	b := browser.Start(t)
	c := startChat(t, nil)
	net := newCable(t, c.addresses()[0])
	ann := b.Open("http://"+net.l.Addr().String()+"/", 1280, 800)
	bob := b.Open(c.urls[0], 1280, 800)
	enterAs(ann, "Ann")
	enterAs(bob, "小明")

	say(ann, "Hello <b>everybody</b>!")
	ann.Until(lastTick + ` === "saved"`)
	bob.Until(shown("Hello <b>everybody</b>!"))
	bob.Until(`document.querySelectorAll("#members li").length === 2`)
	say(bob, "你好 Ann")
	ann.Until(shown("你好 Ann"))

	// The network is away: what is said waits, and arrives once when it is back.
	net.cut(true)
	ann.Until(`document.getElementById("state").dataset.state === "away"`)
	say(ann, "said in a tunnel")
	say(bob, "are you there?")
	bob.Until(shown("are you there?"))
	if got := ann.Eval(lastTick); got != "sending" {
		t.Errorf("a message without a connection is shown as %v", got)
	}
	bob.Until(`[...document.querySelectorAll("#members li")].some(n => n.dataset.away === "true")`)
	net.cut(false)
	bob.Until(shown("said in a tunnel"))
	ann.Until(lastTick + ` === "saved"`)
	want := "Hello <b>everybody</b>!|你好 Ann|are you there?|said in a tunnel"
	for who, p := range map[string]*browser.Page{"Ann": ann, "Bob": bob} {
		p.Until(`document.querySelectorAll("#lines .body").length >= 4`)
		if got := texts(p); got != want {
			t.Errorf("%s sees %s, want %s", who, got, want)
		}
	}
	if got := ann.Eval(`window.chat.session.resumes`); got != 1.0 {
		t.Errorf("the session was resumed %v times, want once", got)
	}
	picture(t, ann, "resumed")

	// Loaded again, the page has a new session and the old messages.
	ann.Eval(`window.old = true`)
	ann.Load("http://" + net.l.Addr().String() + "/")
	ann.Until(`!window.old && window.chat?.rooms.get("lobby")?.joined && document.querySelectorAll("#lines .body").length === 4`)
	if got := texts(ann); got != want {
		t.Errorf("after loading again: %s, want %s", got, want)
	}
	// Where a browser has no crypto.subtle the page makes its proofs itself, and the same ones.
	if same := ann.Eval(`import("./proof.js").then(async m => {
		for (const n of [0, 1, 55, 56, 63, 64, 65, 1000]) {
			const key = crypto.getRandomValues(new Uint8Array(32)), data = crypto.getRandomValues(new Uint8Array(n));
			if ("" + await m.hmac(key, data) !== "" + m.slowHmac(key, data)) return n;
		}
		return true;
	})`); same != true {
		t.Errorf("the proof of %v bytes differs from that of crypto.subtle", same)
	}
	pageProcesses(t, c, ann, bob)
	pageByKeys(t, ann)
	if got := ann.Eval(`[...document.querySelectorAll("[data-t],[data-label]")].filter(n => n.textContent.includes("undefined") || n.ariaLabel === "undefined").length`); got != 0.0 {
		t.Errorf("%v elements have no word", got)
	}
}

// pageProcesses kills what the page talks with: it goes on.
func pageProcesses(t *testing.T, c *chat, ann, bob *browser.Page) {
	t.Helper()
	for _, name := range []string{"room 1", "room 2", "store", "gate 1"} {
		if err := c.killAndWait(t.Context(), io.Discard, name); err != nil {
			t.Fatal(err)
		}
		text := "after " + name
		ann.Eval(`document.getElementById("text").focus()`)
		say(ann, text)
		bob.Until(shown(text))
		ann.Until(shown(text) + " && " + lastTick + ` === "saved"`)
	}
	if got := texts(bob); !strings.HasSuffix(got, "after room 1|after room 2|after store|after gate 1") {
		t.Errorf("after all were killed: %s", got)
	}
}

// pageByKeys uses nothing but the keyboard: another room, back, the other language.
func pageByKeys(t *testing.T, p *browser.Page) {
	t.Helper()
	p.Eval(`document.getElementById("join-room").focus()`)
	p.Type("books")
	p.Press("Enter", 0)
	p.Until(`document.getElementById("room-name").textContent === "# books" && window.chat.rooms.get("books").joined`)
	p.Until(`!document.getElementById("empty").hidden`)
	p.Press("ArrowUp", 1)
	p.Until(`document.getElementById("room-name").textContent === "# lobby"`)
	p.Until(`document.querySelectorAll("#lines .body").length > 4`)
	p.Eval(`document.getElementById("lang").focus()`)
	p.Press("Enter", 0)
	p.Until(`document.documentElement.lang === "zh" && document.getElementById("rooms-title").textContent === "房间"`)
	p.Eval(`document.getElementById("lang").click()`)
	steps := 0
	for seen := map[string]bool{}; steps < 40; steps++ {
		p.Press("Tab", 0)
		id := fmt.Sprint(p.Eval(`document.activeElement.id || document.activeElement.dataset.room || document.activeElement.tagName`))
		seen[id] = true
		if seen["text"] && seen["nick"] && seen["join-room"] && seen["leave"] && seen["log"] {
			break
		}
	}
	if steps == 40 {
		t.Error("the Tab key does not come to everything")
	}
}

// A crowd talks while somebody watches, on a large screen and on a phone, by day and by night.
func TestPageInACrowd(t *testing.T) {
	b := browser.Start(t)
	c := startChat(t, nil)
	p := b.Open(c.urls[0], 1280, 800)
	enterAs(p, "Ann")
	l := load{gates: c.addresses(), bots: 12, rooms: 2, every: 300 * time.Millisecond, talk: 4 * time.Second, patience: 5 * time.Minute}
	v, err := l.run(t.Context(), func() error { return nil })
	if err == nil {
		err = v.promises()
	}
	if err != nil {
		t.Fatal(err)
	}
	last := fmt.Sprint(p.Eval(`window.chat.rooms.get("lobby").last`))
	gaps := p.Eval(`window.chat.rooms.get("lobby").messages.some((m, i, all) => i && m.n !== all[i-1].n + 1)`)
	if gaps != false || last == "0" {
		t.Errorf("the page has messages up to %s, with gaps: %v", last, gaps)
	}
	bob := talk.New("Bob the builder of bridges")
	k, err := talk.Connect(t.Context(), c.addresses()[0], bob)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	bob.Join("lobby")
	until(t, bob, func(s *talk.State) bool { return s.Rooms["lobby"].Joined })
	bob.Say("lobby", "A longer message, to see how lines are broken: the quick brown fox jumps over the lazy dog, again and again, until the line is full and the next one begins.\nAnd this is a second paragraph.")
	bob.Say("lobby", "https://example.com/a/very/long/address/that/has/no/space/in/it/and/has/to/be/broken/somewhere/0123456789012345678901234567890123456789")
	until(t, bob, func(s *talk.State) bool { return s.Unsaved() == 0 })
	say(p, "Nice. 很好！")
	p.Until(shown("Nice. 很好！") + " && " + lastTick + ` === "saved"`)
	p.Until(`document.querySelectorAll("#others button").length > 0`) // the list of rooms has come
	time.Sleep(1200 * time.Millisecond)                               // for the plot, which changes each second
	for _, s := range []struct {
		name          string
		width, height int
		phone, dark   bool
	}{{"light", 1280, 800, false, false}, {"dark", 1280, 800, false, true}, {"phone-light", 390, 780, true, false}, {"phone-dark", 390, 780, true, true}} {
		p.Size(s.width, s.height, map[bool]float64{true: 2, false: 1}[s.phone], s.phone)
		p.Dark(s.dark)
		p.Eval(`new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))`)
		if wide := p.Eval(`document.documentElement.scrollWidth > innerWidth`); wide != false {
			t.Errorf("%s: the page is wider than the screen", s.name)
		}
		picture(t, p, s.name)
	}
	for _, pane := range []string{"rooms", "members"} {
		p.Eval(`document.getElementById("show-` + pane + `").click()`)
		box := `document.getElementById("` + pane + `-pane").getBoundingClientRect()`
		p.Until(box + `.width > 200 && ` + box + `.left >= 0 && ` + box + `.right <= innerWidth`) // it slides in
		p.Until(`document.getElementById("` + pane + `-pane").contains(document.activeElement)`)
		picture(t, p, "phone-"+pane)
		p.Press("Escape", 0)
	}
}
