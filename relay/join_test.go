// SPDX-License-Identifier: Apache-2.0

package relay_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
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
	// A daemon hangs up on who is slow: until an answer says why, it is asked again.
	join := func(at, host string) (got *wire.Joined, err error) {
		for ctx.Err() == nil {
			got, err = relay.Join(ctx, at, host, nil)
			if err == nil || errors.As(err, new(*link.RefusedError)) || errors.Is(err, syscall.ECONNREFUSED) {
				return got, err
			}
		}
		return got, err
	}
	got, err := join(ms[0].listen, "north")
	if err != nil || fmt.Sprint(*got) != fmt.Sprint(told) {
		t.Errorf("told %+v, %v", got, err)
	}
	for _, test := range []struct {
		at, host string
		code     wire.Code // 0: no daemon says anything
		text     string
	}{
		{ms[0].listen, "west", wire.CodeNoCluster, "west is no guest of ours"},
		{ms[1].listen, "north", wire.CodeNoCluster, `no managed cluster: host "west"`},
		{ms[0].listen, "", wire.CodeProtocol, `JOIN of host ""`},
		{"127.0.0.1:1", "north", 0, "refused"}, // nobody listens there
	} {
		_, err := join(test.at, test.host)
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
