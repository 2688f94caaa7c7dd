// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/status"
)

// checkEndpoint wants HOST:PORT or a URL that fits to whether there is TLS, and returns the URL. One that
// does not fit would be dialed without TLS.
func checkEndpoint(e string, secured *tls.Config) (string, error) {
	scheme := "http"
	if secured != nil {
		scheme = "https"
	}
	at := e
	if !strings.Contains(at, "://") {
		at = scheme + "://" + at
	}
	u, err := url.Parse(at)
	if err != nil || u.Hostname() == "" || u.Port() == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return "", fmt.Errorf("etcd: endpoint %q: want HOST:PORT", e)
	}
	if u.Scheme != scheme {
		return "", fmt.Errorf("etcd: endpoint %q: want %s://, for TLS is %s", e, scheme, map[bool]string{true: "set", false: "not set"}[secured != nil])
	}
	return scheme + "://" + u.Host, nil
}

// checkEndpoints is checkEndpoint for all of a list, which has one or more.
func checkEndpoints(list []string, secured *tls.Config) (urls []string, err error) {
	if len(list) == 0 {
		return nil, errors.New("etcd: no endpoints, want HOST:PORT of one server or more")
	}
	for _, e := range list {
		at, err := checkEndpoint(e, secured)
		if err != nil {
			return nil, err
		}
		urls = append(urls, at)
	}
	return urls, nil
}

// open makes etcd's client where there is none yet: with a user it asks for a token at once, which Dial does
// not wait for.
func (c *Client) open() error {
	if c.etcd() != nil {
		return nil
	}
	var r remark
	urls := c.servers()
	made, err := clientv3.New(clientv3.Config{
		Endpoints: urls, TLS: c.o.TLS, Username: c.o.User, Password: c.o.Password, Context: r.in(c.ctx), Logger: zap.NewNop(),
		DialTimeout: c.o.Patience, DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: c.o.Patience,
		MaxUnaryRetries: uint(len(urls)) + 1, // an attempt that asked for all its time could not say what is wrong
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(c.lines.dial), grpc.WithChainUnaryInterceptor(takeRemark),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 2, Jitter: 0.2, MaxDelay: time.Second},
				MinConnectTimeout: c.o.Patience,
			}),
		},
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return r.silent()
	}
	if err != nil {
		return err
	}
	made.ActiveConnection().Connect() // it does not wait for a server; later its resolver would be made beside a SetEndpoints
	c.mu.Lock()
	if c.c = made; !slices.Equal(c.urls, urls) {
		made.SetEndpoints(c.urls...)
	}
	c.mu.Unlock()
	return nil
}

// etcd returns etcd's client; nil until there is one, which is so before it has answered first.
func (c *Client) etcd() *clientv3.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.c
}

// lines are the connections there are. A server that is stopped keeps its connections, and etcd's client would go on
// asking it in turn with the others for as long as its own pings take.
type lines struct {
	began time.Time

	mu  sync.Mutex
	all map[*line]bool
}

// A line is a connection that knows since when something that it has sent has had no answer.
type line struct {
	net.Conn
	set   *lines
	waits atomic.Int64 // nanoseconds from set.began on; 0: nothing is waited for
}

func newLines() *lines { return &lines{began: time.Now(), all: map[*line]bool{}} }

func (s *lines) dial(ctx context.Context, at string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	l := &line{Conn: c, set: s}
	s.mu.Lock()
	s.all[l] = true
	s.mu.Unlock()
	return l, nil
}

// cull closes the connections that have been waiting for as long as that: what is on them ends with an error, and
// other calls do not take them any more.
func (s *lines) cull(silent time.Duration) {
	now := time.Since(s.began)
	s.mu.Lock()
	var list []*line
	for l := range s.all {
		if w := l.waits.Load(); w != 0 && now-time.Duration(w) >= silent {
			list = append(list, l)
		}
	}
	s.mu.Unlock()
	for _, l := range list {
		_ = l.Close()
	}
}

func (l *line) Write(b []byte) (int, error) {
	l.waits.CompareAndSwap(0, max(1, int64(time.Since(l.set.began))))
	return l.Conn.Write(b)
}

func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n > 0 {
		l.waits.Store(0)
	}
	return n, err
}

func (l *line) Close() error {
	l.set.mu.Lock()
	delete(l.set.all, l)
	l.set.mu.Unlock()
	return l.Conn.Close()
}

// errSilent means that something was asked and not answered for Patience.
var errSilent = errors.New("the server does not answer")

// attempt calls f once, with a context that is over after Patience. No server is told of that: one that gave up a
// moment before its client did would have etcd's client ask again, and do a batch twice.
func (c *Client) attempt(ctx context.Context, f func(ctx context.Context) error) error {
	var r remark
	one, cancel := context.WithCancelCause(r.in(context.WithoutCancel(ctx)))
	defer cancel(context.Canceled)
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	defer time.AfterFunc(c.o.Patience, func() { cancel(errSilent) }).Stop()
	err := f(one)
	if err != nil && errors.Is(context.Cause(one), errSilent) {
		c.lines.cull(c.o.Patience / 2)
		return r.silent()
	}
	return err
}

// A remark is why a call has waited until its context was over. gRPC says it, and etcd's client throws it away.
type remark struct{ text atomic.Pointer[string] }

type remarkKey struct{}

// in returns the context of calls that the remark is of.
func (r *remark) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, remarkKey{}, r)
}

// silent is the error of a call that was given up.
func (r *remark) silent() error {
	if text := r.text.Load(); text != nil {
		return fmt.Errorf("%w: %s", errSilent, *text)
	}
	return errSilent
}

// takeRemark is between etcd's client and gRPC.
func takeRemark(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoker(ctx, method, req, reply, cc, opts...)
	if r, ok := ctx.Value(remarkKey{}).(*remark); ok && err != nil && ctx.Err() != nil {
		if _, text, ok := strings.Cut(status.Convert(err).Message(), "latest balancer error: "); ok {
			r.text.Store(&text)
		}
	}
	return err
}

// read calls f until it does not fail in a way that may pass.
func (c *Client) read(ctx context.Context, f func(ctx context.Context) error) error {
	for {
		err := c.attempt(ctx, f)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return c.why(ctx, err)
		case !transient(err):
			return fmt.Errorf("etcd: %w", explain(err))
		}
		if pause(ctx); ctx.Err() != nil {
			return c.why(ctx, err)
		}
	}
}

// again is how long a read that has failed waits before it is tried again.
const again = 50 * time.Millisecond

// pause waits a little before another attempt, or until ctx is over.
func pause(ctx context.Context) {
	t := time.NewTimer(again)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
