// SPDX-License-Identifier: Apache-2.0

package relaybench

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cmd/skybus/internal/ipcbench"
)

// TestMain makes the test binary all programs that this package runs: the parts,
// the command that shows links, and a daemon.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if play, ok := roles[os.Args[1]]; ok {
			if err := play(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // parts end as fast with the race detector
	os.Exit(m.Run())
}

var roles = map[string]func() error{
	"part": ipcbench.Part, "hold": HoldPart, "links": fakeLinks, "--root": fakeDaemon,
}

const linkedFile = "linked" // in a host's root: the fake daemon has its link

func fakeLinks() error {
	var root string
	f := flag.NewFlagSet("links", flag.ContinueOnError)
	f.StringVar(&root, "root", "", "")
	f.Int("k", 0, "")
	f.Bool("json", false, "")
	if err := f.Parse(os.Args[2:]); err != nil {
		return err
	}
	state := "connecting"
	if _, err := os.Stat(filepath.Join(root, linkedFile)); err == nil {
		state = up
	}
	fmt.Printf("[{\"peer\":\"x\",\"state\":%q}]\n", state)
	return nil
}

// fake is a daemon that carries messages by opening the other host's domain too. Of the lanes that RunMemory fills it carries one message each and
// releases none.
type fake struct {
	root, host, listen string
	ca, cert, key      string
	insecure           bool
	peers, routes      []string
	domains            [2]*skybus.Domain // here, there
	running            sync.WaitGroup
}

func fakeDaemon() error {
	d := fake{}
	if err := d.parse(os.Args[1:]); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	there := map[string]string{"a": "b", "b": "a"}[d.host]
	for i, root := range []string{d.root, filepath.Join(filepath.Dir(d.root), there)} {
		open, err := skybus.Open(domainKey, skybus.Options{Root: root, MustExist: true})
		if err != nil {
			return err
		}
		defer open.Close()
		d.domains[i] = open
	}
	if err := d.carry(ctx); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.root, linkedFile), nil, 0o600); err != nil {
		return err
	}
	<-ctx.Done()
	d.running.Wait()
	return nil
}

// parse insists on the arguments that a daemon needs.
func (d *fake) parse(args []string) error {
	f := flag.NewFlagSet("skybusd", flag.ContinueOnError)
	f.StringVar(&d.root, "root", "", "")
	key, relay := f.Int("k", 0, ""), f.Int("relay-key", 0, "")
	f.StringVar(&d.host, "host", "", "")
	f.StringVar(&d.listen, "listen", "", "")
	f.StringVar(&d.ca, "ca", "", "")
	f.StringVar(&d.cert, "cert", "", "")
	f.StringVar(&d.key, "key-file", "", "")
	f.BoolVar(&d.insecure, "insecure", false, "")
	f.String("log", "", "")
	f.Func("peer", "", func(s string) error { d.peers = append(d.peers, s); return nil })
	f.Func("route", "", func(s string) error { d.routes = append(d.routes, s); return nil })
	if err := f.Parse(args); err != nil {
		return err
	}
	if *key != domainKey || *relay == 0 || d.listen == "" || len(d.peers) != 1 || len(d.routes) != 2 {
		return fmt.Errorf("arguments %q", args)
	}
	if d.insecure {
		return nil
	}
	if _, err := os.Stat(d.ca); err != nil {
		return err
	}
	_, err := tls.LoadX509KeyPair(d.cert, d.key)
	return err
}

// carry does the work of both daemons in that of host a: an address that lives
// on the other host is bound by one process.
func (d *fake) carry(ctx context.Context) error {
	if d.host == "b" {
		return nil
	}
	second, err := d.domains[0].Bind(addr.MustParse("0.0.0.2"))
	if err != nil {
		return err
	}
	first, err := d.domains[1].Bind(addr.MustParse("0.0.0.1"))
	if err != nil {
		return err
	}
	d.forward(ctx, second, first, nil)
	d.forward(ctx, first, second, nil)
	src, err := d.domains[1].Bind(firstSource)
	if err != nil {
		return err
	}
	for i := range fakeLanes {
		_, dst := path(i)
		here, err := d.domains[0].Bind(dst)
		if err != nil {
			return err
		}
		d.forward(ctx, here, src, errors.New("not released"))
	}
	return nil
}

// fakeLanes is how many lanes the fake carries for RunMemory.
const fakeLanes = 5

// forward sends from there what comes here, to the same address; after each
// message it ends with the error after, if that is not nil.
func (d *fake) forward(ctx context.Context, here, there *skybus.Endpoint, after error) {
	d.running.Go(func() {
		_ = here.Receive(ctx, func(m skybus.Message) error {
			if err := there.Send(ctx, here.Addr(), m.Data); err != nil {
				return err
			}
			return after
		})
	})
}
