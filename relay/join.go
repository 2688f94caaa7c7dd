// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/skybus-io/skybus/relay/link"
	"github.com/skybus-io/skybus/relay/wire"
)

// Join asks the daemon at address, HOST:PORT, for the cluster that it is in, on behalf of the host of that
// name; t is nil for without TLS. It waits until ctx is over at most. Errors: *link.RefusedError, as the daemon
// says; those of TLS and of the network.
func Join(ctx context.Context, address, host string, t *TLS) (*wire.Joined, error) {
	j, err := join(ctx, address, host, t)
	if err != nil {
		return nil, fmt.Errorf("ask %s for its cluster: %w", address, err)
	}
	return j, nil
}

func join(ctx context.Context, address, host string, t *TLS) (*wire.Joined, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	c := nc
	if t != nil {
		c = tls.Client(nc, t.Client(""))
	}
	told, err := askJoin(c, host)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("no answer: %w", ctx.Err())
	}
	return told, err
}

// askJoin sends JOIN and reads the answer.
func askJoin(c io.ReadWriter, host string) (*wire.Joined, error) {
	ask := wire.Join{Lowest: wire.Version, Highest: wire.Version, Host: host}
	if _, err := c.Write(wire.AppendJoin(nil, &ask)); err != nil {
		return nil, err
	}
	var head [wire.HeaderSize]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("it hangs up; is TLS on there and off here, or is it no skybusd?")
		}
		return nil, err
	}
	h, err := wire.ParseHeader(head[:])
	if err != nil {
		return nil, err
	}
	body := make([]byte, h.Length)
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, err
	}
	switch h.Type {
	case wire.TypeJoined:
		told, err := wire.ParseJoined(body)
		return &told, err
	case wire.TypeRefuse, wire.TypeBye:
		n, err := wire.ParseNotice(body)
		if err == nil {
			err = &link.RefusedError{Notice: n, ByPeer: true}
		}
		return nil, err
	}
	return nil, fmt.Errorf("%w: %v frame, want JOINED", wire.ErrProtocol, h.Type)
}
