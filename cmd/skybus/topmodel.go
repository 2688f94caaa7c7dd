// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
)

const (
	topFastest = 50 * time.Millisecond
	topSlowest = time.Minute
)

// topModel is the state of top: what was seen at the last two looks, and how the
// user wants to see it. It reads through read alone.
type topModel struct {
	read   func() topLook
	ask    func() linkLook // may take seconds; nil: there are no links
	format func(addr.Addr) string

	every    time.Duration
	sortBy   int // index in topColumns
	reverse  bool
	busyOnly bool
	paused   bool
	tab      topTab

	now   topLook
	rows  []topRow // of now, as shown: chosen and sorted
	first int      // row at the top of the screen

	links     linkLook    // the last one
	linkRates []linkRates // of links, since the one before
	asking    bool        // the daemon has not answered yet

	width, height int
}

// topTab is which table the screen has.
type topTab bool

const (
	tabLanes topTab = false
	tabLinks topTab = true
)

// topRow is a lane with its rates since the look before.
type topRow struct {
	*lane
	rates
}

// Messages of the model.
type (
	seen topLook  // a look was taken
	told linkLook // the daemon was asked
	due  struct{} // it is time for the next one
)

// Init takes the first look.
func (m *topModel) Init() tea.Cmd { return m.lookAll() }

// lookAll takes a look at everything. The lanes do not wait for a daemon that does
// not answer.
func (m *topModel) lookAll() tea.Cmd {
	if m.asking || m.ask == nil {
		return m.look
	}
	m.asking = true
	return tea.Batch(m.look, func() tea.Msg { return told(m.ask()) })
}

// look is a command: it may take a while in a large domain.
func (m *topModel) look() tea.Msg { return seen(m.read()) }

// Update takes a message and returns what is to be done.
func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.scroll(0)
	case tea.KeyPressMsg:
		return m, m.key(msg.String())
	case due:
		if m.paused {
			return m, m.wait()
		}
		return m, m.lookAll()
	case told:
		m.takeLinks(linkLook(msg))
	case seen:
		m.take(topLook(msg))
		if m.now.err != nil {
			return m, tea.Quit
		}
		return m, m.wait()
	}
	return m, nil
}

func (m *topModel) wait() tea.Cmd {
	return tea.Tick(m.every, func(time.Time) tea.Msg { return due{} })
}

// take makes a look the present one. The first has no rates.
func (m *topModel) take(l topLook) {
	last := m.now
	m.now = l
	if last.at.IsZero() {
		last = l
	}
	m.rows = m.rows[:0]
	for i, r := range l.since(last.look) {
		m.rows = append(m.rows, topRow{&l.lanes[i], r})
	}
	m.arrange()
}

// takeLinks makes what the daemon said the present state of the links.
func (m *topModel) takeLinks(l linkLook) {
	m.asking = false
	last := m.links
	m.links, m.linkRates = l, nil
	if l.status == nil {
		return
	}
	if last.status == nil {
		last = l
	}
	m.linkRates = l.since(last)
	m.scroll(0)
}

// length is how many rows the table has that is shown.
func (m *topModel) length() int {
	if m.tab == tabLanes {
		return len(m.shown())
	}
	return len(m.linkRates)
}

// arrange sorts the rows and keeps the screen inside them. Lanes that are equal
// in the chosen column stay in the order of their addresses.
func (m *topModel) arrange() {
	compare := topColumns[m.sortBy].compare
	sortPairs(m.rows, func(r topRow) channel.Pair { return r.pair() })
	slices.SortStableFunc(m.rows, func(a, b topRow) int {
		if m.reverse {
			return compare(b, a)
		}
		return compare(a, b)
	})
	m.scroll(0)
}

// shown are the rows that the user wants to see.
func (m *topModel) shown() []topRow {
	if !m.busyOnly {
		return m.rows
	}
	return slices.DeleteFunc(slices.Clone(m.rows), func(r topRow) bool { return !r.busy() })
}

func (r topRow) busy() bool {
	return r.Messages > 0 || r.sent > 0 || r.received > 0 || r.trouble() != nil
}

// key does what a key stands for.
func (m *topModel) key(k string) tea.Cmd {
	page := max(m.room(), 1)
	switch k {
	case "q", "esc", "ctrl+c":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	case "tab":
		m.tab, m.first = !m.tab, 0
	case "space", "p":
		m.paused = !m.paused
	case "b":
		m.busyOnly = !m.busyOnly
	case "r":
		m.reverse = !m.reverse
	case "left", "<":
		m.choose(m.sortBy - 1)
	case "right", ">":
		m.choose(m.sortBy + 1)
	case "+":
		m.every = min(m.every*2, topSlowest)
	case "-":
		m.every = max(m.every/2, topFastest)
	case "up", "k":
		m.scroll(-1)
	case "down", "j":
		m.scroll(1)
	case "pgup":
		m.scroll(-page)
	case "pgdown":
		m.scroll(page)
	case "home", "g":
		m.scroll(-m.length())
	case "end", "G":
		m.scroll(m.length())
	}
	m.arrange()
	return nil
}

// choose sorts by another column: numbers from the largest, names from the first.
func (m *topModel) choose(column int) {
	m.sortBy = (column + len(topColumns)) % len(topColumns)
	m.reverse = topColumns[m.sortBy].number
}

// scroll moves the screen by n rows, as far as there are rows.
func (m *topModel) scroll(n int) {
	m.first = max(0, min(m.first+n, m.length()-m.room()))
}

// room is how many rows of its table the screen has.
func (m *topModel) room() int { return m.height - topFrame }
