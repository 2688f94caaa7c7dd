// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/testutil"
)

// scene is a domain with a tail that follows 0.0.0.2, turned by hand.
type scene struct {
	t      *testing.T
	d      *skybus.Domain
	tail   *tailing
	out    bytes.Buffer
	errOut bytes.Buffer
}

func newScene(t *testing.T) *scene {
	d, err := skybus.Open(1, skybus.Options{Root: testutil.Dir(t), AllowUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, d: d}
	a := newApp("skybus", strings.NewReader(""), &s.out, &s.errOut)
	p, err := a.newPrinter(outputText, true, false)
	if err != nil {
		t.Fatal(err)
	}
	p.format = d.FormatAddr
	keep := func(l channel.LaneInfo) bool { return l.Dst == 2 }
	s.tail = &tailing{app: a, d: d, printer: p, args: []string{"0.0.0.2"}, keep: keep, follow: true, watches: map[channel.Pair]*watched{}}
	t.Cleanup(func() {
		s.tail.closeAll()
		d.Close()
	})
	return s
}

// send sends words from 0.0.0.1 to 0.0.0.2, taken by a receiver or not.
func (s *scene) send(taken bool, words ...string) {
	s.t.Helper()
	src, dst := s.bind(1), s.bind(2)
	defer src.Close()
	defer dst.Close()
	for _, w := range words {
		err := src.TrySend(2, []byte(w))
		if err == nil && taken {
			_, err = dst.TryRecv()
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *scene) bind(a addr.Addr) *skybus.Endpoint {
	s.t.Helper()
	e, err := s.d.Bind(a)
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// look lets tail look once, and returns what it has written.
func (s *scene) look(fromTail bool) string {
	s.t.Helper()
	if err := s.tail.search(fromTail); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.tail.round(); err != nil {
		s.t.Fatal(err)
	}
	text := s.out.String()
	s.out.Reset()
	return strings.ReplaceAll(text, "0.0.0.1 -> 0.0.0.2  ", "")
}

func (s *scene) want(got, want string) {
	s.t.Helper()
	if got != want || s.errOut.Len() > 0 {
		s.t.Errorf("got\n%swant\n%s%s", got, want, s.errOut.String())
	}
}

func TestTailTellsWhatWasTakenUnseen(t *testing.T) {
	s := newScene(t)
	s.want(s.look(false), "")
	s.send(true, "a", "b", "c") // in a lane that is new: all of it was missed
	s.send(false, "d")
	s.want(s.look(false), "missed 3, taken before they could be seen\n#4  1 byte  d\n")
	s.want(s.look(false), "")
	s.send(true, "e") // it takes d, which was seen; e waits
	s.want(s.look(false), "#5  1 byte  e\n")
}

func TestTailDoesNotMissWhatCameBeforeIt(t *testing.T) {
	s := newScene(t)
	s.send(true, "a", "b")
	s.send(false, "c")
	s.tail.began = time.Now()
	s.want(s.look(false), "#3  1 byte  c\n")
}

func TestTailOfWhatIsNewLeavesOutWhatWaits(t *testing.T) {
	s := newScene(t)
	s.send(false, "a", "b")
	s.tail.began = time.Now()
	s.want(s.look(true), "")
	s.send(false, "c")
	s.want(s.look(false), "#3  1 byte  c\n")
}

func TestTailFollowsALaneThatWasMadeAgain(t *testing.T) {
	s := newScene(t)
	s.send(false, "a", "b")
	s.want(s.look(false), "#1  1 byte  a\n#2  1 byte  b\n")
	if err := s.d.Table().Delete(channel.Channel{A: 1, B: 2}, true); err != nil {
		t.Fatal(err)
	}
	s.send(false, "again")
	s.want(s.look(false), "#1  5 bytes  again\n")
}
