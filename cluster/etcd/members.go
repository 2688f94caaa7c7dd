// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skybus-io/skybus/cluster/report"
)

// Members asks which servers the etcd cluster has and how each of them is, and which alarms there are.
// Errors: those of Get.
func (c *Client) Members(ctx context.Context) (members []report.Member, alarms []string, err error) {
	ctx, stop := c.bound(ctx)
	defer stop()
	if _, _, err := c.reach(ctx); err != nil {
		return nil, nil, err
	}
	var list *clientv3.MemberListResponse
	var alarmed *clientv3.AlarmResponse
	err = c.read(ctx, func(ctx context.Context) (err error) {
		if list, err = c.c.MemberList(ctx); err == nil {
			alarmed, err = c.c.AlarmList(ctx)
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	names := map[uint64]string{}
	for _, m := range list.Members {
		names[m.ID] = m.Name
		members = append(members, c.member(ctx, m))
	}
	alarms = []string{}
	for _, a := range alarmed.Alarms {
		alarms = append(alarms, fmt.Sprintf("%v at %s", a.Alarm, names[a.MemberID]))
	}
	return members, alarms, nil
}

// status asks the server at an endpoint how it is. To dial one, etcd's client reads its endpoints without the lock
// that SetEndpoints has; so mu is held. Nothing waits there: the connection is made when it is used.
func (c *Client) status(ctx context.Context, endpoint string) (*clientv3.StatusResponse, error) {
	c.mu.Lock()
	made := c.c
	conn, err := made.Dial(endpoint)
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return clientv3.NewMaintenanceFromMaintenanceClient(clientv3.RetryMaintenanceClient(made, conn), made).Status(ctx, endpoint)
}

// member asks one server how it is.
func (c *Client) member(ctx context.Context, m *etcdserverpb.Member) report.Member {
	r := report.Member{Name: m.Name, ID: fmt.Sprintf("%x", m.ID), Clients: m.ClientURLs, Peers: m.PeerURLs, Learner: m.IsLearner}
	if len(m.ClientURLs) == 0 {
		r.Error = "it has not begun yet"
		return r
	}
	ctx, stop := context.WithTimeout(ctx, c.o.Patience/3)
	defer stop()
	st, err := c.status(ctx, m.ClientURLs[0])
	if err != nil {
		r.Error = explain(err).Error()
		return r
	}
	r.Healthy, r.Leader, r.DBBytes = len(st.Errors) == 0, st.Leader == m.ID, st.DbSize
	return r
}
