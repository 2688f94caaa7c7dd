// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skybus-io/skybus/bench/internal/peer"
)

const (
	outstanding = 1024 // acknowledgements that the sender waits for; NATS's examples have 256, which is slower
	streamName  = "bench"
)

// stream is a queue in the server's memory: what is acknowledged is gone.
type stream struct{ js jetstream.JetStream }

func newStream(nc *nats.Conn) *stream {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(outstanding),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) {
			peer.Die("not stored: %v", err)
		}))
	peer.Must("open JetStream", err)
	return &stream{js}
}

func (c *client) makeStream() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := c.stream.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: streamName, Subjects: []string{data}, Storage: jetstream.MemoryStorage, Retention: jetstream.WorkQueuePolicy,
	})
	peer.Must("make the stream", err)
}

// publish waits only while too many acknowledgements are outstanding.
func (s *stream) publish(payload []byte) {
	for {
		_, err := s.js.PublishAsync(data, payload)
		if !errors.Is(err, jetstream.ErrTooManyStalledMsgs) {
			peer.Must("publish", err)
			return
		}
		time.Sleep(time.Millisecond) // it has waited 200 ms already
	}
}

// consume hands each message to take, and acknowledges it as long as take wants more.
func (s *stream) consume(take func(payload []byte) (more bool)) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	consumer, err := s.js.CreateConsumer(ctx, streamName, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: maxPending,
	})
	peer.Must("make the consumer", err)
	_, err = consumer.Consume(func(m jetstream.Msg) {
		if take(m.Data()) {
			peer.Must("acknowledge", m.Ack())
		}
	}, jetstream.PullMaxMessages(fetched))
	peer.Must("consume", err)
}

const (
	maxPending = 8192 // messages that the receiver has and has not acknowledged
	fetched    = 4096 // messages that the receiver asks for at a time
)
