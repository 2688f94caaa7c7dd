// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
)

// screenOf is a model that has taken looks, on a screen of 120 by 12.
func screenOf(looks ...topLook) *topModel {
	m := &topModel{format: addr.Addr.String, every: time.Second, sortBy: topWaiting, reverse: true}
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 12})
	for _, l := range looks {
		m.Update(seen(l))
	}
	return m
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// lookAt is a look with lanes from 0.0.0.1, 0.0.0.2 and so on to 0.0.1.0.
func lookAt(at time.Duration, lanes ...channel.LaneInfo) topLook {
	l := topLook{look: look{at: start.Add(at)}}
	l.domain.key = 1000
	for i, info := range lanes {
		info.Src, info.Dst = addr.Addr(i+1), 256
		l.lanes = append(l.lanes, lane{LaneInfo: info})
	}
	return l
}

func press(m *topModel, keys ...string) (last tea.Cmd) {
	named := map[string]rune{"left": tea.KeyLeft, "right": tea.KeyRight, "up": tea.KeyUp, "down": tea.KeyDown, "space": tea.KeySpace,
		"end": tea.KeyEnd, "pgdown": tea.KeyPgDown, "esc": tea.KeyEscape}
	for _, k := range keys {
		msg := tea.KeyPressMsg{Code: named[k]}
		if msg.Code == 0 {
			msg = tea.KeyPressMsg{Code: rune(k[0]), Text: k}
		}
		_, last = m.Update(msg)
	}
	return last
}

// sources returns the first words of the lanes on the screen.
func sources(m *topModel) string {
	var list []string
	for _, l := range m.screen()[3:] {
		if f := strings.Fields(ansi.Strip(l)); len(f) > 3 && strings.Contains(f[0], ".") {
			list = append(list, strings.TrimPrefix(f[0], "0.0.0."))
		}
	}
	return strings.Join(list, " ")
}

func TestTopShowsRatesBetweenLooks(t *testing.T) {
	m := screenOf(
		lookAt(0, channel.LaneInfo{Sent: 1000, SentBytes: 5000, Received: 900}),
		lookAt(2*time.Second, channel.LaneInfo{Sent: 3000, SentBytes: 5000 + 4096, Received: 2500, Messages: 500, Full: 7}))
	text := strings.Join(m.screen(), "\n")
	for _, want := range []string{"sent 1k/s (2K/s)", "received 800/s", "waiting 500", "0.0.0.1  0.0.1.0", "domain 1000"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestTopCountsANewLaneFromItsCreation(t *testing.T) {
	m := screenOf(lookAt(0), lookAt(time.Second, channel.LaneInfo{Sent: 10}))
	if r := m.rows[0].rates; r.sent != 10 {
		t.Errorf("sent %v a second", r.sent)
	}
	m = screenOf(lookAt(0, channel.LaneInfo{Sent: 500, Created: start}), lookAt(time.Second, channel.LaneInfo{Sent: 10, Created: start.Add(1)}))
	if r := m.rows[0].rates; r.sent != 10 {
		t.Errorf("made again: sent %v a second", r.sent)
	}
}

func TestTopSorts(t *testing.T) {
	m := screenOf(lookAt(0, channel.LaneInfo{Messages: 1, Full: 9}, channel.LaneInfo{Messages: 3}, channel.LaneInfo{Messages: 1}))
	steps := []struct{ key, want string }{
		{"x", "2 1 3"}, // by what waits, equal ones by address
		{"r", "1 3 2"},
		{"left", "1 2 3"},  // DST: all the same
		{"left", "1 2 3"},  // SRC
		{"r", "3 2 1"},     // backwards
		{"left", "1 2 3"},  // round to STATE: all the same
		{"right", "1 2 3"}, // SRC again, forwards
	}
	for _, s := range steps {
		press(m, s.key)
		if got := sources(m); got != s.want {
			t.Errorf("after %s: %s, want %s", s.key, got, s.want)
		}
	}
}

func TestTopLeavesOutIdleLanes(t *testing.T) {
	m := screenOf(lookAt(0, channel.LaneInfo{}, channel.LaneInfo{Messages: 3}, channel.LaneInfo{Damage: "torn"}, channel.LaneInfo{Sent: 5}))
	press(m, "b")
	if got := sources(m); got != "2 3" {
		t.Errorf("busy: %s", got)
	}
	press(m, "b")
	if got := sources(m); got != "2 1 3 4" {
		t.Errorf("all: %s", got)
	}
}

func TestTopScrollsWithinItsRows(t *testing.T) {
	var lanes []channel.LaneInfo
	for range 20 {
		lanes = append(lanes, channel.LaneInfo{})
	}
	m := screenOf(lookAt(0, lanes...))
	check := func(first, last int) {
		t.Helper()
		f := strings.Fields(sources(m))
		if f[0] != fmt.Sprint(first) || f[len(f)-1] != fmt.Sprint(last) {
			t.Errorf("%v, want %d to %d", f, first, last)
		}
	}
	check(1, 8)
	press(m, "up", "down", "down")
	check(3, 10)
	press(m, "pgdown")
	check(11, 18)
	press(m, "pgdown", "end")
	check(13, 20)
	m.Update(seen(lookAt(time.Second, lanes[:9]...)))
	check(2, 9)
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 40})
	check(1, 9)
}

func TestTopFitsTheScreen(t *testing.T) {
	l := lookAt(0, channel.LaneInfo{Messages: 1 << 40, Waiting: 1 << 50, Damage: "torn"}, channel.LaneInfo{})
	for width := range 150 {
		for height := range 10 {
			m := screenOf(l)
			m.Update(tea.WindowSizeMsg{Width: width, Height: height})
			lines := m.screen()
			for _, line := range lines {
				if ansi.StringWidth(line) > width && height > 0 {
					t.Fatalf("%d by %d: %q is too wide", width, height, line)
				}
			}
			if len(lines) > max(height, 1) {
				t.Fatalf("%d by %d: %d lines", width, height, len(lines))
			}
		}
	}
}

func TestTopNarrowLeavesOutSpareColumns(t *testing.T) {
	m := screenOf(lookAt(0, channel.LaneInfo{}))
	wide := m.screen()[2]
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 12})
	narrow := m.screen()[2]
	if !strings.Contains(wide, "SENDER") || strings.Contains(narrow, "SENDER") || !strings.Contains(narrow, "STATE") {
		t.Errorf("wide %q, narrow %q", wide, narrow)
	}
}

func TestTopKeys(t *testing.T) {
	m := screenOf(lookAt(0))
	reads := 0
	m.read = func() topLook { reads++; return lookAt(time.Second) }
	press(m, "space")
	if _, cmd := m.Update(due{}); cmd == nil || !m.paused {
		t.Error("paused: no next look is planned")
	}
	press(m, "space")
	_, cmd := m.Update(due{})
	if msg := cmd(); reads != 1 {
		t.Errorf("due: %T, %d reads", msg, reads)
	}
	press(m, "+")
	if m.every != 2*time.Second {
		t.Errorf("+: every %s", m.every)
	}
	for range 20 {
		press(m, "-")
	}
	if m.every != topFastest {
		t.Errorf("-: every %s", m.every)
	}
	for _, k := range []string{"q", "esc"} {
		if cmd := press(m, k); cmd == nil || cmd() != tea.Quit() {
			t.Errorf("%s does not end it", k)
		}
	}
}

func TestTopEndsWithItsDomain(t *testing.T) {
	l := lookAt(0)
	l.err = errors.New("domain 1000 was removed")
	m := screenOf()
	if _, cmd := m.Update(seen(l)); cmd == nil || cmd() != tea.Quit() {
		t.Error("it goes on")
	}
}
