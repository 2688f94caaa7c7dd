// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/testutil"
)

// modelSizes are the sizes of messages: around the borders of a ring that
// begins with 4 KiB and grows.
var modelSizes = []int{0, 1, 15, 16, 17, 100, 1000, 2015, 2016, 2031, 2032, 2033, 4096, 8176, 8177, 20_000}

// modelSteps is how many operations of one input are done.
const modelSteps = 400

// FuzzModel does the operations that the bytes name on a domain and on a model
// of it. Three bytes make an operation: what, by whom and to whom, how.
func FuzzModel(f *testing.F) {
	f.Add([]byte("\x00\x01\x03\x00\x01\x05\x01\x01\x00\x04\x01\x11\x04\x01\x12\x06\x01\x00\x01\x01\x00"))
	f.Add([]byte{0, 1, 0, 0, 1, 1, 3, 1, 0, 5, 1, 0x23, 5, 1, 0x33, 7, 1, 0, 8, 1, 0x21, 4, 1, 0x32, 6, 1, 0, 4, 1, 0xf0})
	f.Add([]byte{5, 1, 0xf9, 5, 1, 0xf9, 0, 1, 15, 9, 1, 12, 8, 1, 0x53, 2, 1, 0, 6, 0, 0, 6, 1, 0, 4, 1, 0xff})
	f.Fuzz(runModel)
}

// TestModel does random operations, more of them than fuzzing begins with.
func TestModel(t *testing.T) {
	rng := testutil.Rand(t)
	for range 100 {
		ops := make([]byte, 3*modelSteps)
		for i := range ops {
			ops[i] = byte(rng.Uint32())
		}
		runModel(t, ops)
	}
}

func runModel(t *testing.T, ops []byte) {
	root, err := os.MkdirTemp("/dev/shm", "skybus-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	m := newModel(t, root)
	for n := 0; len(ops) >= 3 && n < modelSteps; n++ {
		src, dst, how := int(ops[1])%modelEnds, int(ops[1]>>4)%modelEnds, int(ops[2])
		if ops[1] < 16 { // most inputs of few bytes should do something
			dst = (src + 1) % modelEnds
		}
		m.do(int(ops[0])%10, src, dst, how)
		ops = ops[3:]
	}
	m.finish()
	m.d.Close()
}

// do does operation what, from src or by dst.
func (m *model) do(what, src, dst, how int) {
	size := modelSizes[how%len(modelSizes)]
	switch what {
	case 0:
		m.send(src, dst, size)
	case 1:
		m.take(dst, skybus.RecvOptions{})
	case 2:
		m.take(dst, skybus.RecvOptions{From: modelAddr(src)})
	case 3:
		m.take(dst, skybus.RecvOptions{Peek: true})
	case 4:
		m.poll(dst, how%16*3, how/16)
	case 5:
		m.batch(src, dst, size, how/16)
	case 6:
		m.rebind(src)
	case 7:
		if last, err := m.ends[src].LastSeq(modelAddr(dst)); src != dst && (err != nil || last != m.sent[src][dst]) {
			m.t.Fatalf("%d -> %d: LastSeq %d, %v, want %d", src, dst, last, err, m.sent[src][dst])
		}
	case 8:
		m.messages(dst, how/16)
	case 9:
		m.sendCancelled(src, dst, size)
	}
}

func (m *model) send(src, dst, size int) {
	data := m.payload(src, dst, size)
	if err := m.ends[src].TrySend(modelAddr(dst), data); err != nil {
		m.refused(src, dst, err)
		return
	}
	m.accepted(src, dst, data)
}

// sendCancelled is a Send that would have to wait.
func (m *model) sendCancelled(src, dst, size int) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	data := m.payload(src, dst, size)
	if err := m.ends[src].Send(ctx, modelAddr(dst), data); err != nil {
		m.refused(src, dst, err)
		return
	}
	m.accepted(src, dst, data)
}

func (m *model) take(dst int, o skybus.RecvOptions) {
	from := -1
	if o.From != 0 {
		from = modelIndex(o.From)
	}
	msg, err := m.ends[dst].TryRecvWith(o)
	if err != nil {
		m.empty(dst, from, err)
		return
	}
	q := m.received(dst, msg)
	if o.Peek {
		again, err := m.ends[dst].TryRecv() // the same one
		if err != nil || again.Src != msg.Src {
			m.t.Fatalf("%d: looked at %d of %v, then received %d of %v, %v", dst, msg.Seq, msg.Src, again.Seq, again.Src, err)
		}
		q = m.received(dst, again)
	}
	*q = (*q)[1:]
}

// poll handles up to limit messages; the handler fails at the one with number
// fail, by an error or a panic.
func (m *model) poll(dst, limit, fail int) {
	taken := 0
	defer func() {
		if r := recover(); r != nil && r != errBoom { //nolint:errorlint // the value of the panic
			panic(r)
		}
	}()
	n, err := m.ends[dst].Poll(limit, func(msg skybus.Message) error {
		q := m.received(dst, msg)
		if taken++; taken == fail {
			m.claimed(dst)
			(*q)[0].flag = isAgain
			if fail%2 == 0 {
				panic(errBoom)
			}
			return errBoom
		}
		*q = (*q)[1:]
		return nil
	})
	if failed := errors.Is(err, errBoom); err != nil && !failed || !failed && n != taken {
		m.t.Fatalf("%d: Poll(%d) returned %d, %v after %d messages", dst, limit, n, err, taken)
	}
	if err == nil && n < limit {
		m.empty(dst, -1, skybus.ErrEmpty)
	}
}

// messages loops until the inbox is empty, or breaks after so many messages.
func (m *model) messages(dst, most int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if m.waiting(dst) == 0 {
		cancel()
	}
	for msg, err := range m.ends[dst].Messages(ctx) {
		if errors.Is(err, context.DeadlineExceeded) {
			m.t.Fatalf("%d: nothing comes, and %d messages wait", dst, m.waiting(dst))
		}
		if err != nil {
			return
		}
		q := m.received(dst, msg)
		*q = (*q)[1:]
		if most--; most <= 0 {
			m.claimed(dst)
			break
		}
		if m.waiting(dst) == 0 {
			cancel()
		}
	}
}

func (m *model) waiting(dst int) (n int) {
	for src := range modelEnds {
		n += len(m.queues[src][dst])
	}
	return n
}

// batch claims messages of growing size and commits or gives them up.
func (m *model) batch(src, dst, size, n int) {
	batch, err := m.ends[src].Batch(modelAddr(dst))
	if err != nil {
		m.refused(src, dst, err)
		return
	}
	defer batch.Abort()
	var list [][]byte
	for range n {
		data := m.payload(src, dst, size)
		buf, err := batch.TryClaim(len(data))
		if errors.Is(err, skybus.ErrFull) {
			break
		}
		if err != nil {
			m.t.Fatalf("%d -> %d: claim %d bytes: %v", src, dst, size, err)
		}
		copy(buf, data)
		list = append(list, data)
	}
	if p := batch.Pending(); p != len(list) {
		m.t.Fatalf("%d -> %d: %d claims pending, want %d", src, dst, p, len(list))
	}
	if n%5 == 4 {
		return // given up
	}
	_ = batch.Commit()
	for _, data := range list {
		m.accepted(src, dst, data)
	}
}
