// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// shortList is how many services list shows unless it is asked for all.
const shortList = 1000

func list(r *request) error {
	words, err := r.words(0, 1, "one word at most")
	if err != nil {
		return err
	}
	word, most := "", shortList
	if len(words) > 0 {
		word = words[0]
	}
	if word == "all" {
		word, most = "", r.k.cfg.MaxOutput/len("PID  NAME  KIND  STATE") // no row is shorter
	}
	t := newTable(r.out, "PID", "NAME", "KIND", "STATE", "WAITING", "HANDLED", "TIME")
	shown, left := 0, 0
	for _, s := range r.k.rt.Services() {
		switch {
		case !strings.Contains(s.PID.String(), word) && !strings.Contains(s.Name, word):
		case shown == most:
			left++
		default:
			shown++
			t.row(s.PID.String(), s.Name, s.Kind, s.State, strconv.Itoa(s.Waiting), number(s.Handled), spent(s.Time))
		}
	}
	t.end()
	if left > 0 {
		r.out.printf("%d more: list WORD picks some, list all shows all\n", left)
	}
	return nil
}

func stat(r *request) error {
	if r.rest == "" {
		return statAll(r)
	}
	p, err := r.target()
	if err != nil {
		return err
	}
	s, err := r.info(p)
	if err != nil {
		return err
	}
	pairs(r, [][2]string{
		{"pid", s.PID.String()}, {"name", s.Name}, {"kind", s.Kind}, {"state", s.State},
		{"waiting", strconv.Itoa(s.Waiting)}, {"blocked senders", strconv.Itoa(s.Blocked)},
		{"handled", number(s.Handled)}, {"dropped", number(s.Dropped)}, {"time in handlers", spent(s.Time)},
		{"waiting handlers", strconv.Itoa(len(r.k.rt.Tasks(s.PID, false)))},
	})
	return nil
}

func statAll(r *request) error {
	s := r.k.rt.Stats()
	pairs(r, [][2]string{
		{"services", strconv.Itoa(s.Services)}, {"queued services", strconv.Itoa(s.Queued)},
		{"workers", strconv.Itoa(s.Workers)}, {"idle workers", strconv.Itoa(s.Parked)},
		{"contexts", strconv.Itoa(s.Contexts)}, {"timers", strconv.Itoa(s.Timers)}, {"turns", number(s.Taken)},
		{"panics", number(s.Panics)}, {"failed messages", number(s.Failed)}, {"undelivered messages", number(s.Undelivered)},
		{"late answers", number(s.Late)}, {"ended services", number(s.Ended)}, {"restarts", number(s.Restarts)},
		{"overloads", number(s.Overloads)},
	})
	return nil
}

// pairs writes a table of names and values.
func pairs(r *request, list [][2]string) {
	t := newTable(r.out, list[0][:]...)
	for _, p := range list[1:] {
		t.row(p[:]...)
	}
	t.end()
}

func task(r *request) error {
	of, stacks, err := r.taskArguments()
	if err != nil {
		return err
	}
	tasks := r.k.rt.Tasks(of, stacks)
	traced := slices.ContainsFunc(tasks, func(k actor.Task) bool { return !k.Trace.IsZero() })
	head := []string{"PID", "NAME", "HANDLES", "FROM", "WAITS FOR", "OF", "FOR"}
	if traced {
		head = append(head, "TRACE")
	}
	t := newTable(r.out, head...)
	for i := range tasks {
		k := &tasks[i]
		row := []string{k.Service.String(), k.Name, k.Message, pid(k.From), k.Waits, pid(k.Of), ago(k.Since)}
		if traced {
			row = append(row, k.Trace.String())
		}
		t.row(row...)
	}
	t.end()
	for i := range tasks {
		if k := &tasks[i]; k.Stack != "" {
			r.out.printf("\n%v waits for %s:\n%s\n", k.Service, k.Waits, strings.TrimSpace(k.Stack))
		}
	}
	return nil
}

// taskArguments returns whose handlers are wanted, all for nobody, and whether with
// their stacks.
func (r *request) taskArguments() (of actor.PID, stacks bool, err error) {
	const names = "a PID or a name, and the word stack"
	words, err := r.words(0, 2, names)
	if err != nil {
		return of, false, err
	}
	if n := len(words); n > 0 && words[n-1] == "stack" {
		words, stacks = words[:n-1], true
	}
	switch len(words) {
	case 0:
		return of, stacks, nil
	case 1:
		if of, err = r.k.rt.Resolve(words[0]); err == nil {
			_, err = r.info(of)
		}
		return of, stacks, err
	}
	return of, false, r.want(names)
}

func names(r *request) error {
	words, err := r.words(0, 1, "a prefix at most")
	if err != nil {
		return err
	}
	prefix := strings.TrimPrefix(strings.Join(words, ""), ".")
	all := r.k.rt.Names()
	t := newTable(r.out, "NAME", "PID")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(name, prefix) {
			t.row(name, all[name].String())
		}
	}
	t.end()
	return nil
}

func netstat(r *request) error {
	if _, err := r.words(0, 0, "none"); err != nil {
		return err
	}
	var list []Attachment
	if r.k.cfg.Netstat != nil {
		list = r.k.cfg.Netstat()
	}
	t := newTable(r.out, "KIND", "LOCAL", "REMOTE", "STATE", "SINCE", "RECEIVED", "SENT", "NOTE")
	for _, a := range append(slices.Clone(list), r.k.attachments()...) {
		t.row(a.Kind, a.Local, a.Remote, a.State, ago(a.Since), size(a.Received), size(a.Sent), a.Note)
	}
	t.end()
	return nil
}

// attachments lists the console's own connections, the oldest first.
func (k *Console) attachments() []Attachment {
	k.mu.Lock()
	conns := slices.SortedFunc(maps.Keys(k.conns), func(a, b *conn) int { return cmp.Compare(a.number, b.number) })
	k.mu.Unlock()
	list := make([]Attachment, len(conns))
	for i, c := range conns {
		list[i] = c.attachment()
	}
	return list
}

func mem(r *request) error {
	if _, err := r.words(0, 0, "none"); err != nil {
		return err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := r.k.rt.Stats()
	pairs(r, [][2]string{
		{"heap in use", size(m.HeapAlloc)}, {"heap objects", number(m.HeapObjects)}, {"heap from the system", size(m.HeapSys)},
		{"heap released", size(m.HeapReleased)}, {"stacks", size(m.StackInuse)}, {"from the system", size(m.Sys)},
		{"next collection at", size(m.NextGC)}, {"collections", strconv.FormatUint(uint64(m.NumGC), 10)},
		{"last collection", lastGC(&m)}, {"pauses", time.Duration(min(m.PauseTotalNs, 1<<62)).String()},
		{"goroutines", strconv.Itoa(runtime.NumGoroutine())}, {"contexts", strconv.Itoa(s.Contexts)},
		{"timers", strconv.Itoa(s.Timers)}, {"services", strconv.Itoa(s.Services)}, {"workers", strconv.Itoa(s.Workers)},
	})
	return nil
}

func lastGC(m *runtime.MemStats) string {
	if m.NumGC == 0 {
		return ""
	}
	return ago(time.Unix(0, int64(m.LastGC))) + " ago"
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// pid is empty for nobody.
func pid(p actor.PID) string {
	if p.IsZero() {
		return ""
	}
	return p.String()
}

// ago is how long t is past; empty for the zero time.
func ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return short(max(time.Since(t), 0))
}

// short is a time with three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.String()
}

// spent is a time that is measured while profile is on; empty where there is none.
func spent(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return short(d)
}

// size is a number of bytes in the largest unit that leaves it at 10 or more.
func size(n uint64) string {
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB"}
	u := 0
	for n >= 10<<10 && u < len(units)-1 {
		n >>= 10
		u++
	}
	return number(n) + " " + units[u]
}
