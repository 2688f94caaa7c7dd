// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/skybus-io/skybus/channel"
)

// A Link is what the tools show of one connection with another host.
type Link struct {
	Peer      string    `json:"peer"`
	Address   string    `json:"address"`
	Direction string    `json:"direction"` // "out": it carries lanes to the peer; "in": from it
	Number    int       `json:"connection"`
	State     string    `json:"state"`
	Secure    bool      `json:"tls"`
	Since     time.Time `json:"since,omitzero"` // of State "up"
	Ups       int       `json:"ups"`            // how often it came up
	RTT       int64     `json:"rtt_ns"`
	Lanes     int       `json:"lanes"`

	SentMessages     uint64 `json:"sent_messages"`
	SentBytes        uint64 `json:"sent_bytes"`
	ReceivedMessages uint64 `json:"received_messages"`
	ReceivedBytes    uint64 `json:"received_bytes"`
	InFlight         uint64 `json:"in_flight_bytes"`
	Stalls           uint64 `json:"credit_stalls"`
	Resent           uint64 `json:"resent"`
	Duplicates       uint64 `json:"duplicates_dropped"`
	Gaps             uint64 `json:"gaps"`
	LastError        string `json:"last_error,omitempty"`
}

// A Hop is what the tools show of one lane to another host.
type Hop struct {
	Src     string `json:"src"`
	Dst     string `json:"dst"`
	Host    string `json:"host"`
	Number  int    `json:"connection"`
	Flowing bool   `json:"flowing"`
	Stalled bool   `json:"stalled"`
	Sent    uint64 `json:"sent_seq"`
	Stored  uint64 `json:"stored_seq"`
	Error   string `json:"error,omitempty"`
}

// Status is what a daemon says of itself.
type Status struct {
	PID      int    `json:"pid"`
	Host     string `json:"host"`
	Listen   string `json:"listen"`
	RelayKey uint32 `json:"relay_key"`
	Routes   uint64 `json:"routes_generation"`
	Refused  uint64 `json:"refused_connections"`
	Links    []Link `json:"links"`
	Hops     []Hop  `json:"lanes"`
}

var (
	// ErrNoDaemon means that no relay daemon answers for the domain.
	ErrNoDaemon = errors.New("no relay daemon runs for the domain")
	// ErrQuestion means that the daemon does not know the question.
	ErrQuestion = errors.New("the daemon does not know the question")
)

// An unknownError is an ErrQuestion, in the daemon's words.
type unknownError struct{ text string }

func (e *unknownError) Error() string        { return e.text }
func (e *unknownError) Is(target error) bool { return target == ErrQuestion }

type request struct {
	Do   string          `json:"do"`
	Args json.RawMessage `json:"args,omitempty"`
}

type answer struct {
	Status  *Status `json:"status,omitempty"`
	Value   any     `json:"value,omitempty"` // of Config.Control
	Error   string  `json:"error,omitempty"`
	Unknown bool    `json:"unknown,omitempty"` // the error is ErrQuestion
}

const (
	controlPatience = 5 * time.Second
	maxQuestion     = 4096 // bytes
)

// listenControl opens the socket for questions. What a dead daemon left is replaced:
// the relay's lock says that there is no other.
func (d *Daemon) listenControl() error {
	path := filepath.Join(d.c.Table.Folder(), channel.DaemonSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("the daemon's socket: %w", err)
	}
	d.control = ln
	return os.Chmod(path, 0o660)
}

func (d *Daemon) serveControl() {
	defer d.done.Done()
	for {
		c, err := d.control.Accept()
		if err != nil {
			return
		}
		d.done.Add(1)
		go func() {
			defer d.done.Done()
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(controlPatience))
			d.answer(c)
		}()
	}
}

func (d *Daemon) answer(c net.Conn) {
	line, err := bufio.NewReaderSize(c, maxQuestion).ReadSlice('\n')
	var q request
	if err == nil {
		err = json.Unmarshal(line, &q)
	}
	a := answer{}
	switch {
	case err != nil:
		a.Error = "want one line of JSON: " + err.Error()
	case q.Do == "status":
		a.Status = d.status()
	case q.Do == "routes":
		d.Reload()
	case q.Do == "reload":
		d.Reload()
		select {
		case d.reloaded <- struct{}{}:
		default:
		}
	case q.Do == "stop":
		d.askToStop()
	default:
		a = d.answerMore(&q)
		_ = c.SetDeadline(time.Now().Add(controlPatience)) // it may have taken a while
	}
	_ = json.NewEncoder(c).Encode(&a)
}

// answerMore has Control answer.
func (d *Daemon) answerMore(q *request) answer {
	var v any
	err := fmt.Errorf("%w: %q: want status, routes, reload or stop", ErrQuestion, q.Do)
	if d.c.Control != nil {
		v, err = d.c.Control(q.Do, q.Args)
	}
	var data json.RawMessage
	if err == nil {
		data, err = json.Marshal(v)
	}
	if err != nil {
		return answer{Error: err.Error(), Unknown: errors.Is(err, ErrQuestion)}
	}
	return answer{Value: data}
}

// Reloads tells each time that somebody has asked the daemon to read its
// configuration again.
func (d *Daemon) Reloads() <-chan struct{} { return d.reloaded }

func (d *Daemon) status() *Status {
	s := &Status{PID: os.Getpid(), Host: d.c.Host, RelayKey: d.c.RelayKey, Refused: d.refusals.Load(), Links: []Link{}, Hops: []Hop{}}
	if d.listener != nil {
		s.Listen = d.listener.Addr().String()
	}
	d.mu.Lock()
	s.Routes = d.routes.Generation
	var conns []*conn
	for _, p := range d.links {
		conns = append(conns, p.conns...)
	}
	for _, c := range d.accepts {
		conns = append(conns, c)
	}
	d.mu.Unlock()
	for _, c := range conns {
		l, hops := c.status()
		s.Links, s.Hops = append(s.Links, l), append(s.Hops, hops...)
	}
	slices.SortFunc(s.Links, func(a, b Link) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(b.Direction, a.Direction), cmp.Compare(a.Number, b.Number))
	})
	slices.SortFunc(s.Hops, func(a, b Hop) int { return cmp.Or(cmp.Compare(a.Src, b.Src), cmp.Compare(a.Dst, b.Dst)) })
	return s
}

func (c *conn) status() (Link, []Hop) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := Link{Peer: c.host, Address: c.addr, Direction: "in", Number: c.number, State: c.state, Secure: c.d.c.TLS != nil, Ups: c.ups}
	if c.dials {
		l.Direction = "out"
	}
	sum := c.sum
	if c.sess != nil {
		sum = addStats(sum, c.sess.Stats())
	}
	if c.state == stateUp {
		l.Since = c.since
	}
	l.RTT, l.InFlight = sum.RTT, sum.InFlight
	l.Lanes = sum.Streams + sum.Inbound
	l.SentMessages, l.SentBytes, l.ReceivedMessages, l.ReceivedBytes = sum.SentMessages, sum.SentBytes, sum.ReceivedMessages, sum.ReceivedBytes
	l.Stalls, l.Resent, l.Duplicates, l.Gaps = sum.Stalls, sum.Resent, sum.Duplicates, sum.GapsSent+sum.GapsReceived
	if c.last != nil {
		l.LastError = c.last.Error()
	}
	var hops []Hop
	for la := range c.lanes {
		if la.refusal != "" && l.LastError == "" {
			l.LastError = "lane " + c.d.c.Table.FormatPair(la.Pair) + ": " + la.refusal
		}
		h := Hop{Src: c.d.c.Table.Format(la.Src), Dst: c.d.c.Table.Format(la.Dst), Host: c.host, Number: c.number, Error: la.refusal}
		if st := la.stream; st != nil {
			h.Flowing, h.Stalled = st.Flowing(), st.Stalled() || la.source.Held()
			h.Sent, h.Stored = st.Position()
		}
		hops = append(hops, h)
	}
	return l, hops
}

// ConnectionOf returns which of a number of connections to a host carries the lane
// p: always the same one (L10).
func ConnectionOf(p channel.Pair, connections int) int {
	h := fnv.New32a()
	_ = binary.Write(h, binary.LittleEndian, [2]uint32{uint32(p.Src), uint32(p.Dst)})
	return int(h.Sum32() % uint32(connections))
}

// Ask puts a question to the daemon of the domain in folder dir: "status",
// "routes" (look at the route table at once), "reload" (read the configuration
// again, too) or "stop". It waits for 5 s at most. Errors: ErrNoDaemon.
func Ask(dir, do string) (*Status, error) {
	ctx, stop := context.WithTimeout(context.Background(), controlPatience)
	defer stop()
	a := answer{}
	if err := put(ctx, dir, request{Do: do}, &a); err != nil {
		return nil, err
	}
	return a.Status, nil
}

// AskFor puts a question that the daemon's Config.Control answers to the daemon of the domain in folder dir, and reads
// the answer into v, a pointer. args goes as JSON, with the question at most 4,096 bytes; nil is none. It waits until ctx is
// over. Errors: ErrNoDaemon, ErrQuestion, what the daemon says, the context's.
func AskFor(ctx context.Context, dir, do string, args, v any) error {
	q := request{Do: do}
	if args != nil {
		data, err := json.Marshal(args)
		if err != nil {
			return fmt.Errorf("ask the daemon: %w", err)
		}
		q.Args = data
	}
	return put(ctx, dir, q, &answer{Value: v})
}

// put puts a question and reads the answer into a.
func put(ctx context.Context, dir string, q request, a *answer) error {
	path := filepath.Join(dir, channel.DaemonSocket)
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("ask the daemon: %w", ctx.Err())
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrNoDaemon, path, err)
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(end)
	}
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })()
	what := "ask the daemon"
	if err = json.NewEncoder(c).Encode(q); err == nil {
		what = "the daemon's answer"
		err = json.NewDecoder(c).Decode(a)
	}
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case a.Unknown:
		return &unknownError{a.Error}
	case a.Error != "":
		return fmt.Errorf("the daemon refuses: %s", a.Error)
	}
	return nil
}
