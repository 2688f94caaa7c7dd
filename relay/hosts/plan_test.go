// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
)

const key = 1000 // of all domains: each host has a folder of its own

// A style is how a receiver takes messages.
type style int

const (
	byHandler style = iota // Receive: at least once, flagged
	byRecv                 // Recv: at most once
	styles
)

// A plan says what the processes do. Each host has one sender and a receiver of
// each style; each sender sends to the receivers of all other hosts.
type plan struct {
	Roots []string      // of the domains, one a host
	Dir   string        // of the ledgers and logs
	Seed  uint64        // of the payloads
	Most  int           // bytes of the largest payload
	Pace  time.Duration // rest of a sender after each burst, on average
}

// A receiverID names a receiver.
type receiverID struct {
	host  int
	style style
}

// A laneID names a lane: its sender's host and its receiver.
type laneID struct {
	from int
	to   receiverID
}

// The words of the plan's file of orders.
const (
	stopSenders = iota
	stopReceivers
	orderWords
)

const firstReceiver = 16 // the last segment of the first receiver's address

func hostAddr(host int) addr.Addr   { return addr.Addr(host+1) << 8 }
func senderAddr(host int) addr.Addr { return hostAddr(host) | 1 }
func receiverAddr(r receiverID) addr.Addr {
	return hostAddr(r.host) | firstReceiver + addr.Addr(r.style)
}
func (p *plan) path(name string) string     { return filepath.Join(p.Dir, name) }
func (p *plan) logPath(r receiverID) string { return p.path(fmt.Sprintf("log-%v", receiverAddr(r))) }

// number is the lane's place in the ledger of what was sent.
func (p *plan) number(l laneID) int {
	return (l.from*len(p.Roots)+l.to.host)*int(styles) + int(l.to.style)
}

// receivers lists all receivers.
func (p *plan) receivers() (list []receiverID) {
	for host := range p.Roots {
		for s := range styles {
			list = append(list, receiverID{host, s})
		}
	}
	return list
}

// into lists the lanes that end at a receiver.
func (p *plan) into(r receiverID) (list []laneID) {
	for host := range p.Roots {
		if host != r.host {
			list = append(list, laneID{host, r})
		}
	}
	return list
}

// outOf lists the lanes that begin at a host.
func (p *plan) outOf(host int) (list []laneID) {
	for _, r := range p.receivers() {
		if r.host != host {
			list = append(list, laneID{host, r})
		}
	}
	return list
}

func (p *plan) orders() (*killtest.Words, error) {
	return killtest.OpenWords(p.path("orders"), orderWords)
}

func (p *plan) sent() (*killtest.Sent, error) {
	n := len(p.Roots)
	return killtest.OpenSent(p.path("sent"), n*n*int(styles))
}

// violation leaves err for the test, whatever becomes of this process.
func (p *plan) violation(err error) {
	f, openErr := os.OpenFile(p.path("violations"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o660)
	if openErr != nil {
		panic(errors.Join(err, openErr)) // a child of the test: the test shows it
	}
	defer f.Close()
	fmt.Fprintf(f, "process %d: %v\n", os.Getpid(), err)
}

// violations returns what the processes have left.
func (p *plan) violations() string {
	text, _ := os.ReadFile(p.path("violations"))
	return string(text)
}

const numberSize = 8 // of the number that begins each payload

// payload returns the bytes of message n of a lane: its number, then bytes that
// follow from that.
func (p *plan) payload(l laneID, n uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, n)
	return append(b, killtest.Payload(p.Seed, p.number(l), n, p.Most)...)
}

// read returns the number that a payload has, and what is wrong with the rest.
func (p *plan) read(l laneID, data []byte) (n uint64, err error) {
	if len(data) < numberSize {
		return 0, fmt.Errorf("a message of %d bytes: want at least %d", len(data), numberSize)
	}
	n = binary.LittleEndian.Uint64(data)
	return n, killtest.CheckPayload(data[numberSize:], p.Seed, p.number(l), n, p.Most)
}

// open opens a host's domain, which another process makes, sooner or later.
func (p *plan) open(host int) (*skybus.Domain, error) {
	o := skybus.Options{Root: p.Roots[host], MustExist: true}
	o.OnDamage = func(src, dst addr.Addr, err error) { p.violation(fmt.Errorf("lane %v -> %v: %w", src, dst, err)) }
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		d, err := skybus.Open(key, o)
		if err == nil || !errors.Is(err, skybus.ErrNoDomain) || time.Now().After(end) {
			return d, err
		}
	}
}
