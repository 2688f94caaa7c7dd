// SPDX-License-Identifier: Apache-2.0

package relaybench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cmd/skybus/internal/child"
)

// The lanes that are filled lead from each of the sources, 0.0.1.1 and on, to each
// of the destinations, 0.0.2.1 and on.
const (
	sources      = 16
	destinations = 250
	firstSource  = addr.Addr(0x0101)
	firstDest    = addr.Addr(0x0201)
)

// path returns the ends of the i-th lane. Few lanes use few addresses.
func path(i int) (src, dst addr.Addr) {
	return firstSource + addr.Addr(i/destinations), firstDest + addr.Addr(i%destinations)
}

// hold is what a process of RunMemory has to do: to send, or to have bound what
// is sent to and to receive nothing.
type hold struct {
	Root  string
	Fill  bool
	Size  int // bytes of a message
	Lanes int
	Each  int // messages for each lane
}

// filled is what the sender prints.
type filled struct{ Sent int }

// HoldPart is what the processes do that RunMemory starts. Its error is for the
// standard error, where the parent reads it.
func HoldPart() error {
	var h hold
	ctx, err := child.Begin(&h)
	if err != nil {
		return err
	}
	d, err := skybus.Open(domainKey, skybus.Options{Root: h.Root, MustExist: true})
	if err != nil {
		return err
	}
	defer d.Close()
	if h.Fill {
		return h.fill(ctx, d)
	}
	for i := range min(h.Lanes, destinations) {
		_, dst := path(i)
		if _, err := d.Bind(dst); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// fill sends to all lanes in turn, so that all of them fill up alike.
func (h *hold) fill(ctx context.Context, d *skybus.Domain) error {
	from, err := h.bindSources(d)
	if err != nil {
		return err
	}
	message := make([]byte, h.Size)
	sent := 0
	for range h.Each {
		for i := range h.Lanes {
			sent++
			binary.LittleEndian.PutUint64(message, uint64(sent))
			src, dst := path(i)
			if err := from[src].Send(ctx, dst, message); err != nil {
				if errors.Is(err, context.Canceled) {
					return nil // the parent has given up, or is gone
				}
				return fmt.Errorf("message %d of %d: %w", sent, h.Each*h.Lanes, err)
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(filled{Sent: sent})
}

func (h *hold) bindSources(d *skybus.Domain) (map[addr.Addr]*skybus.Endpoint, error) {
	from := map[addr.Addr]*skybus.Endpoint{}
	for i := 0; i < h.Lanes; i += destinations {
		src, _ := path(i)
		e, err := d.Bind(src)
		if err != nil {
			return nil, err
		}
		from[src] = e
	}
	return from, nil
}
