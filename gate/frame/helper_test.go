// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

var standards = []Standard{Length2, Length4, Varint, Line, Raw}

// wantError checks that err wraps sentinel and says all parts.
func wantError(t testing.TB, err, sentinel error, parts ...string) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Errorf("the error is %v, want one that wraps %q", err, sentinel)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error is %q, want it to say %q", err, part)
		}
	}
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// A receiver keeps what is left over of a stream, as the gate does.
type receiver struct {
	kept []byte
	take func(b []byte) (event string, n int, err error) // no event: more is needed
	got  []string
	err  error
}

// feed gives bytes to the receiver, which takes what is whole.
func (r *receiver) feed(b []byte) {
	if r.err != nil {
		return
	}
	r.kept = append(r.kept, b...)
	for {
		event, n, err := r.take(r.kept)
		r.kept = r.kept[n:]
		if err != nil {
			r.err = err
			return
		}
		if event == "" {
			return
		}
		r.got = append(r.got, event)
	}
}

// summary is what came, and how it ended.
func (r *receiver) summary() string {
	s := strings.Join(r.got, " ")
	var ws *WSError
	switch {
	case errors.As(r.err, &ws):
		s += fmt.Sprintf(" error(%d)", ws.Code)
	case errors.Is(r.err, ErrTooLarge):
		s += " error(too large)"
	case errors.Is(r.err, ErrMalformed):
		s += " error(malformed)"
	case errors.Is(r.err, ErrNoProxy):
		s += " error(no PROXY)"
	case errors.Is(r.err, ErrProxyV1):
		s += " error(version 1)"
	case r.err != nil:
		s += " error(other: " + r.err.Error() + ")"
	}
	return strings.TrimSpace(s)
}

// eachSplit feeds the stream whole, byte by byte, and in two parts split at every
// byte, and returns what came of it if it was the same each time.
func eachSplit(t testing.TB, stream []byte, fresh func() *receiver) string {
	t.Helper()
	whole := fresh()
	whole.feed(stream)
	want := whole.summary()
	single := fresh()
	for i := range stream {
		single.feed(stream[i : i+1])
	}
	if got := single.summary(); got != want {
		t.Errorf("byte by byte there is %.300q, at once %.300q", got, want)
	}
	for at := 1; at < len(stream); at++ {
		r := fresh()
		r.feed(stream[:at])
		r.feed(stream[at:])
		if got := r.summary(); got != want {
			t.Errorf("split at %d there is %.300q, at once %.300q", at, got, want)
			break
		}
	}
	return want
}

func packetReceiver(f Framing, limit int) *receiver {
	return &receiver{take: func(b []byte) (string, int, error) {
		packet, n, err := f.Split(b, limit)
		if n == 0 {
			return "", 0, err
		}
		return fmt.Sprintf("%q", packet), n, err
	}}
}
