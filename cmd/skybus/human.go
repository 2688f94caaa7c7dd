// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// size writes a number of bytes the short way: 512, 64K, 1.5M. K is 1024.
func size(n uint64) string { return scaled(float64(n), 1024, "KMGTPE") }

// rate writes a number per second the short way: 0, 17, 1.2k, 3.4M. k is 1000.
func rate(v float64) string {
	if v > 0 && v < 0.95 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return scaled(v, 1000, "kMGTPE")
}

// scaled divides v by unit as often as it takes to have three digits.
func scaled(v, unit float64, prefixes string) string {
	prefix := ""
	for i := 0; v >= unit && i < len(prefixes); i++ {
		v /= unit
		prefix = prefixes[i : i+1]
	}
	if prefix == "" || v == float64(int64(v)) || v >= 99.95 {
		return fmt.Sprintf("%.0f%s", v, prefix)
	}
	return fmt.Sprintf("%.1f%s", v, prefix)
}

// sizes writes a size that was asked for and what the bus made of it, as one
// where they are the same.
func sizes(asked, made uint64) string {
	if asked == made || made == 0 {
		return size(asked)
	}
	if asked == 0 { // on demand
		return size(made)
	}
	return size(asked) + "/" + size(made)
}

// count writes a number of things.
func count[T int | uint64](n T, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case strings.HasSuffix(thing, "s"):
		return fmt.Sprintf("%d %ses", n, thing)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// moment writes a time as people read it, and "-" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// ago writes how long ago t was, coarsely.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := max(now.Sub(t), 0)
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + "d"
}

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}

// orDash returns s, or what stands for nothing.
func orDash(s string) string { return cmp.Or(s, "-") }

// printable replaces what could drive a terminal: names and messages come from
// other processes.
func printable(s string) string {
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if !unprintable(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// excerpt is a payload on one line: its text, with what cannot be printed
// written as in Go.
func excerpt(p []byte) string {
	quoted := strconv.Quote(string(p))
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
