// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"fmt"
	"testing"
)

// hotPaths are what runs for each packet, each on 64 bytes of payload.
func hotPaths() map[string]func() error {
	packet := bytes.Repeat([]byte("x"), 64)
	paths := map[string]func() error{}
	for _, f := range standards {
		one, err := f.Append(nil, packet)
		if err != nil {
			panic(err)
		}
		var framing Framing = f
		paths["split "+f.String()] = func() error { _, _, err := framing.Split(one, 1<<16); return err }
		buf := make([]byte, 0, 128)
		paths["append "+f.String()] = func() error { _, err := framing.Append(buf, packet); return err }
	}
	masked := AppendWSFrame(nil, WSHeader{Fin: true, Opcode: OpBinary, Masked: true, Key: [4]byte{1, 2, 3, 4}}, packet)
	paths["ws header"] = func() error { _, _, err := ParseWSHeader(masked); return err }
	paths["unmask"] = func() error { Unmask([4]byte{1, 2, 3, 4}, 1, packet); return nil }
	r := new(WSReader)
	paths["ws message"] = func() error { _, _, err := r.Next(masked, 1<<16); return err }
	buf := make([]byte, 0, 128)
	paths["append ws header"] = func() error { _ = AppendWSHeader(buf, true, false, OpBinary, 64); return nil }
	paths["append data"] = func() error { _ = AppendData(buf, packet); return nil }
	header := withCRC(0x21, 0x21, addr6)
	paths["proxy"] = func() error { _, _, err := ParseProxy(header); return err }
	auth := AppendAuth(nil, &Auth{User: packet})
	paths["auth"] = func() error { _, err := ParseAuth(auth); return err }
	data := AppendData(nil, packet)
	paths["user"] = func() error { _, err := User(data); return err }
	resume := AppendResume(nil, &Resume{ID: 1}, make([]byte, KeySize))
	paths["resume"] = func() error { _, err := ParseResume(resume); return err }
	return paths
}

func TestNothingAllocates(t *testing.T) {
	for name, path := range hotPaths() {
		if n := testing.AllocsPerRun(100, func() {
			if err := path(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}); n != 0 {
			t.Errorf("%s allocates %g times", name, n)
		}
	}
}

func BenchmarkPaths(b *testing.B) {
	for name, path := range hotPaths() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := path(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUnmask(b *testing.B) {
	for _, n := range []int{7, 64, 1024, 65536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				Unmask([4]byte{1, 2, 3, 4}, 1, p)
			}
		})
	}
}

func BenchmarkFragments(b *testing.B) {
	c := wsCase{frames: []wsFrame{{wTextPart, size(1000)}, {wPart, size(1000)}, {wLast, size(1000)}}}
	stream := c.stream()
	buf := make([]byte, len(stream))
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	r := new(WSReader)
	for b.Loop() {
		copy(buf, stream)
		if _, _, err := r.Next(buf, 1<<16); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProof(b *testing.B) {
	key := make([]byte, KeySize)
	packet := AppendResume(nil, &Resume{ID: 1}, key)
	b.ReportAllocs()
	for b.Loop() {
		if !CheckProof(key, packet) {
			b.Fatal("the proof is wrong")
		}
	}
}
