// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/clustertest"
	"github.com/skybus-io/skybus/cluster/etcd/etcdtest"
	"github.com/skybus-io/skybus/internal/testutil"
)

// refused wants a client to come to nothing, and to say why as soon as it is known.
func refused(t *testing.T, c *Client, why ...string) {
	t.Helper()
	last := errors.New("nothing")
	defer func() {
		if t.Failed() {
			t.Log("it said last: ", last)
		}
	}()
	soon(t, "the client says why", func() bool {
		ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer stop()
		_, err := c.Get(ctx, cluster.Query{Key: "/a"})
		if err == nil {
			t.Fatal("a client without the right to read has read")
		}
		last = err
		for _, text := range why {
			if errors.Is(err, cluster.ErrUnavailable) && strings.Contains(err.Error(), text) {
				return true
			}
		}
		return false
	})
}

func TestCertificates(t *testing.T) {
	testutil.NoLeaks(t)
	a := etcdtest.NewAuthority(t)
	s := etcdtest.Start(t, 1, a.Secure)
	clustertest.Run(t, func(t *testing.T) clustertest.World {
		wipeWith(t, dial(t, s, Options{TLS: a.Client()}))
		return clustertest.World{Open: func(t *testing.T) cluster.Provider { return dial(t, s, Options{TLS: a.Client()}) }, Forget: forget}
	})
	stranger := etcdtest.NewAuthority(t).Client()
	refused(t, dial(t, s, Options{TLS: stranger, Patience: time.Second}), "certificate signed by unknown authority")
	none := a.Client()
	none.Certificates = nil
	refused(t, dial(t, s, Options{TLS: none, Patience: time.Second}), "certificate required", "broken pipe", "connection reset")
}

// admit makes the users root and bus, of which bus may use the keys of a cluster, and has etcd ask for passwords.
func admit(t *testing.T, c *Client) {
	t.Helper()
	if _, err := c.Get(t.Context(), cluster.Query{Key: "/a"}); err != nil {
		t.Fatal(err)
	}
	e, ctx := c.etcd(), t.Context()
	prefix := "/skybus/test/"
	for _, do := range []func() error{
		func() error { _, err := e.RoleAdd(ctx, "root"); return err },
		func() error { _, err := e.UserAdd(ctx, "root", "r"); return err },
		func() error { _, err := e.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := e.RoleAdd(ctx, "bus"); return err },
		func() error {
			_, err := e.RoleGrantPermission(ctx, "bus", prefix, clientv3.GetPrefixRangeEnd(prefix), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := e.UserAdd(ctx, "bus", "b"); return err },
		func() error { _, err := e.UserGrantRole(ctx, "bus", "bus"); return err },
		func() error { _, err := e.AuthEnable(ctx); return err },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
}

// A user that has only the keys of its cluster can do all that Skybus does, also when its token has run out.
func TestUsers(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, func(cfg *embed.Config) { cfg.AuthTokenTTL, cfg.BcryptCost = 1, 4 })
	admit(t, dial(t, s, Options{}))
	bus := dial(t, s, Options{User: "bus", Password: "b"})
	le, err := bus.Grant(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan cluster.Update, 100)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- bus.Watch(ctx, "/skybus/test/", 0, func(u cluster.Update) error {
			if len(u.Events) > 0 {
				told <- u
			}
			return nil
		})
	}()
	for i := range 3 {
		if i > 0 {
			s.Members[0].Stop() // it forgets its tokens
			if err := s.Members[0].Restart(); err != nil {
				t.Fatal(err)
			}
		}
		soon(t, "a put", func() bool {
			_, err := bus.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("/skybus/test/a", []byte{byte(i)}, le.ID())}})
			return err == nil
		})
		for u := range told {
			if last := u.Events[len(u.Events)-1]; len(last.Value) == 1 && last.Value[0] == byte(i) {
				break
			}
		}
	}
	h, err := bus.Health(t.Context())
	if err != nil || !h.Reached || h.Keys < 1 || h.Bytes == 0 {
		t.Errorf("%+v, %v", h, err)
	}
	if members, _, err := bus.Members(t.Context()); err != nil || len(members) != 1 || !members[0].Healthy {
		t.Errorf("%+v, %v", members, err)
	}
	for what, err := range map[string]error{
		"Commit": second(bus.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("/other", nil, 0)}})),
		"Get":    second(bus.Get(t.Context(), cluster.Query{Key: "/other"})),
		"Watch":  bus.Watch(t.Context(), "/other", 1, func(cluster.Update) error { return nil }),
	} {
		if !errors.Is(err, cluster.ErrUnavailable) || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%s of what the user may not: %v", what, err)
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
	refused(t, dial(t, s, Options{User: "bus", Password: "wrong", Patience: time.Second}), "authentication failed")
	refused(t, dial(t, s, Options{Patience: time.Second}), "user name is empty")
	if err := le.Revoke(t.Context()); err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

// A user's client is made while no server is there, and none of its calls waits for longer than it is let.
func TestUserOfAServerThatIsAway(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, nil)
	s.Members[0].Proxy.Stall()
	c := dial(t, s, Options{User: "bus", Password: "b"})
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if _, err := c.Get(ctx, cluster.Query{Key: "/a"}); !errors.Is(err, cluster.ErrUnavailable) {
		t.Error(err)
	}
	if h, err := c.Health(t.Context()); err != nil || h.Reached || h.LastError == nil {
		t.Errorf("%+v, %v", h, err)
	}
	s.Members[0].Proxy.Mend()
	if _, err := c.Get(t.Context(), cluster.Query{Key: "/a"}); err != nil { // this etcd wants no passwords
		t.Error(err)
	}
	s.Members[0].Proxy.Stall()
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for _, o := range []Options{
		{}, {Cluster: "a"}, {Cluster: "a/b", Endpoints: []string{"e:1"}}, {Endpoints: []string{"e:1"}}, {Cluster: "a", Endpoints: []string{"e:1", ""}},
		{Cluster: "a", Endpoints: []string{"e"}}, {Cluster: "a", Endpoints: []string{"https://e:1"}}, {Cluster: "a", Endpoints: []string{"unix:///e:1"}},
		{Cluster: "a", Endpoints: []string{"http://u@e:1"}}, {Cluster: "a", Endpoints: []string{"e:1/path"}}, {Cluster: "a", Endpoints: []string{"http://e:1"}, TLS: &tls.Config{MinVersion: tls.VersionTLS13}},
	} {
		if c, err := Dial(o); err == nil {
			c.Close()
			t.Errorf("%+v: no error", o)
		}
	}
}
