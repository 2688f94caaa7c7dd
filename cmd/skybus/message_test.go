// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

// collect reads a source to its end or its error.
func collect(messages iter.Seq2[[]byte, error]) (list []string, err error) {
	for m, err := range messages {
		if err != nil {
			return list, err
		}
		list = append(list, string(m))
	}
	return list, nil
}

func TestLinesAreMessagesAsWritten(t *testing.T) {
	in := iotest.OneByteReader(strings.NewReader("one\n\ntwo\r\n  three \nlast"))
	got, err := collect(lineMessages(t.Context(), in, false, 100))
	if want := "one||two\r|  three |last"; strings.Join(got, "|") != want || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLineOfTheLargestSizeIsTaken(t *testing.T) {
	for end, ok := range map[string]bool{"": true, "\n": true, "y": false, "y\n": false} {
		got, err := collect(lineMessages(t.Context(), strings.NewReader("a\n"+strings.Repeat("x", 5000)+end), false, 5000))
		if (err == nil) != ok || ok && len(got) != 2 || !ok && !strings.Contains(err.Error(), "line 2: it is longer than") {
			t.Errorf("end %q: %d lines, %v", end, len(got), err)
		}
	}
}

func TestReadErrorNamesTheLine(t *testing.T) {
	in := io.MultiReader(strings.NewReader("a\nb\n"), iotest.ErrReader(errors.New("broken pipe")))
	got, err := collect(lineMessages(t.Context(), in, false, 100))
	if len(got) != 2 || err == nil || err.Error() != "line 3: broken pipe" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestInterruptEndsAWaitForLines(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := collect(lineMessages(ctx, r, false, 100)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestRepeatedSendsNothingWhereOneIsWrong(t *testing.T) {
	got, err := collect(repeated(argMessages([]string{"00", "x"}, true), 3))
	var usage *usageError
	if len(got) != 0 || !errors.As(err, &usage) {
		t.Errorf("%q, %v", got, err)
	}
	got, err = collect(repeated(argMessages([]string{"a", "b"}, false), 2))
	if strings.Join(got, "") != "abab" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFileIsOneMessage(t *testing.T) {
	for size, ok := range map[int]bool{0: true, 100: true, 101: false} {
		got, err := collect(fileMessage(strings.NewReader(strings.Repeat("x", size)), "-", 100))
		if (err == nil) != ok || ok && len(got[0]) != size {
			t.Errorf("%d bytes: %q, %v", size, got, err)
		}
	}
}

func TestPrinterModes(t *testing.T) {
	m := skybus.Message{Src: 1, Dst: 2, Seq: 7, Redelivered: true, Data: []byte("hi\x1b")}
	tests := []struct {
		mode       string
		meta, safe bool
		want       string
	}{
		{outputText, false, false, "hi\x1b\n"},
		{outputText, false, true, "hi\\x1b\n"},
		{outputText, true, true, "0.0.0.1 -> 0.0.0.2  #7  3 bytes  again  hi\\x1b\n"},
		{outputHex, false, false, "68691b\n"},
		{outputRaw, false, false, "hi\x1b"},
		{outputDump, true, true, "0.0.0.1 -> 0.0.0.2  #7  3 bytes  again\n00000000: 6869 1b                                  hi.\n"},
		{outputJSON, false, false, `{"src":"0.0.0.1","dst":"0.0.0.2","seq":7,"redelivered":true,"size":3,"text":"hi\u001b"}` + "\n"},
	}
	for _, test := range tests {
		var out bytes.Buffer
		p := printer{out: &out, format: addr.Addr.String, mode: test.mode, meta: test.meta, safe: test.safe}
		if err := p.print(m, false); err != nil || out.String() != test.want {
			t.Errorf("%s: %q, %v, want %q", test.mode, out.String(), err, test.want)
		}
	}
}

// failing is an output that somebody has closed.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestMessageStaysWhenItCannotBeWritten(t *testing.T) {
	root := testutil.Dir(t)
	tool := func(out io.Writer, args ...string) (int, string) {
		var errs bytes.Buffer
		code := run(t.Context(), append([]string{"skybus", "-k", "1", "--root", root}, args...), strings.NewReader(""), out, &errs)
		return code, errs.String()
	}
	if code, text := tool(io.Discard, "send", "--allow-unknown", "-s", "0.0.0.1", "0.0.0.2", "precious"); code != exitOK {
		t.Fatal(text)
	}
	if code, text := tool(failing{}, "recv", "0.0.0.2"); code != exitFailed || !strings.Contains(text, "closed pipe") {
		t.Errorf("exit code %d: %s", code, text)
	}
	var out bytes.Buffer
	if code, text := tool(&out, "recv", "0.0.0.2"); code != exitOK || out.String() != "precious\n" {
		t.Errorf("exit code %d: %s%s", code, out.String(), text)
	}
}
