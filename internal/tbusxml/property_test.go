// SPDX-License-Identifier: Apache-2.0

package tbusxml

import (
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/skybus-io/skybus/addr"
)

// newRand returns a generator whose seed is logged; SKYBUS_SEED replays one.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("SKYBUS_SEED"); text != "" {
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("SKYBUS_SEED: %v", err)
		}
		seed = v
	}
	t.Logf("SKYBUS_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// writeGCIM writes a file and sets the line of each channel.
func writeGCIM(g *GCIM, charset string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<?xml version=\"1.0\" encoding=%q?>\n<TbusGCIM>\n<AddrTemplet>%v</AddrTemplet>\n<GCIMShmKey>%d</GCIMShmKey>\n",
		charset, g.Template, g.Key)
	for i := range g.Channels {
		c := &g.Channels[i]
		c.Line = strings.Count(b.String(), "\n") + 1
		fmt.Fprintf(&b, "<Channels>\n<Priority>%d</Priority><Address>%s</Address><Address>%s</Address>\n"+
			"<SendSize>%d</SendSize><RecvSize>%d</RecvSize><Desc>",
			c.Priority, g.Template.Format(c.A), g.Template.Format(c.B), c.SendSize, c.RecvSize)
		_ = xml.EscapeText(&b, []byte(c.Desc)) // a Builder takes everything
		b.WriteString("</Desc>\n</Channels>\n")
	}
	b.WriteString("</TbusGCIM>\n")
	return b.String()
}

func randomGCIM(r *rand.Rand) *GCIM {
	templates := []string{"8.8.8.8", "6.8.8.10", "16.16", "4.4.4.4", "32"}
	g := &GCIM{Template: addr.MustTemplate(templates[r.IntN(len(templates))]), Key: 1 + r.Uint32N(maxKey)}
	taken := make(map[pair]bool)
	for range r.IntN(30) {
		a := addr.Addr(1 + r.Uint64N(1<<g.Template.Bits()-1))
		b := addr.Addr(1 + r.Uint64N(1<<g.Template.Bits()-1))
		if p := (pair{min(a, b), max(a, b)}); a == b || taken[p] {
			continue
		} else {
			taken[p] = true
		}
		g.Channels = append(g.Channels, Channel{
			Priority: uint8(r.Uint32()), A: a, B: b,
			SendSize: 1 + r.Uint64N(MaxLane), RecvSize: 1 + r.Uint64N(MaxLane),
			Desc: randomText(r),
		})
	}
	return g
}

// randomText returns text of the kind that descriptions have, also with line
// feeds and characters that mean something in XML.
func randomText(r *rand.Rand) string {
	alphabet := []rune("ab 网关游戏数据库<>&\"'\n一二三，。")
	text := make([]rune, r.IntN(40))
	for i := range text {
		text[i] = alphabet[r.IntN(len(alphabet))]
	}
	return strings.TrimSpace(string(text))
}

func TestRandomFilesInAllEncodings(t *testing.T) {
	r := newRand(t)
	encodings := map[string]encoding.Encoding{
		"GBK": simplifiedchinese.GBK, "GB18030": simplifiedchinese.GB18030, "UTF-8": encoding.Nop,
	}
	for range 60 {
		want := randomGCIM(r)
		for name, enc := range encodings {
			file, err := enc.NewEncoder().String(writeGCIM(want, name))
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseGCIM("f", []byte(file))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: got %+v, %v\nwant %+v\n%s", name, got, err, want, file)
			}
		}
	}
}
