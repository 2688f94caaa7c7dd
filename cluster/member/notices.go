// SPDX-License-Identifier: Apache-2.0

package member

import (
	"log/slog"
	"maps"
	"slices"
	"time"
)

const (
	sayAgain   = time.Minute // the same about the same thing
	maxNotices = 1000        // things that something is said about
	maxShown   = 100         // in a report
)

// notices tell what is wrong, each thing once a minute at most, and remember it for reports. It
// has no lock.
type notices struct {
	log  *slog.Logger
	list map[string]*notice
	full bool // there were more, and this was said
}

type notice struct {
	text string
	told time.Time
	seen time.Time // when it last was so
}

func newNotices(l *slog.Logger) *notices { return &notices{log: l, list: map[string]*notice{}} }

// say warns of something, unless it has done so within the last minute. args are as of slog.
func (n *notices) say(about, text string, args ...any) {
	now := time.Now()
	it := n.list[about]
	if it == nil {
		if len(n.list) >= maxNotices {
			if !n.full {
				n.full = true
				n.log.Warn("more is wrong with the cluster than is told one by one", "told", maxNotices)
			}
			return
		}
		it = &notice{}
		n.list[about] = it
	}
	it.seen = now
	it.text = sentence(text, args)
	if it.told.IsZero() || now.Sub(it.told) >= sayAgain {
		it.told = now
		n.log.Warn(text, args...) //nolint:sloglint // constant at each of its callers
	}
}

// forget drops what has not been so for two minutes.
func (n *notices) forget(now time.Time) {
	for about, it := range n.list {
		if now.Sub(it.seen) > 2*sayAgain {
			delete(n.list, about)
			n.full = false
		}
	}
}

// problems lists what has been so lately, a sentence each.
func (n *notices) problems() []string {
	list := []string{}
	for _, about := range slices.Sorted(maps.Keys(n.list)) {
		if len(list) == maxShown {
			return append(list, "and more: the log has it")
		}
		list = append(list, n.list[about].text)
	}
	return list
}

// sentence puts the values behind the text.
func sentence(text string, args []any) string {
	r := slog.NewRecord(time.Time{}, 0, "", 0)
	r.Add(args...)
	sep := ": "
	r.Attrs(func(a slog.Attr) bool {
		if a.Value.String() != "" {
			text += sep + a.Value.String()
			sep = ", "
		}
		return true
	})
	return text
}
