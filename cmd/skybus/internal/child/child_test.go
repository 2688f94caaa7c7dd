// SPDX-License-Identifier: Apache-2.0

package child

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// order is the specification that the parts of these tests get.
type order struct {
	Do     string
	Number int
}

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "part" {
		os.Exit(part())
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // parts end as fast with the race detector
	os.Exit(m.Run())
}

// part is what the process does that a test starts.
func part() int {
	var o order
	ctx, err := Begin(&o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	switch o.Do {
	case "answer":
		fmt.Println(o.Number + 1)
	case "fail":
		fmt.Fprintln(os.Stderr, "no such thing")
		return 3
	case "stay":
		<-ctx.Done()
	case "hang":
		time.Sleep(time.Hour)
	}
	return 0
}

func start(t *testing.T, o order) *Process {
	t.Helper()
	testutil.NoLeaks(t)
	p, err := Start([]string{"part"}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestPartGetsItsOrderAndAnswers(t *testing.T) {
	p := start(t, order{Do: "answer", Number: 41})
	var got int
	if err := p.Result(&got); err != nil || got != 42 {
		t.Errorf("the part answered %d, %v; want 42", got, err)
	}
	if p.Busy() <= 0 {
		t.Error("the part used no processor time")
	}
}

func TestErrorOfPartSaysWhatItPrinted(t *testing.T) {
	p := start(t, order{Do: "fail"})
	err := p.Result(new(int))
	if err == nil || !strings.Contains(err.Error(), "exit status 3: no such thing") {
		t.Errorf("error %v", err)
	}
}

func TestStopEndsPart(t *testing.T) {
	p := start(t, order{Do: "stay"})
	select {
	case <-p.Done():
		t.Fatal("it ended by itself:", p.Err())
	case <-time.After(20 * time.Millisecond):
	}
	if err := p.Stop(10 * time.Second); err != nil {
		t.Error(err)
	}
}

func TestPartThatDoesNotStopIsKilled(t *testing.T) {
	p := start(t, order{Do: "hang"})
	err := p.Stop(100 * time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("error %v, want that it was killed", err)
	}
}

func TestPartWithoutParentSaysSo(t *testing.T) {
	if _, err := begin(strings.NewReader(""), new(order)); err == nil {
		t.Error("a part began without an order")
	}
	if _, err := begin(strings.NewReader("{\n"), new(order)); err == nil || !strings.Contains(err.Error(), "parent") {
		t.Errorf("error %v", err)
	}
}
