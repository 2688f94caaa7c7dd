// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/relay"
)

func linksAt(at time.Duration, pid int, links ...relay.Link) linkLook {
	return linkLook{at: start.Add(at), status: &relay.Status{PID: pid, Host: "east", Links: links}}
}

func TestLinkRates(t *testing.T) {
	out := func(n uint64) relay.Link {
		return relay.Link{Peer: "west", Direction: "out", State: "up", SentMessages: n, SentBytes: 10 * n}
	}
	in := func(n uint64) relay.Link {
		return relay.Link{Peer: "west", Direction: "in", State: "up", ReceivedMessages: n, ReceivedBytes: 3 * n}
	}
	for _, c := range []struct {
		name      string
		last, now linkLook
		want      []linkRates
	}{
		{"both ways", linksAt(0, 1, out(100), in(50)), linksAt(2*time.Second, 1, out(300), in(60)), []linkRates{{100, 1000}, {5, 15}}},
		{"a new connection", linksAt(0, 1, out(100)), linksAt(time.Second, 1, out(100), in(4)), []linkRates{{0, 0}, {4, 12}}},
		{"connected again", linksAt(0, 1, in(50)), linksAt(time.Second, 1, in(7)), []linkRates{{7, 21}}},
		{"a new daemon", linksAt(0, 1, out(100)), linksAt(time.Second, 2, out(130)), []linkRates{{130, 1300}}},
		{"no daemon before", linkLook{at: start}, linksAt(time.Second, 2, out(1)), []linkRates{{1, 10}}},
		{"at the same time", linksAt(0, 1, out(100)), linksAt(0, 1, out(100)), []linkRates{{0, 0}}},
	} {
		if got := c.now.since(c.last); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestRoundTrips(t *testing.T) {
	for ns, want := range map[int64]string{-1: "-", 0: "-", 1: "0s", 123_456: "120µs", 1_234_567: "1.23ms", 12_345_678: "12.3ms", 1_234_567_890: "1.2346s"} {
		if got := roundTrip(ns); got != want {
			t.Errorf("%d ns: %s, want %s", ns, got, want)
		}
	}
}

func TestTopShowsLinks(t *testing.T) {
	m := screenOf(lookAt(0, channel.LaneInfo{}))
	press(m, "tab")
	if text := strings.Join(m.screen(), "\n"); !strings.Contains(text, "asking the relay daemon") {
		t.Errorf("before the answer:\n%s", text)
	}
	west := relay.Link{Peer: "west", Direction: "out", State: "up", RTT: 120_000, SentMessages: 10}
	north := relay.Link{Peer: "no\x1brth", Direction: "out", State: "connecting", LastError: "refused"}
	m.Update(told(linksAt(0, 1, west, north)))
	west.SentMessages = 2010
	m.Update(told(linksAt(time.Second, 1, west, north)))
	lines := m.screen()
	text := strings.Join(lines, "\n")
	for _, want := range []string{"host east (PID 1)  1 of 2 links up", "west       out  0  up          120µs      0     2k", "\x1b[1mno\\x1brth  out  0  connecting"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	press(m, "tab")
	if text := strings.Join(m.screen(), "\n"); !strings.Contains(text, "0.0.0.1  0.0.1.0") || !strings.Contains(text, "links 1/2 up") {
		t.Errorf("the lanes again:\n%s", text)
	}
	press(m, "tab")
	m.Update(told(linkLook{at: start.Add(2 * time.Second), err: errors.New("no daemon")}))
	if text := strings.Join(m.screen(), "\n"); !strings.Contains(text, "no daemon") || strings.Contains(text, "west") {
		t.Errorf("the daemon is gone:\n%s", text)
	}
}

func TestTopLinksFitTheScreen(t *testing.T) {
	var list []relay.Link
	for i := range 20 {
		list = append(list, relay.Link{Peer: fmt.Sprint("host-", i), Direction: "out", Number: i, State: "up", LastError: strings.Repeat("long ", 30)})
	}
	for width := range 130 {
		for height := range 10 {
			m := screenOf(lookAt(0))
			press(m, "tab")
			m.Update(told(linksAt(0, 1, list...)))
			m.width, m.height = width, height
			press(m, "end")
			lines := m.screen()
			for _, line := range lines {
				if ansi.StringWidth(line) > width && height > 0 {
					t.Fatalf("%d by %d: %q is too wide", width, height, line)
				}
			}
			if len(lines) > max(height, 1) {
				t.Fatalf("%d by %d: %d lines", width, height, len(lines))
			}
			if width > 20 && height > topFrame && !strings.Contains(strings.Join(lines, "\n"), "host-19") {
				t.Fatalf("%d by %d: the end does not show", width, height)
			}
		}
	}
}

// TestTopDoesNotWaitForItsDaemon: one that hangs is asked once, and the lanes go on.
func TestTopDoesNotWaitForItsDaemon(t *testing.T) {
	m := screenOf()
	m.read = func() topLook { return lookAt(0) }
	m.ask = func() linkLook { return linksAt(0, 1) }
	if m.Init(); !m.asking {
		t.Fatal("the daemon is not asked")
	}
	_, cmd := m.Update(due{})
	if _, ok := cmd().(seen); !ok {
		t.Error("it is asked again before it has answered")
	}
	m.Update(told(linksAt(0, 1)))
	if m.Update(due{}); !m.asking {
		t.Error("it is not asked again after its answer")
	}
}
