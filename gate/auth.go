// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/frame"
)

// open reports whether everybody is let in, without a first packet.
func (g *Gate) open() bool { return g.cfg.Auth == nil && g.cfg.AuthService.IsZero() }

// first handles the first packet of a connection.
func (l *link) first(b []byte) error {
	if l.g.cfg.Resume == nil {
		l.greet(b)
		return nil
	}
	kind, err := frame.KindOf(b)
	switch {
	case err != nil:
	case kind == frame.KindAuth:
		a, aerr := frame.ParseAuth(b)
		if err = aerr; err == nil {
			l.greet(a.User)
			return nil
		}
	case kind == frame.KindResume:
		r, rerr := frame.ParseResume(b)
		if err = rerr; err == nil {
			return l.again(&r, b)
		}
	default:
		err = fmt.Errorf("the first packet is a %v, want AUTH or RESUME: %w", kind, frame.ErrMalformed)
	}
	l.refuse(&Refusal{Code: frame.CodeOf(err), Why: err.Error()})
	return nil
}

// greet asks who a client is, and begins its session.
func (l *link) greet(data []byte) {
	gr := &Grant{}
	if !l.g.open() {
		var err error
		if gr, err = l.g.judge(life{l.conn}, l.hello(data)); err != nil {
			l.refuse(err)
			return
		}
	}
	l.enter(gr)
}

// enter begins the session of a client that was let in.
func (l *link) enter(gr *Grant) {
	if gr.Bind.IsZero() {
		gr.Bind = l.g.cfg.Bind
	}
	if err := gr.Bind.check(); err != nil {
		l.g.log.Error("a client was let in and bound to no service: it is refused", "remote", l.remote(), "err", err)
		l.refuse(&Refusal{Code: frame.CodeService, Why: "there is no service for the client"})
		return
	}
	h := l.g.own
	if err := h.open(l, gr); err != nil {
		l.refuse(err)
		return
	}
	l.conn.Authenticated()
	l.info.Authenticated()
	s := l.s.Load()
	_ = s.send(life{l.conn}, &Opened{Client: s.client, Identity: s.identity, Remote: s.remote}) // if nobody is there the session has ended
}

// again goes on with a session, here or in the process that has its home.
func (l *link) again(r *frame.Resume, packet []byte) error {
	h := l.g.home(addr.Addr(r.Home))
	if h == nil {
		return l.handOver(r, packet)
	}
	if err := h.resume(l, r, packet); err != nil {
		l.refuse(err)
		return nil
	}
	l.conn.Authenticated()
	l.info.Authenticated()
	return nil
}

// hello is what is known of a client.
func (l *link) hello(data []byte) *Hello {
	in := l.info
	h := &Hello{Data: append([]byte(nil), data...), Remote: l.remote(), Transport: in.Transport}
	if in.TLS != nil {
		h.Server = in.TLS.ServerName
		if in.TLS.Peer != nil {
			h.Peer = in.TLS.Peer.Raw
		}
	}
	if in.Web != nil {
		h.Path, h.Query, h.Protocol = in.Web.Path, in.Web.Query, in.Web.Subprotocol
		for name := range in.Web.Header {
			if h.Header == nil {
				h.Header = map[string]string{}
			}
			h.Header[name] = in.Web.Header.Get(name)
		}
	}
	return h
}

// judge asks the auth function, or service. An error refuses the client.
func (g *Gate) judge(ctx context.Context, h *Hello) (gr *Grant, err error) {
	if g.cfg.Auth != nil {
		gr, err = g.ask(ctx, h)
	} else {
		to := g.cfg.AuthService
		gr, err = actor.AskRuntime[*Grant](ctx, g.own.rt, to.PID, to.value(h))
	}
	switch {
	case err != nil:
		if !errors.Is(err, ErrRefused) && ctx.Err() == nil {
			g.log.Info("a client is not let in", "remote", h.Remote, "err", err)
		}
		return nil, err
	case gr == nil:
		return nil, errors.New("gate: the answer has no Grant")
	case gr.Refuse != 0:
		return nil, &Refusal{Code: gr.Refuse, Why: gr.Why}
	}
	copied := *gr // a function may return the same one each time
	return &copied, nil
}

// ask calls the auth function. Its panic is a refusal.
func (g *Gate) ask(ctx context.Context, h *Hello) (gr *Grant, err error) {
	defer func() {
		if p := recover(); p != nil {
			g.log.Error("the auth function panics", "remote", h.Remote, "panic", p)
			err = fmt.Errorf("gate: auth: panic: %v", p)
		}
	}()
	return g.cfg.Auth(ctx, h)
}
