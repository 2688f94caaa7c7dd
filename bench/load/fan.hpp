// SPDX-License-Identifier: Apache-2.0
//
// Fan: one client orders so many packets for everybody, itself among them, and the clock stops when the last
// byte of the last of them has been read. An order is a packet of 8 bytes: how many, and how large, each 4 bytes,
// little-endian.
#pragma once

#include "clients.hpp"

namespace load {

class Fan {
public:
	Fan(Server& server, uint32_t size, unsigned clients) : server(server), size(size), buffer(256 << 10) { join(clients); }
	~Fan() {
		for (Client& c : all) close(c.fd);
	}

	// join lets so many clients in that read. Not later than the first order: numbers begin with it.
	void join(unsigned clients) {
		for (unsigned i = 0; i < clients; i++) {
			Client c;
			c.fd = enter(server, i);
			if (c.fd < 0) peer::die("client %u was not let in", i);
			unblock(c.fd);
			poll.add(c.fd, unsigned(all.size()), EPOLLIN);
			all.push_back(c);
		}
	}

	// order has the server send count packets to everybody, and returns when all have been read, and how long
	// that took. Each client's own time goes to times, if given.
	uint64_t order(uint32_t count, peer::Histogram* times = nullptr) {
		std::vector<char> packet = frame(8);
		memcpy(packet.data() + head, &count, 4);
		memcpy(packet.data() + head + 4, &size, 4);
		for (Client& c : all) c.due = count;
		uint64_t began = peer::now();
		put(all[0].fd, packet);
		for (size_t left = all.size(); left > 0;) {
			int n = poll.each(10'000, [&](unsigned i, uint32_t) {
				if (!take(all[i])) return;
				left--;
				if (times != nullptr) times->add(peer::now() - began);
			});
			if (n == 0) peer::die("%zu of %zu clients still wait for packets after 10 s", left, all.size());
		}
		return peer::now() - began;
	}

private:
	// take reads once and says whether that was the end of what the client waits for.
	bool take(Client& c) {
		ssize_t n = recv(c.fd, buffer.data(), buffer.size(), 0);
		if (n <= 0) peer::die("the server has hung up on a client that reads: %m");
		unsigned ended = c.stream.take(buffer.data(), size_t(n), size);
		if (ended > c.due) peer::die("a client got more packets than were ordered");
		c.due -= ended;
		return ended > 0 && c.due == 0;
	}

	Server& server;
	uint32_t size;
	std::vector<char> buffer;
	std::vector<Client> all;
	Poll poll;
};

// fan orders again and again, each time after a short rest, and takes the median.
inline Result fan(Server& server, const peer::Options& o, unsigned clients, unsigned count) {
	Fan f(server, o.size, clients);
	Result r;
	uint64_t started = peer::now() + o.warmup, end = started + o.duration, orders = 0, cpu = 0;
	while (peer::now() < end || orders == 0) {
		usleep(1000);
		bool counts = peer::now() >= started;
		uint64_t before = server.cpu(), took = f.order(count);
		if (!counts) continue;
		cpu += server.cpu() - before;
		r.times.add(took);
		orders++;
	}
	double deliveries = double(clients) * count;
	r.perSecond = deliveries * 1e9 / double(r.times.quantile(.5));
	r.more["server_cpu_ns"] = double(cpu) / double(orders) / deliveries;
	return r;
}

} // namespace load
