// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skybus-io/skybus/cluster"
)

// Health says what etcd has answered lately, and asks how much it holds: Keys are those of this cluster, Leases those of
// all that this user may see, Bytes what the servers use on disk of the whole.
func (c *Client) Health(ctx context.Context) (cluster.Health, error) {
	c.mu.Lock()
	h := cluster.Health{
		Engine: "etcd at " + strings.Join(hostPorts(c.urls), ", "), Age: time.Since(c.heard), Reached: c.last == nil, LastError: c.last, Life: c.life.id, Revision: c.revision,
	}
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return h, fmt.Errorf("etcd: %w", cluster.ErrClosed)
	}
	if !h.Reached {
		return h, ctx.Err()
	}
	ctx, stop := c.bound(ctx)
	defer stop()
	err := c.attempt(ctx, func(ctx context.Context) (err error) { return c.count(ctx, &h) })
	if err != nil && ctx.Err() == nil {
		h.Reached, h.LastError = false, explain(err)
	}
	return h, ctx.Err()
}

// hostPorts are URLs without their schemes.
func hostPorts(urls []string) (list []string) {
	for _, u := range urls {
		list = append(list, u[strings.Index(u, "//")+2:])
	}
	return list
}

// count asks how many keys and leases there are, and how many bytes.
func (c *Client) count(ctx context.Context, h *cluster.Health) error {
	r, err := c.c.Get(ctx, strings.TrimSuffix(c.lifeKey, "life"), clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	h.Keys, h.Revision = int(r.Count), max(h.Revision, uint64(r.Header.Revision))
	if leases, err := c.c.Leases(ctx); err == nil { // a user may be let see those of others, or not
		h.Leases = len(leases.Leases)
	}
	h.Bytes, err = c.size(ctx)
	return err
}

// size returns how much of its file the first server that answers uses.
func (c *Client) size(ctx context.Context) (n int64, err error) {
	for _, e := range c.servers() {
		var st *clientv3.StatusResponse
		if st, err = c.status(ctx, e); err == nil {
			return max(st.DbSizeInUse, 1), nil
		}
	}
	return 0, err
}

// surveys asks the servers for their versions when somebody wants to know one.
func (c *Client) surveys() {
	for {
		select {
		case <-c.survey:
		case <-c.ctx.Done():
			return
		}
		for _, e := range c.servers() {
			_ = c.attempt(c.ctx, func(ctx context.Context) error { return c.version(ctx, e) }) // asked again when it is wanted again
		}
		select { // rarely: each time makes connections
		case <-time.After(cluster.Heartbeat):
		case <-c.ctx.Done():
		}
	}
}

// version learns what a server is.
func (c *Client) version(ctx context.Context, endpoint string) error {
	st, err := c.status(ctx, endpoint)
	if err != nil {
		return err
	}
	ok := tellsProgress(st.Version)
	c.mu.Lock()
	_, known := c.members[st.Header.MemberId]
	c.members[st.Header.MemberId], c.surveyed = ok, time.Now()
	c.mu.Unlock()
	if !known && !ok {
		c.o.Logger.Warn("a server of etcd is too old to say how far a watch is: look-ups may take longer; 3.4.25, 3.5.8 or later does it", "endpoint", endpoint, "version", st.Version)
	}
	return nil
}

// tellsProgress reports whether a server of that version tells a watch how far it is only behind all events up to
// there (etcd issue 15220).
func tellsProgress(version string) bool {
	var major, minor, patch int
	if n, _ := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); n != 3 {
		return false
	}
	switch {
	case major != 3:
		return major > 3
	case minor == 4:
		return patch >= 25
	case minor == 5:
		return patch >= 8
	}
	return minor > 5
}

// trusts reports whether what a server says of progress is true. One that is not known yet is asked for its version,
// one that is too old now and then: it may be another one by then.
func (c *Client) trusts(member uint64) bool {
	c.mu.Lock()
	ok, known := c.members[member]
	old := !ok && time.Since(c.surveyed) > time.Minute
	c.mu.Unlock()
	if !known || old {
		kick(c.survey)
	}
	return ok
}
