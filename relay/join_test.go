// SPDX-License-Identifier: Apache-2.0

package relay_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/certs"
	"github.com/skybus-io/skybus/relay"
	"github.com/skybus-io/skybus/relay/link"
	"github.com/skybus-io/skybus/relay/wire"
)

// secured makes the TLS of a host from the certificates in dir.
func secured(t *testing.T, dir, host string) *relay.TLS {
	t.Helper()
	cert, key := certs.HostFiles(dir, host)
	id, err := certs.Load(filepath.Join(dir, certs.CAFile), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &relay.TLS{Server: id.Server(), Client: id.Client, PeerName: certs.PeerName}
}

func authority(t *testing.T, hosts ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	err := certs.MakeCA(dir)
	for _, host := range hosts {
		err = errors.Join(err, certs.MakeHost(dir, host, time.Hour))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Who has a certificate of the authority, and is who it says, is told of the cluster; nobody else is, and each is told why.
func TestJoinAsksADaemon(t *testing.T) {
	ours := authority(t, "east", "west", "north")
	theirs := authority(t, "north")
	told := wire.Joined{Version: wire.Version, Cluster: "games", Members: []wire.Member{{Name: "east", Client: "10.0.0.1:7101"}}}
	ms := machines(t, func(i int, c *relay.Config) {
		c.TLS = secured(t, ours, c.Host)
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
	got, err := relay.Join(ctx, ms[0].listen, "north", secured(t, ours, "north"))
	if err != nil || fmt.Sprint(*got) != fmt.Sprint(told) {
		t.Errorf("told %+v, %v", got, err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, test := range []struct {
		at, host string
		tls      *relay.TLS
		code     wire.Code // 0: the daemon says nothing
		text     string
	}{
		{ms[0].listen, "south", secured(t, ours, "north"), wire.CodeIdentity, `calls itself "south", its certificate "north"`},
		{ms[0].listen, "west", secured(t, ours, "west"), wire.CodeNoCluster, "west is no guest of ours"},
		{ms[1].listen, "north", secured(t, ours, "north"), wire.CodeNoCluster, `no managed cluster: host "west"`},
		{ms[0].listen, "north", secured(t, theirs, "north"), 0, "not trusted"},
		{ms[0].listen, "north", nil, 0, ""},
		{closed.Addr().String(), "north", nil, 0, "refused"},
	} {
		_, err := relay.Join(ctx, test.at, test.host, test.tls)
		var refused *link.RefusedError
		if err == nil || errors.As(err, &refused) != (test.code != 0) || refused != nil && refused.Notice.Code != test.code || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v, want %q", test.host, err, test.text)
		}
	}
}
