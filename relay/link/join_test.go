// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"testing"

	"github.com/skybus-io/skybus/relay/wire"
)

// A newcomer is told where the cluster is, or that there is none, and then the connection is over.
func TestJoin(t *testing.T) {
	told := wire.Joined{Cluster: "games", Members: []wire.Member{{Name: "east", Client: "10.0.0.1:7101"}, {Learner: true}}}
	answers := config("south", "")
	answers.Answers = true
	asks := wire.Join{Lowest: wire.Version, Highest: wire.Version + 3, Host: "north"}
	newer := wire.Join{Lowest: wire.Version + 1, Highest: wire.Version + 3, Host: "north"}

	h := newHandBeforeHello(t, answers)
	h.host.joined = &told
	err := h.send(wire.AppendJoin(nil, &asks))
	list := h.only(wire.TypeJoined)
	if !errors.Is(err, ErrAnswered) || !errors.Is(err, ErrOver) || h.s.Up() || len(list) != 1 {
		t.Fatalf("%v, %+v", err, list)
	}
	got, err := wire.ParseJoined(list[0].body)
	want := told
	want.Version = wire.Version
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("told %+v, %v, want %+v", got, err, want)
	}

	h = newHandBeforeHello(t, answers)
	h.wantRefused(h.send(wire.AppendJoin(nil, &asks)), wire.CodeNoCluster, "")
	h = newHandBeforeHello(t, answers)
	h.host.joined = &told
	h.wantRefused(h.send(wire.AppendJoin(nil, &newer)), wire.CodeVersion, "versions 2 to 4")
	h = newHandBeforeHello(t, config("south", "north"))
	h.host.joined = &told
	h.only(wire.TypeHello)
	h.wantRefused(h.send(wire.AppendJoin(nil, &asks)), wire.CodeProtocol, "JOIN frame before HELLO")
}
