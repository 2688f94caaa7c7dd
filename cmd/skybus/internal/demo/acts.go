// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"

	"github.com/skybus-io/skybus/channel"
)

// killConsumer kills the consumer in mid-stream.
func (s *show) killConsumer() error {
	pid := s.kill(consumer)
	s.say("consumer pid %d killed with -9", pid)
	return nil
}

// killConsumerAgain starts a new consumer and kills it while it works through
// what has gathered.
func (s *show) killConsumerAgain() error {
	waiting := s.waiting()
	s.say("%s wait in the lane", messages(waiting))
	again, err := s.raiseConsumer(max(waiting/3, channel.BatchSize+1))
	if err != nil {
		return err
	}
	pid := s.kill(consumer)
	s.say("consumer back as pid %d: %s", pid, again)
	s.say("consumer pid %d killed with -9 while it catches up (%s wait in the lane)", pid, messages(s.waiting()))
	return nil
}

// restartConsumer starts the consumer again.
func (s *show) restartConsumer() error {
	again, err := s.raiseConsumer(channel.BatchSize + 1)
	if err != nil {
		return err
	}
	s.say("consumer back as pid %d: %s", s.parts[consumer].PID(), again)
	return nil
}

// raiseConsumer starts a consumer and waits until it has seen so many messages
// for the first time, more than can have been redelivered. It says what came again.
func (s *show) raiseConsumer(firsts uint64) (again string, err error) {
	before, err := readSeen(s.seen)
	if err != nil {
		return "", err
	}
	if err := s.raise(consumer, 0); err != nil {
		return "", err
	}
	now := before
	err = s.wait(patience, "new messages seen", func() (bool, error) {
		now, err = readSeen(s.seen)
		return now.first >= before.first+firsts, err
	})
	flagged := now.flagged - before.flagged
	if flagged == 0 {
		return "its predecessor had released all that it took", err
	}
	return fmt.Sprintf("%s redelivered, flagged; %s of them recorded before", messages(flagged), grouped(now.again-before.again)), err
}

// killProducer kills the producer and says what it was doing.
func (s *show) killProducer() error {
	pid := s.kill(producer)
	state, err := readSent(s.sent)
	if err != nil {
		return err
	}
	where := "between two Sends"
	if state.tried > state.accepted {
		where = "in the Send of message " + grouped(state.tried)
	}
	s.say("producer pid %d killed with -9 %s, %s accepted", pid, where, messages(state.accepted))
	return nil
}

// restartProducer starts the producer, which asks the bus what became of its
// predecessor's last message.
func (s *show) restartProducer() error {
	before, err := readSent(s.sent)
	if err != nil {
		return err
	}
	if err := s.raise(producer, s.o.Rate); err != nil {
		return err
	}
	now := before
	err = s.wait(patience, "producer at work", func() (bool, error) {
		now, err = readSent(s.sent)
		return now.starts > before.starts, err
	})
	if err != nil {
		return err
	}
	fate := [...]string{
		fateNone:     "the bus agrees on what was accepted",
		fateAccepted: "the bus had accepted the interrupted message",
		fateDropped:  "the bus had not accepted the interrupted message, it is sent again",
	}[now.fate]
	s.say("producer back as pid %d: %s", s.parts[producer].PID(), fate)
	return nil
}

// waiting returns how many messages wait in the lane.
func (s *show) waiting() uint64 { return inLane(s.place.lane()) }

// judge compares the ledgers, and the bus's own account, and reports.
func (s *show) judge(sum *Summary) error {
	sent, seen, err := s.read()
	if err != nil {
		return err
	}
	*sum = Summary{
		ConsumerKills: s.kills[consumer], ProducerKills: s.kills[producer], Seconds: s.elapsed().Seconds(),
		P50: int64(seen.delays.quantile(0.5)), P99: int64(seen.delays.quantile(0.99)), Services: s.shown,
	}
	if sum.Audit, err = s.audit(sent.accepted); err != nil {
		return err
	}
	sum.Broken = sum.broken(sum.ConsumerKills)
	if n := lastSeq(s.place.lane()); n != sent.accepted {
		sum.fail("the bus counts " + messages(n) + ", the producer " + messages(sent.accepted))
	}
	sum.Pass = len(sum.Broken) == 0
	sum.addServices(s.shown)
	s.table(&sum.Audit, sum.P50, sum.P99,
		figure{"consumer killed with -9", uint64(sum.ConsumerKills)}, figure{"producer killed with -9", uint64(sum.ProducerKills)})
	s.verdict(&sum.Verdict, fmt.Sprintf(nothing+"%d kills in mid-stream", sum.ConsumerKills+sum.ProducerKills))
	return nil
}

// next says what can be tried on the domain.
func (s *show) next() {
	domain := domainFlags(s.place.root, s.key)
	s.inTerminal("top "+domain, fmt.Sprintf("tail %s %s %s", domain, producerAddr, consumerAddr), "stat "+domain)
}
