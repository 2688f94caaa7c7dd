// SPDX-License-Identifier: Apache-2.0

package relay_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/relay"
	"github.com/skybus-io/skybus/relay/link"
	"github.com/skybus-io/skybus/relay/wire"
)

// A daemon tells a newcomer of its cluster, or why it does not.
func TestJoinAsksADaemon(t *testing.T) {
	told := wire.Joined{Version: wire.Version, Cluster: "games", Members: []wire.Member{{Name: "east", Client: "10.0.0.1:7101"}}}
	ms := machines(t, func(i int, c *relay.Config) {
		if i == 0 {
			c.Cluster = func(host string) (*wire.Joined, error) {
				if host != "north" {
					return nil, fmt.Errorf("%s is no guest of ours", host)
				}
				answer := told
				return &answer, nil
			}
		}
	})
	ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
	defer stop()
	got, err := relay.Join(ctx, ms[0].listen, "north", nil)
	if err != nil || fmt.Sprint(*got) != fmt.Sprint(told) {
		t.Errorf("told %+v, %v", got, err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	for _, test := range []struct {
		at, host string
		code     wire.Code // 0: no daemon says anything
		text     string
	}{
		{ms[0].listen, "west", wire.CodeNoCluster, "west is no guest of ours"},
		{ms[1].listen, "north", wire.CodeNoCluster, `no managed cluster: host "west"`},
		{ms[0].listen, "", wire.CodeProtocol, `JOIN of host ""`},
		{ln.Addr().String(), "north", 0, "refused"},
	} {
		_, err := relay.Join(ctx, test.at, test.host, nil)
		var refused *link.RefusedError
		if err == nil || errors.As(err, &refused) != (test.code != 0) || refused != nil && refused.Notice.Code != test.code || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v, want %q", test.host, err, test.text)
		}
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := relay.Join(over, ms[0].listen, "north", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
}
