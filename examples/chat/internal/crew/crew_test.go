// SPDX-License-Identifier: Apache-2.0

package crew

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// The children are this test binary, with one of these words as its first argument.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "child" {
		if err := child(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(kind string, args []string) error {
	switch kind {
	case "good":
		if err := Child(context.Background(), strings.Join(args, " ")); err != nil {
			return err
		}
		f, err := os.OpenFile(args[1], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = fmt.Fprintln(f, "ended", args[0])
		return err
	case "silent":
		return nil
	case "wrong":
		fmt.Println("hello")
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
	return fmt.Errorf("no such child: %q", kind)
}

func newCrew(t *testing.T) *Crew {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	c := New(self, log, slog.New(slog.NewTextHandler(log, nil)))
	c.grace = 90 * time.Second // a machine that stands still kills nobody
	t.Cleanup(c.Close)
	return c
}

func TestCrew(t *testing.T) {
	testutil.NoLeaks(t)
	c := newCrew(t)
	ends := filepath.Join(t.TempDir(), "ends")
	for _, name := range []string{"one", "two", "three"} {
		said, err := c.Start(name, []string{"child", "good", name, ends}, []string{"child", "good", name + "-again", ends})
		if err != nil || said != name+" "+ends {
			t.Fatalf("%s said %q, %v", name, said, err)
		}
	}
	if _, err := c.Start("one", []string{"child", "good"}, nil); err == nil {
		t.Error("two children have one name")
	}
	before, lives, err := c.Ready(t.Context(), "two")
	if err != nil || lives != 1 {
		t.Fatalf("two lives for the time %d, %v", lives, err)
	}
	for life := 2; life <= 3; life++ {
		killed, err := c.Kill("two")
		if err != nil || killed != before {
			t.Fatalf("killed %d, %v, want %d", killed, err, before)
		}
		if before, lives, err = c.Ready(t.Context(), "two"); err != nil || lives != life || before == killed {
			t.Fatalf("after a kill: process %d, life %d, %v", before, lives, err)
		}
	}
	c.Close()
	got, err := os.ReadFile(ends)
	if want := "ended three\nended two-again\nended one\n"; err != nil || string(got) != want {
		t.Errorf("the ends were %q, %v, want %q", got, err, want)
	}
}

func TestChildrenThatDoNotBegin(t *testing.T) {
	testutil.NoLeaks(t)
	c := newCrew(t)
	for _, kind := range []string{"silent", "wrong", "unknown"} {
		if _, err := c.Start(kind, []string{"child", kind}, nil); err == nil || !strings.Contains(err.Error(), kind) {
			t.Errorf("%s: error %v, want one that names it", kind, err)
		}
	}
	missing := New(filepath.Join(t.TempDir(), "nothing"), os.Stderr, slog.New(slog.NewTextHandler(new(bytes.Buffer), nil)))
	if _, err := missing.Start("a", nil, nil); err == nil {
		t.Error("a program that does not exist was started")
	}
	missing.Close()
	if _, err := c.Kill("nobody"); err == nil {
		t.Error("nobody was killed")
	}
	if _, _, err := c.Ready(t.Context(), "nobody"); err == nil {
		t.Error("nobody is there")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, _, err := c.Ready(ctx, "silent"); err == nil {
		t.Error("a child is there that never began")
	}
}
