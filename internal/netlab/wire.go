// SPDX-License-Identifier: Apache-2.0

//go:build linux

package netlab

// Where an IPv4 packet says who has sent it and who is to get it (RFC 791,
// section 3.1), and the least it can be.
const (
	ipHeader  = 20
	ipSource  = 12
	ipDest    = 16
	ipVersion = 4
)

// packetSize is more than a device gives at once.
const packetSize = 1 << 16

// connect lets the packets of all hosts flow.
func (l *Lab) connect() {
	for _, h := range l.hosts { // before the first packet goes to any of them
		h.out, h.in = newPipe(l.route), newPipe(l.deliver)
	}
	for _, h := range l.hosts {
		l.wire.Go(func() { h.out.run(h.done) })
		l.wire.Go(func() { h.in.run(h.done) })
		l.wire.Go(func() { l.read(h) })
	}
}

// read takes what a host sends until its device is closed.
func (l *Lab) read(h *host) {
	for buf := make([]byte, packetSize); ; {
		n, err := h.tun.Read(buf)
		if err != nil {
			return
		}
		if from, to := l.ends(buf[:n]); from == h && l.passes(from, to) {
			h.out.push(buf[:n])
		}
	}
}

// route hands a packet that has left its host to the one that it goes to.
func (l *Lab) route(packet []byte) {
	if from, to := l.ends(packet); l.passes(from, to) {
		to.in.push(packet)
	}
}

// deliver ends a packet's way, unless the wire was cut while it was under way.
func (l *Lab) deliver(packet []byte) {
	if from, to := l.ends(packet); l.passes(from, to) {
		_, _ = to.tun.Write(packet) // a device that is full or down drops it, as any does
	}
}

// ends returns the hosts that a packet comes from and goes to, nil for none of
// the lab's.
func (l *Lab) ends(packet []byte) (from, to *host) {
	if len(packet) < ipHeader || packet[0]>>4 != ipVersion {
		return nil, nil
	}
	return l.at([4]byte(packet[ipSource:])), l.at([4]byte(packet[ipDest:]))
}

// at returns the host with an address.
func (l *Lab) at(ip [4]byte) *host {
	if i := int(ip[3]) - 1; ip[0] == 10 && ip[1] == 77 && ip[2] == 0 && i >= 0 && i < len(l.hosts) {
		return l.hosts[i]
	}
	return nil
}

// passes reports whether packets get through from one host to another.
func (l *Lab) passes(from, to *host) bool {
	if from == nil || to == nil {
		return false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return !l.mute[from] && !l.deaf[to] && !l.cuts[[2]*host{from, to}]
}

// Netem makes the host's wire bad, both ways alike, until Calm or the next
// Netem. The words are those of netem(8):
//
//	loss 5%            so many packets are dropped
//	delay 10ms [5ms]   each is late by so much, give or take 5 ms
//	reorder 25%        so many are not late; wants a delay
//	duplicate 1%       so many come twice
//	rate 20mbit        so many bits a second pass
//	limit 1000         so many packets wait at a time; what is more is dropped
//
// A packet between two hosts goes through the wires of both. The test ends if
// the words cannot be read.
func (l *Lab) Netem(host string, args ...string) {
	l.t.Helper()
	h := l.host(host)
	q, err := parseQuality(args)
	if err != nil {
		l.t.Fatalf("host %s: netem %q: %v", host, args, err)
	}
	h.out.set(q)
	h.in.set(q)
}

// Calm makes the host's wire a good one again. Packets that are late still come
// when they are due. Partitions and cuts stay.
func (l *Lab) Calm(host string) {
	l.t.Helper()
	l.Netem(host)
}

// Partition drops every packet from and to the host, also those under way.
// Nothing is closed, and nobody is told: connections stay as they are, half open.
func (l *Lab) Partition(host string) {
	l.t.Helper()
	h := l.host(host)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mute[h], l.deaf[h] = true, true
}

// OneWay drops what the host sends; what is sent to it arrives. It heals a
// Partition in that direction.
func (l *Lab) OneWay(host string) {
	l.t.Helper()
	h := l.host(host)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mute[h], l.deaf[h] = true, false
}

// Cut drops every packet between two hosts; each has the others still.
func (l *Lab) Cut(a, b string) {
	l.t.Helper()
	x, y := l.host(a), l.host(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cuts[[2]*host{x, y}], l.cuts[[2]*host{y, x}] = true, true
}

// Heal ends what Partition, OneWay and Cut did to the host. How good its wire is
// does not change.
func (l *Lab) Heal(host string) {
	l.t.Helper()
	h := l.host(host)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.mute, h)
	delete(l.deaf, h)
	for pair := range l.cuts {
		if pair[0] == h || pair[1] == h {
			delete(l.cuts, pair)
		}
	}
}
