// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// columnGap is the space between columns.
const columnGap = 2

// table lays out rows by the width they take on a terminal, where a Chinese
// character of a description takes two places.
type table struct {
	head  []string
	right []bool
	rows  [][]string
}

// newTable makes a table. Headers that begin with '>' are of columns of numbers.
func newTable(headers ...string) *table {
	t := &table{}
	for _, h := range headers {
		name, right := strings.CutPrefix(h, ">")
		t.head = append(t.head, name)
		t.right = append(t.right, right)
	}
	return t
}

// row adds a row, one cell a column.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
	}
	t.rows = append(t.rows, cells)
}

// lines returns the table, its header first.
func (t *table) lines() []string {
	widths := t.widths()
	list := []string{t.line(widths, t.head)}
	for _, r := range t.rows {
		list = append(list, t.line(widths, r))
	}
	return list
}

func (t *table) widths() []int {
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = ansi.StringWidth(h)
		for _, r := range t.rows {
			widths[i] = max(widths[i], ansi.StringWidth(r[i]))
		}
	}
	return widths
}

func (t *table) line(widths []int, cells []string) string {
	var b strings.Builder
	for i, c := range cells {
		if i > 0 {
			b.WriteString(strings.Repeat(" ", columnGap))
		}
		pad := strings.Repeat(" ", widths[i]-ansi.StringWidth(c))
		if t.right[i] {
			b.WriteString(pad + c)
		} else {
			b.WriteString(c + pad)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// print writes the table.
func (a *app) print(t *table) {
	for _, l := range t.lines() {
		a.printf("%s\n", l)
	}
}

// fields writes names and values, one pair a line: what is known of one thing.
func (a *app) fields(pairs ...string) {
	t := &table{right: []bool{false, false}}
	widths := []int{0, 0}
	for i := 0; i < len(pairs); i += 2 {
		widths[0] = max(widths[0], ansi.StringWidth(pairs[i]))
	}
	for i := 0; i < len(pairs); i += 2 {
		widths[1] = ansi.StringWidth(printable(pairs[i+1]))
		a.printf("%s\n", t.line(widths, []string{pairs[i], printable(pairs[i+1])}))
	}
}

// list writes a listing: with --json one array of objects, else the table.
func list[T any](a *app, items []T, t *table) error {
	if !a.json {
		a.print(t)
		return nil
	}
	if items == nil {
		items = []T{} // null would be no listing
	}
	return a.object(items, "  ")
}

// object writes a value as JSON; on one line unless there is an indentation.
func (a *app) object(v any, indent string) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	return e.Encode(v)
}

// done tells what a command did: with --json as an object, else as a sentence.
func (a *app) done(v any, format string, args ...any) error {
	if a.json {
		return a.object(v, "")
	}
	a.printf(format+"\n", args...)
	return nil
}
