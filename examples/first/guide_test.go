// SPDX-License-Identifier: Apache-2.0

// Package first has the programs of docs/guide/first-game-server.md built, step by step, and does with them what the page does.
package first

import (
	"context"
	"fmt"
	"go/format"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/gate/dial"
	"github.com/skybus-io/skybus/internal/testutil"
)

const page = "../../docs/guide/first-game-server.md"

func TestGuide(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	steps := strings.Split(string(text), "\n## ")[1:]
	module, bin := newModule(t), t.TempDir()
	for i, step := range []struct {
		programs []string // new, or with new files
		try      func(*testing.T, *place)
	}{
		{[]string{"./one"}, oneProcess},
		{[]string{"./roomd", "./gated"}, twoProcesses},
		{[]string{"./gated", "./talk"}, resume},
		{[]string{"./roomd"}, slowOnes},
	} {
		unpack(t, module, steps[i])
		command(t, module, append([]string{"build", "-ldflags=-s -w", "-o", bin + "/"}, step.programs...))
		t.Run(fmt.Sprint("step ", i+1), func(t *testing.T) {
			testutil.NoLeaks(t)
			step.try(t, &place{bin: bin, root: testutil.Dir(t)})
		})
	}
	command(t, module, []string{"vet", "./..."})
	for _, rest := range steps[4:] {
		if strings.Contains(rest, "```go") {
			t.Errorf("a program that this test does not try: %.80q", rest)
		}
	}
}

// newModule makes a module beside this one, as the page does.
func newModule(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	main, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	// The requirements are copied, so that nothing is looked up.
	mod := regexp.MustCompile(`(?m)^module .*$`).ReplaceAll(main, []byte("module example.com/first"))
	mod = fmt.Appendf(mod, "\nrequire github.com/skybus-io/skybus v0.0.0\n\nreplace github.com/skybus-io/skybus => %s\n", strconv.Quote(root))
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), mod)
	write(t, filepath.Join(dir, "go.sum"), sums)
	return dir
}

func write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// unpack writes the files of a step over those of the steps before.
func unpack(t *testing.T, module, step string) {
	t.Helper()
	blocks := strings.Split(step, "```go\n")[1:]
	if len(blocks) == 0 {
		t.Fatalf("there is no program in the step %.40q", step)
	}
	for _, b := range blocks {
		code, _, ended := strings.Cut(b, "```")
		name, isComment := strings.CutPrefix(code[:strings.IndexByte(code, '\n')], "// ")
		if !ended || !isComment || !filepath.IsLocal(name) || !strings.HasSuffix(name, ".go") {
			t.Fatalf("a block does not begin with the name of its file, or does not end: %.60q", b)
		}
		if nice, err := format.Source([]byte(code)); err != nil || string(nice) != code {
			t.Errorf("%s: it is not as gofmt has it (%v); that would be\n%s", name, err, nice)
		}
		write(t, filepath.Join(module, name), []byte(code))
	}
}

// command runs go in the module, without a look at the network.
func command(t *testing.T, module string, args []string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GOPROXY=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// A place is a bus, and the programs that run there.
type place struct{ bin, root string }

func oneProcess(t *testing.T, p *place) {
	one := p.start(t, "one", "-listen", "127.0.0.1:0")
	talk(t, one.address(t))
}

func twoProcesses(t *testing.T, p *place) {
	room := p.start(t, "roomd")
	room.expect(t, "the room is open")
	ann, bob := talk(t, p.start(t, "gated", "-listen", "127.0.0.1:0").address(t))

	room.end()
	ann.say(t, "is it dead?")
	p.start(t, "roomd").expect(t, "the room is open")
	// The room's process has forgotten the name, not the session. What it had handled just before may come again.
	for _, who := range []*peer{ann, bob} {
		said := who.until(t, func(s string) bool { return strings.HasSuffix(s, ": is it dead?") })
		if !strings.HasPrefix(said, "0.0.1.1#") {
			t.Errorf("heard %q", said)
		}
	}
}

// talk has ann and bob come to a gate of lines, and a third one that leaves.
func talk(t *testing.T, gate string) (ann, bob *peer) {
	t.Helper()
	ann = connect(t, gate)
	ann.say(t, "ann")
	ann.expect(t, "* ann is here")
	bob = connect(t, gate)
	bob.say(t, "bob\r")
	eve := connect(t, gate)
	for _, who := range []*peer{ann, bob} {
		who.expect(t, "* bob is here")
	}
	eve.say(t, "eve")
	eve.expect(t, "* eve is here")
	eve.end()
	ann.expect(t, "* eve is here", "* eve has left")
	bob.expect(t, "* eve is here", "* eve has left")
	ann.say(t, "hello")
	ann.expect(t, "ann: hello")
	bob.expect(t, "ann: hello")

	long := connect(t, gate)
	long.say(t, strings.Repeat("x", 33))
	if s, ok := <-long.lines; ok {
		t.Errorf("a name of 33 bytes was let in, and heard %q", s)
	}
	return ann, bob
}

// ownHost is a loopback address that nobody else uses: a gate that is started again finds its port free.
const ownHost = "127.77.1.1"

func resume(t *testing.T, p *place) {
	p.start(t, "roomd").expect(t, "the room is open")
	first := p.start(t, "gated", "-listen", ownHost+":0")
	at1 := first.address(t)
	at2 := p.start(t, "gated", "-at", "0.0.1.2", "-listen", ownHost+":0", "-adopt", "0.0.1.1").address(t)
	ann := p.start(t, "talk", "-name", "ann", "-gate", at1+","+at2)
	ann.expect(t, "* ann is here")
	bob := p.start(t, "talk", "-name", "bob", "-gate", at1)
	ann.expect(t, "* bob is here")
	bob.expect(t, "* bob is here")

	// The gate is killed with lines on their way, and stays dead until the other one has its sessions; then the same again, the other way round.
	n := 0
	count := func(of int, in ...*peer) {
		for range of {
			n++
			ann.say(t, strconv.Itoa(n))
		}
		for i := n - of + 1; i <= n; i++ {
			for _, who := range in {
				who.expect(t, "ann: "+strconv.Itoa(i))
			}
		}
	}
	count(100, ann, bob)
	from := n
	for range 100 {
		n++
		ann.say(t, strconv.Itoa(n))
	}
	first.end()
	for i := from + 1; i <= n; i++ { // by the other gate
		ann.expect(t, "ann: "+strconv.Itoa(i))
	}
	count(50, ann)
	again := p.start(t, "gated", "-listen", at1)
	again.address(t)
	for i := from + 1; i <= n; i++ { // bob has waited for his gate
		bob.expect(t, "ann: "+strconv.Itoa(i))
	}
	count(50, ann, bob)
	from = n
	for range 100 {
		n++
		ann.say(t, strconv.Itoa(n))
	}
	again.end()
	p.start(t, "gated", "-listen", at1).address(t)
	for i := from + 1; i <= n; i++ {
		ann.expect(t, "ann: "+strconv.Itoa(i))
		bob.expect(t, "ann: "+strconv.Itoa(i))
	}
}

func slowOnes(t *testing.T, p *place) {
	room := p.start(t, "roomd")
	room.expect(t, "the room is open")
	at := p.start(t, "gated", "-listen", "127.0.0.1:0").address(t)
	ann := p.start(t, "talk", "-name", "ann", "-gate", at)
	ann.expect(t, "* ann is here")
	bob, err := dial.Dial(context.Background(), at, dial.Options{
		Auth: []byte("bob"), Resume: true, Buffered: 1, Connect: narrow,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bob.Close() }()
	ann.expect(t, "* bob is here")

	pad := strings.Repeat("x", 4000)
	const places = 2000 // 8 MB, which neither kernel nor queue has room for
	for i := range places {
		ann.say(t, fmt.Sprintf("@%d %s", i, pad))
		if i%100 == 0 {
			ann.say(t, fmt.Sprint("line ", i/100))
			ann.expect(t, fmt.Sprint("ann: line ", i/100)) // nobody waits for bob
		}
	}
	// One place that waits is not much. What must arrive adds up, until the room hears of it.
	lines := places / 100
	for slow := false; !slow; lines++ {
		ann.say(t, fmt.Sprint("line ", lines, " ", pad))
		ann.expect(t, fmt.Sprint("ann: line ", lines, " ", pad))
		select {
		case said := <-room.lines:
			if slow = strings.HasPrefix(said, "bob is slow: true, "); !slow {
				t.Fatalf("the room has said %q", said)
			}
		default:
		}
	}
	ann.say(t, "that was all")
	ann.expect(t, "ann: that was all")
	judge(t, bob, places)
	room.until(t, func(s string) bool { return strings.HasPrefix(s, "bob is slow: false") })
}

// judge reads what bob was sent: all lines in order, and of the places some, in order, and the last one.
func judge(t *testing.T, bob *dial.Client, places int) {
	t.Helper()
	seen, last, line := 0, -1, 0
	for {
		p, err := bob.Recv(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		var n int
		switch s := string(p.Data); {
		case strings.HasPrefix(s, "ann is at "):
			if _, err := fmt.Sscanf(s, "ann is at %d", &n); err != nil || n <= last || !p.Loose {
				t.Errorf("%.20q after place %d, loose %v: %v", s, last, p.Loose, err)
			}
			last, seen = n, seen+1
		case strings.HasPrefix(s, "ann: line "):
			if _, err := fmt.Sscanf(s, "ann: line %d", &n); err != nil || n != line || p.Loose {
				t.Errorf("%.20q, want line %d, loose %v: %v", s, line, p.Loose, err)
			}
			line++
		case s == "ann: that was all":
			if last != places-1 || seen > places/2 {
				t.Errorf("of %d places %d have come, the last one was %d", places, seen, last)
			}
			return
		case s != "* bob is here":
			t.Errorf("heard %.40q", s)
		}
	}
}

// narrow connects with a small buffer in the kernel, so that it is soon full.
func narrow(ctx context.Context, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := c.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}
