// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/relay"
)

// topFrame is the number of lines that are not rows of the table: two of totals, the header,
// the keys.
const topFrame = 4

const topKeys = "q quit  tab links  ←→ sort  r reverse  b busy only  space pause  +- interval  ↑↓ scroll"

// topColumn is one column: what stands in it and what it sorts by.
type topColumn struct {
	name    string
	number  bool
	spare   bool // left out where the screen is narrow
	cell    func(r topRow, format func(addr.Addr) string) string
	compare func(a, b topRow) int
}

// by sorts by what is seen of a row.
func by[T cmp.Ordered](of func(r topRow) T) func(a, b topRow) int {
	return func(a, b topRow) int { return cmp.Compare(of(a), of(b)) }
}

// topWaiting is the column that rows are sorted by at first.
const topWaiting = 2

var topColumns = []topColumn{
	{name: "SRC", compare: by(func(r topRow) addr.Addr { return r.Src }),
		cell: func(r topRow, f func(addr.Addr) string) string { return f(r.Src) }},
	{name: "DST", compare: by(func(r topRow) addr.Addr { return r.Dst }),
		cell: func(r topRow, f func(addr.Addr) string) string { return f(r.Dst) }},
	numberColumn("WAITING", false, func(r topRow) uint64 { return r.Messages }, func(n uint64) string { return strconv.FormatUint(n, 10) }),
	numberColumn("BYTES", false, func(r topRow) uint64 { return r.Waiting }, size),
	numberColumn("SENT/s", false, func(r topRow) float64 { return r.sent }, rate),
	numberColumn("BYTES/s", false, func(r topRow) float64 { return r.sentBytes }, byteRate),
	numberColumn("RECV/s", true, func(r topRow) float64 { return r.received }, rate),
	numberColumn("FULL", false, func(r topRow) uint64 { return r.Full }, func(n uint64) string { return rate(float64(n)) }),
	numberColumn("SIZE", true, func(r topRow) uint64 { return r.Size }, size),
	{name: "SENDER", spare: true, number: true, compare: by(func(r topRow) uint32 { return livePID(r.sender) }),
		cell: func(r topRow, _ func(addr.Addr) string) string { return r.senderPID() }},
	{name: "READER", number: true, compare: by(func(r topRow) uint32 { return livePID(r.reader) }),
		cell: func(r topRow, _ func(addr.Addr) string) string { return r.readerPID() }},
	{name: "STATE", compare: by(func(r topRow) string { return r.state() }),
		cell: func(r topRow, _ func(addr.Addr) string) string { return r.state() }},
}

func numberColumn[T cmp.Ordered](name string, spare bool, of func(r topRow) T, write func(T) string) topColumn {
	return topColumn{name: name, number: true, spare: spare, compare: by(of),
		cell: func(r topRow, _ func(addr.Addr) string) string { return write(of(r)) }}
}

func byteRate(v float64) string { return size(uint64(v)) }

// View draws the screen.
func (m *topModel) View() tea.View {
	v := tea.NewView(strings.Join(m.screen(), "\n"))
	v.AltScreen = true
	v.WindowTitle = fmt.Sprintf("skybus top %d", m.now.domain.key)
	return v
}

// screen returns the lines of the screen, none wider than it is.
func (m *topModel) screen() []string {
	if m.now.at.IsZero() || m.height == 0 {
		return []string{"looking ..."}
	}
	lines := []string{m.title(), m.totals()}
	if m.tab == tabLinks {
		lines[1] = m.linkTotals()
	}
	lines = append(lines, m.tableOnScreen()...)
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	return append(lines[:max(m.height-1, 0)], m.cut(topKeys))
}

// tableOnScreen returns the header of the table that is shown, and the rows that
// the screen has room for.
func (m *topModel) tableOnScreen() []string {
	table, rows := m.table(), m.shown()
	urgent := func(i int) bool { return rows[i].urgent() }
	if m.tab == tabLinks {
		table = m.linkTable()
		urgent = func(i int) bool { return m.links.status.Links[i].State != linkUp }
	}
	lines := []string{reversed(m.fit(table[0]))}
	for i := m.first; i < min(m.first+m.room(), len(table)-1); i++ {
		lines = append(lines, m.row(urgent(i), table[i+1]))
	}
	return lines
}

// linkTable returns the header and all rows of the links, none without a daemon.
func (m *topModel) linkTable() []string {
	s := m.links.status
	if s == nil {
		s = &relay.Status{}
	}
	return linkTable(s, m.linkRates).lines()
}

// linkTotals is the line over the links.
func (m *topModel) linkTotals() string {
	var text string
	switch {
	case m.links.err != nil:
		text = printable(m.links.err.Error())
	case m.links.status == nil:
		text = "asking the relay daemon ..."
	default:
		s := m.links.status
		up, of, in := linksUp(s)
		text = fmt.Sprintf("host %s (PID %d)  %d of %d links up, %d from other hosts  %d refused  every %s", printable(s.Host), s.PID, up, of, in, s.Refused, m.every)
	}
	if m.paused {
		text += "  PAUSED"
	}
	return m.cut(text)
}

func (m *topModel) title() string {
	d := &m.now.domain
	i := &d.info
	return m.cut(fmt.Sprintf("domain %d (%s)  %s  %d of %s bound  %s of %s  %s", d.key, d.kind(), count(i.Lanes, "lane"),
		d.bound, count(i.Endpoints, "address"), size(i.Bytes), size(i.MaxBytes), m.now.at.Format("15:04:05")))
}

func (m *topModel) totals() string {
	var sum rates
	var waiting uint64
	for _, r := range m.rows {
		sum.sent += r.sent
		sum.sentBytes += r.sentBytes
		sum.received += r.received
		sum.full += r.full
		waiting += r.Messages
	}
	text := fmt.Sprintf("sent %s/s (%s/s)  received %s/s  full %s/s  waiting %d  every %s",
		rate(sum.sent), byteRate(sum.sentBytes), rate(sum.received), rate(sum.full), waiting, m.every)
	if s := m.links.status; s != nil {
		up, of, _ := linksUp(s)
		text += fmt.Sprintf("  links %d/%d up", up, of)
	}
	if m.paused {
		text += "  PAUSED"
	}
	if m.busyOnly {
		text += "  busy lanes only"
	}
	return m.cut(text)
}

// urgent reports whether a lane needs a look.
func (r topRow) urgent() bool { return r.trouble() != nil || r.neglected() }

// row makes what needs a look stand out.
func (m *topModel) row(loud bool, text string) string {
	if loud {
		return "\x1b[1m" + m.cut(text) + "\x1b[m"
	}
	return m.cut(text)
}

// table returns the header and all rows, without the spare columns, the last
// first, that the screen has no room for.
func (m *topModel) table() []string {
	hidden := map[string]bool{}
	for {
		lines := m.columns(hidden).lines()
		widest := 0
		for _, l := range lines {
			widest = max(widest, ansi.StringWidth(l))
		}
		if widest <= m.width || !hideOne(hidden) {
			return lines
		}
	}
}

// hideOne hides one more column, if one can be spared.
func hideOne(hidden map[string]bool) bool {
	for i := len(topColumns) - 1; i >= 0; i-- {
		if c := topColumns[i]; c.spare && !hidden[c.name] {
			hidden[c.name] = true
			return true
		}
	}
	return false
}

func (m *topModel) columns(hidden map[string]bool) *table {
	var heads []string
	for i, c := range topColumns {
		if hidden[c.name] {
			continue
		}
		head := c.name + m.arrow(i)
		if c.number {
			head = ">" + head
		}
		heads = append(heads, head)
	}
	t := newTable(heads...)
	for _, r := range m.shown() {
		var cells []string
		for _, c := range topColumns {
			if !hidden[c.name] {
				cells = append(cells, c.cell(r, m.format))
			}
		}
		t.row(cells...)
	}
	return t
}

// arrow marks the column that the rows are sorted by.
func (m *topModel) arrow(column int) string {
	switch {
	case column != m.sortBy:
		return ""
	case m.reverse:
		return "▾"
	}
	return "▴"
}

func reversed(s string) string { return "\x1b[7m" + s + "\x1b[m" }

// cut shortens a line to the screen, fit also fills it up.
func (m *topModel) cut(s string) string { return ansi.Truncate(s, m.width, "…") }

func (m *topModel) fit(s string) string {
	s = m.cut(s)
	return s + strings.Repeat(" ", max(m.width-ansi.StringWidth(s), 0))
}
