// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/sys"
)

func init() { roles["peer"] = peerRole }

// A peer is another process that does on the bus what it is told, line by line:
//
//	open              ok
//	bind ADDR         ok
//	send ADDR TEXT    ok
//	recv              SRC SEQ flagged|new TEXT
//	close             ok
//	cpu               NANOSECONDS of processor time used so far
//
// It answers "error TEXT" to what fails.
type peer struct{ *killtest.Process }

// peerArgs say how the peer opens the test's domain.
type peerArgs struct {
	Root string
	Wait skybus.Wait
}

func startPeer(t testing.TB, root string, opts ...killtest.StartOption) peer {
	t.Helper()
	p := peer{killtest.Start(t, "peer", peerArgs{Root: root}, opts...)}
	p.do(t, "open", "ok")
	return p
}

// ask tells the peer to do something and returns its answer.
func (p peer) ask(line string) string {
	p.Tell(line)
	return p.Line()
}

// do is ask for an answer that is known.
func (p peer) do(t testing.TB, line, answer string) {
	t.Helper()
	if got := p.ask(line); got != answer {
		t.Fatalf("the other process answers %q to %q, want %q", got, line, answer)
	}
}

func peerRole(args []byte) error {
	a, err := killtest.Args[peerArgs](args)
	if err != nil {
		return err
	}
	w := peerWorker{args: a}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		answer, err := w.obey(strings.SplitN(in.Text(), " ", 3))
		if err != nil {
			answer = "error " + err.Error()
		}
		fmt.Println(answer)
	}
	return nil
}

type peerWorker struct {
	args peerArgs
	d    *skybus.Domain
	e    *skybus.Endpoint
}

func (w *peerWorker) obey(words []string) (answer string, err error) {
	ctx := context.Background()
	switch words[0] {
	case "open":
		w.d, err = skybus.Open(key, skybus.Options{Root: w.args.Root, MustExist: true, Wait: w.args.Wait})
	case "bind":
		at, err := w.d.ParseAddr(words[1])
		if err == nil {
			w.e, err = w.d.Bind(at)
		}
		return "ok", err
	case "send":
		to, err := w.d.ParseAddr(words[1])
		if err == nil {
			err = w.e.Send(ctx, to, []byte(words[2]))
		}
		return "ok", err
	case "recv":
		m, err := w.e.Recv(ctx)
		kind := "new"
		if m.Redelivered {
			kind = "flagged"
		}
		return fmt.Sprintf("%s %d %s %s", w.d.FormatAddr(m.Src), m.Seq, kind, m.Data), err
	case "close":
		err = w.d.Close()
	case "cpu":
		return fmt.Sprint(sys.CPUTime().Nanoseconds()), nil
	default:
		err = fmt.Errorf("no such order: %q", words)
	}
	return "ok", err
}
