// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/skybus-io/skybus/bench/internal/peer"
)

// A frame is a message that goes as it is: no message format is measured.
type frame struct{ b []byte }

// raw is the codec of frames.
type raw struct{}

func (raw) Name() string { return "raw" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("marshal a %T: not a frame", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(f.b)}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("unmarshal into a %T: not a frame", v)
	}
	n := data.Len()
	f.b = slices.Grow(f.b[:0], n)[:n]
	data.CopyTo(f.b)
	return nil
}

const (
	serviceName = "bench.Echo"
	method      = "Call"

	// window is fixed, for streams and the connection: without a number the library measures the way's
	// bandwidth with pings while messages come.
	window = 1 << 20
)

// echo is what a generated service descriptor is: the server answers with what it gets.
var echo = grpc.ServiceDesc{ServiceName: serviceName, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
	MethodName: method,
	Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		f := new(frame)
		return f, decode(f)
	},
}}}

// serve tells where it listens, and answers until the process is killed. Requests are handled by a goroutine a
// processor that stays, instead of a new one for each.
func serve(kind string) {
	l := listen(kind)
	s := grpc.NewServer(grpc.Creds(serverCredentials(kind)), grpc.ForceServerCodecV2(raw{}),
		grpc.NumStreamWorkers(uint32(runtime.NumCPU())), grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window))
	s.RegisterService(&echo, nil)
	peer.Tell(target(kind, l))
	peer.Must("serve", s.Serve(l))
}

func listen(kind string) net.Listener {
	network, at := "tcp", "127.0.0.1:0"
	if kind == overUnix {
		network, at = "unix", socket()
	}
	l, err := net.Listen(network, at)
	peer.Must("listen", err)
	return l
}

// target is how a client names the address.
func target(kind string, l net.Listener) string {
	if kind == overUnix {
		return "unix://" + l.Addr().String()
	}
	return "passthrough:///" + l.Addr().String()
}

func serverCredentials(kind string) credentials.TransportCredentials {
	if kind == overTLS {
		return credentials.NewTLS(peer.TLSConfig())
	}
	return insecure.NewCredentials()
}

// A client is one connection, which all callers share.
type client struct{ conn *grpc.ClientConn }

func connect(kind, target string) *client {
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(serverCredentials(kind)),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})), grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window))
	peer.Must("connect", err)
	return &client{conn}
}

func (c *client) call(ctx context.Context, in, out *frame) error {
	return c.conn.Invoke(ctx, "/"+serviceName+"/"+method, in, out)
}

func (c *client) close() { peer.Must("close the connection", c.conn.Close()) }
